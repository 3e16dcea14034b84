"""COLMAP models: text and binary agree with each other and with COLMAP's own library."""

import struct

import numpy as np
import pycolmap
import pytest

from splatkit.core import SplatkitError
from splatkit.io.colmap import find_model, read_model
from splatkit.io.lenses import MODELS, PARAMETER_NAMES, Lens


def synthetic(folder, text=False):
    """A model made by COLMAP's own generator."""
    pycolmap.set_random_seed(1)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs = 2
    options.num_cameras_per_rig = 1
    options.num_frames_per_rig = 3
    options.num_points3D = 40
    model = pycolmap.synthesize_dataset(options)
    folder.mkdir(parents=True, exist_ok=True)
    (model.write_text if text else model.write_binary)(folder)
    return model


@pytest.mark.parametrize("text", [False, True])
def test_reads_what_colmap_wrote(tmp_path, text):
    theirs = synthetic(tmp_path, text)
    ours = read_model(tmp_path)
    assert len(ours.images) == theirs.num_images() == 6
    assert [image.name for image in ours.images] == sorted(image.name for image in ours.images)
    for image in ours.images:
        other = theirs.find_image_with_name(image.name)
        assert np.allclose(image.camera_from_world[:3], other.cam_from_world().matrix(), atol=1e-12)
        assert len(image.point_ids) == other.num_points3D
        lens, camera = ours.cameras[image.camera_id], other.camera
        assert lens.model == camera.model_name
        assert np.allclose(lens.params, camera.params)
    assert len(ours.points) == theirs.num_points3D()
    for number, xyz, color, length in zip(
        ours.point_ids, ours.points, ours.colors, ours.track_lengths, strict=True
    ):
        point = theirs.point3D(int(number))
        assert np.allclose(xyz, point.xyz)
        assert np.array_equal(color, point.color)
        assert length == point.track.length()


@pytest.mark.parametrize("model", [m for m in MODELS if m != "EQUIRECTANGULAR"])
def test_every_lens_projects_as_colmap_does(model):
    names = PARAMETER_NAMES[model].split()
    values = {"f": 500, "fx": 500, "fy": 510, "cx": 320, "cy": 235, "k1": 0.05, "k2": -0.02,
              "p1": 0.003, "p2": -0.002, "k3": 0.01, "k4": -0.004, "k5": 0.002, "k6": -0.001,
              "omega": 0.6, "sx1": 0.002, "sy1": -0.003, "s1": 0.002, "s2": -0.001, "s3": 0.003,
              "s4": 0.001, "alpha": 0.4, "beta": 1.1}  # fmt: skip
    params = [values[name] for name in names]
    lens = Lens(model, 640, 480, tuple(params))
    camera = pycolmap.Camera(model=model, width=640, height=480, params=params)
    rays = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 2))
    rays[0] = 0
    theirs = camera.img_from_cam(np.c_[rays, np.ones(200)])
    ours = np.stack(lens.project(rays[:, 0], rays[:, 1]), 1)
    assert np.abs(ours - theirs).max() < 1e-8


def test_resized_lens_projects_to_the_resized_picture():
    lens = Lens("OPENCV", 640, 480, (500, 510, 320, 235, 0.1, 0.01, 0.001, 0.002))
    u, v = lens.project(np.array([0.3]), np.array([-0.2]))
    half_u, half_v = lens.resized(320, 240).project(np.array([0.3]), np.array([-0.2]))
    assert np.allclose((half_u * 2, half_v * 2), (u, v))


def test_the_model_is_found_where_tools_put_it(tmp_path):
    assert find_model(tmp_path) is None
    synthetic(tmp_path / "sparse" / "0")
    assert find_model(tmp_path) == tmp_path / "sparse" / "0"
    assert find_model(tmp_path / "sparse") == tmp_path / "sparse" / "0"
    # Of several models the largest, whatever its number.
    big = tmp_path / "sparse" / "1"
    big.mkdir()
    for name in ("cameras.bin", "images.bin"):
        (big / name).write_bytes((tmp_path / "sparse" / "0" / name).read_bytes() + b"\0")
    assert find_model(tmp_path) == big


def test_damage_is_one_line_with_the_folder(tmp_path):
    synthetic(tmp_path)
    whole = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    absurd = struct.pack("<Q", 2**60)
    cases = [(n, whole[n][:-5]) for n in ("cameras.bin", "images.bin", "points3D.bin")]
    cases += [(n, absurd + whole[n][8:]) for n in ("cameras.bin", "images.bin", "points3D.bin")]
    cases += [("cameras.bin", b""), ("images.bin", b"\1")]
    cases += [("cameras.bin", whole["cameras.bin"][:8] + b"\xff" * 24)]
    cases += [("cameras.bin", struct.pack("<Q", 0))]  # the photos name a camera that is not there
    for name, data in cases:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SplatkitError, match=str(tmp_path)) as caught:
            read_model(tmp_path)
        assert "\n" not in str(caught.value)
        (tmp_path / name).write_bytes(whole[name])
    assert len(read_model(tmp_path).images) == 6


def test_text_damage_is_one_line(tmp_path):
    synthetic(tmp_path, text=True)
    text = (tmp_path / "images.txt").read_text()
    cases = {
        "words missing": "1 0 0 0\n\n",
        "zero rotation": "1 0 0 0 0 1 2 3 1 a.jpg\n\n",
        "not a number": "1 x 0 0 0 1 2 3 1 a.jpg\n\n",
        "infinite": "1 1 0 0 0 inf 2 3 1 a.jpg\n\n",
        "unknown camera": "1 1 0 0 0 1 2 3 77 a.jpg\n\n",
        "twice": "1 1 0 0 0 1 2 3 1 a.jpg\n\n2 1 0 0 0 1 2 3 1 a.jpg\n\n",
    }
    for name, data in cases.items():
        (tmp_path / "images.txt").write_text(data)
        with pytest.raises(SplatkitError) as caught:
            read_model(tmp_path)
        assert "\n" not in str(caught.value), name
    (tmp_path / "images.txt").write_text(text)
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 640 480 -5 500 320 240\n")
    with pytest.raises(SplatkitError, match="positive focal length"):
        read_model(tmp_path)


def test_names_with_blanks_and_no_points(tmp_path):
    (tmp_path / "cameras.txt").write_text("# a comment\n1 PINHOLE 640 480 500 500 320 240\n")
    (tmp_path / "images.txt").write_text("# c\n1 1 0 0 0 1 2 3 1 my photo 1.jpg\n\n")
    model = read_model(tmp_path)
    assert model.images[0].name == "my photo 1.jpg"
    assert np.allclose(model.images[0].camera_from_world[:3, 3], (1, 2, 3))
    assert model.points.shape == (0, 3)
