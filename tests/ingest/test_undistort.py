"""Photos as a pinhole would have taken them."""

import numpy as np
import pycolmap
import pytest

from splatkit.core import SplatkitError
from splatkit.ingest.undistort import Undistortion, undistort_points
from splatkit.io.lenses import Lens

LENSES = {
    "barrel": Lens("SIMPLE_RADIAL", 320, 240, (300, 160, 120, -0.15)),
    "pincushion": Lens("SIMPLE_RADIAL", 320, 240, (300, 160, 120, 0.1)),
    "opencv": Lens("OPENCV", 320, 240, (290, 300, 155, 126, -0.1, 0.03, 0.002, -0.003)),
    "fisheye": Lens("OPENCV_FISHEYE", 320, 240, (200, 200, 160, 120, 0.02, -0.01, 0, 0)),
    "off centre": Lens("RADIAL", 320, 240, (280, 140, 100, 0.08, -0.02)),
}


def smooth(x, y):
    """A picture given as a function of the ray, [H,W,3] uint8."""
    bands = [127 + 100 * np.sin(5 * x + 1), 127 + 100 * np.cos(4 * y), 127 + 90 * np.sin(3 * x * y)]
    return np.stack(bands, -1).round().astype(np.uint8)


def rays_of(lens):
    u, v = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    x, y = undistort_points(lens, u.ravel(), v.ravel())
    return x.reshape(u.shape), y.reshape(u.shape)


@pytest.mark.parametrize("name", LENSES)
def test_the_photo_becomes_what_a_pinhole_sees(name):
    lens = LENSES[name]
    photo = smooth(*rays_of(lens))
    undistort = Undistortion(lens)
    pinhole = undistort.pinhole
    x = (np.arange(pinhole.width) + 0.5 - pinhole.cx) / pinhole.fx
    y = (np.arange(pinhole.height) + 0.5 - pinhole.cy) / pinhole.fy
    truth = smooth(*np.meshgrid(x, y)).astype(int)
    difference = np.abs(undistort(photo).astype(int) - truth)
    assert undistort.mask is None  # every pixel of the rectangle is valid
    assert difference[2:-2, 2:-2].max() <= 3
    assert difference.mean() < 1
    # The focal length is kept, so that the middle keeps its sharpness.
    assert (pinhole.fx, pinhole.fy) == lens.focal_and_center[:2]


@pytest.mark.parametrize("name", LENSES)
def test_points_are_undistorted_as_colmap_does(name):
    lens = LENSES[name]
    camera = pycolmap.Camera(model=lens.model, width=320, height=240, params=list(lens.params))
    pixels = np.random.default_rng(0).uniform((5, 5), (315, 235), (100, 2))
    x, y = undistort_points(lens, pixels[:, 0], pixels[:, 1])
    assert np.abs(np.stack((x, y), 1) - camera.cam_from_img(pixels)).max() < 1e-6


@pytest.mark.parametrize("name", ["barrel", "pincushion", "opencv"])
def test_the_rectangle_is_as_large_as_it_can_be(name):
    """One pixel more on any side would show something blank."""
    lens = LENSES[name]
    pinhole = Undistortion(lens).pinhole
    for grow in ((-2, 0), (2, 0), (0, -2), (0, 2)):
        x = np.array([0, pinhole.width]) - pinhole.cx
        y = np.array([0, pinhole.height]) - pinhole.cy
        x = np.linspace(x[0] + min(grow[0], 0), x[1] + max(grow[0], 0), 200) / pinhole.fx
        y = np.linspace(y[0] + min(grow[1], 0), y[1] + max(grow[1], 0), 200) / pinhole.fy
        u, v = lens.project(*np.meshgrid(x, y))
        outside = (u < 0) | (u > lens.width) | (v < 0) | (v > lens.height)
        assert outside.any()


def test_a_pinhole_photo_is_left_alone():
    undistort = Undistortion(Lens("PINHOLE", 320, 240, (300, 301, 158, 122)))
    photo = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    assert not undistort.needed
    assert undistort(photo) is photo
    assert np.array_equal(undistort.pinhole.K, [[300, 0, 158], [0, 301, 122], [0, 0, 1]])
    assert not Undistortion(Lens("SIMPLE_RADIAL", 320, 240, (300, 160, 120, 1e-5))).needed


def test_a_wide_fisheye_is_cut_not_stretched():
    undistort = Undistortion(Lens("OPENCV_FISHEYE", 400, 400, (120, 120, 200, 200, 0, 0, 0, 0)))
    assert undistort.pinhole.width <= 600
    photo = np.full((400, 400, 3), 200, np.uint8)
    seen = undistort(photo)
    valid = np.ones(seen.shape[:2], bool) if undistort.mask is None else undistort.mask > 0
    assert (seen[valid] == 200).all()
    assert (seen[~valid] == 0).all()


def test_nonsense_is_refused_or_masked_but_never_crashes():
    generator = np.random.default_rng(0)
    for _ in range(60):
        params = (*10.0 ** generator.uniform(-3, 6, 2), *generator.uniform(-1e4, 1e4, 2),
                  *generator.normal(0, 10.0 ** generator.uniform(-3, 8), 4))  # fmt: skip
        model = ("OPENCV", "OPENCV_FISHEYE")[int(generator.integers(2))]
        try:
            undistort = Undistortion(Lens(model, 60, 40, tuple(params)))
            undistort(np.zeros((40, 60, 3), np.uint8))
        except SplatkitError:
            continue


def test_a_photo_of_another_size_is_refused():
    with pytest.raises(SplatkitError, match="expected a photo of 320x240"):
        Undistortion(LENSES["barrel"])(np.zeros((10, 10, 3), np.uint8))
