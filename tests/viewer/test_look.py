"""Every mode against its meaning, on small scenes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Cameras, Photo, SplatkitError
from splatkit.render import render
from splatkit.viewer.look import COLORMAPS, Look, Subject, colored, draw
from splatkit.viewer.photographs import Photographs
from tests.scenes import ball_over_floor, ring


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    """True pictures of the scene from a ring, except that the second one is half grey."""
    folder, cameras = tmp_path_factory.mktemp("photos"), ring(8, 96, 64)
    photos = []
    for index in range(8):
        camera = cameras[index : index + 1].to(torch.float32)
        rgb = render(ball_over_floor(), camera).rgb[0].clamp(0, 1)
        pixels = (rgb * 255).round().byte().numpy()
        if index == 1:
            pixels[:, :48] = 128
        Image.fromarray(pixels).save(folder / f"{index}.png")
        viewmat, K = cameras.viewmats[index], cameras.Ks[index]
        photos.append(Photo(f"{index}", folder / f"{index}.png", 96, 64, viewmat, K))
    return Photographs(photos, (0, 0, 0), "auto")


def camera(index: int) -> Cameras:
    return ring(8, 96, 64)[index : index + 1].to(torch.float32)


def level_of(pixels: np.ndarray, colormap: str = "gray") -> np.ndarray:
    assert colormap == "gray"
    return pixels[..., 0] / 255


def test_opacity_is_that_of_the_gaussians() -> None:
    scene = ball_over_floor()
    scene.logit_opacities[:] = 0.0
    pixels = draw(Subject(scene), camera(0), Look(mode="opacity", colormap="gray"))
    alpha = render(scene, camera(0)).alpha[0].numpy()
    assert np.abs(level_of(pixels)[alpha > 0.1] - 0.5).max() < 0.01


def test_count_is_the_number_of_gaussians_in_a_pixel() -> None:
    scene = ball_over_floor()
    look = Look(mode="count", colormap="gray", value_range=(0, 51))
    counted = level_of(draw(Subject(scene), camera(0), look)) * 51
    row, column = np.unravel_index(counted.argmax(), counted.shape)
    ids = render(scene, camera(0), outputs=("top_k",), top_k=120, backend="torch_ref").top_ids
    assert ids is not None
    there = int((ids[0, row, column] >= 0).sum())
    assert abs(counted[row, column] - min(32, there)) <= 0.5
    assert counted.max() > 3


def test_what_photos_see(photographs: Photographs) -> None:
    scene = ball_over_floor()
    seen = photographs.seen(scene, 0)
    assert 1 <= float(seen.max()) <= 8
    look = Look(mode="seen", colormap="gray", value_range=(0, 8))
    level = level_of(draw(Subject(scene, photographs, 0), camera(0), look))
    alpha = render(scene, camera(0)).alpha[0].numpy()
    assert level[alpha > 0.9].mean() > 0.6


def test_the_nearest_photo_lies_on_the_scene(photographs: Photographs) -> None:
    scene = ball_over_floor()
    assert photographs.nearest(camera(3)).name == "3"
    pixels = draw(Subject(scene, photographs, 0), camera(3), Look(mode="photo"))
    rendered = render(scene, camera(3))
    truth = (rendered.rgb[0].clamp(0, 1) * 255).numpy()
    solid = rendered.alpha[0].numpy() > 0.97
    assert np.abs(pixels[solid] - truth[solid]).mean() < 6
    # From between two photos it is seen from the side, and still lies where it should.
    between = ring(24, 96, 64)[10:11].to(torch.float32)
    pixels = draw(Subject(scene, photographs, 0), between, Look(mode="photo"))
    rendered = render(scene, between)
    solid = (rendered.alpha[0].numpy() > 0.97) & (pixels != pixels[0, 0]).any(-1)
    assert solid.mean() > 0.02
    truth = (rendered.rgb[0].clamp(0, 1) * 255).numpy()
    assert np.abs(pixels[solid] - truth[solid]).mean() < 25


def test_the_error_is_where_the_photo_differs(photographs: Photographs) -> None:
    scene = ball_over_floor()
    look = Look(mode="error", colormap="gray", value_range=(0, 1))
    level = level_of(draw(Subject(scene, photographs, 0), camera(1), look))
    solid = render(scene, camera(1)).alpha[0].numpy() > 0.97
    left, right = solid.copy(), solid.copy()
    left[:, 44:], right[:, :52] = False, False
    assert level[left].mean() > 0.2
    assert level[right].mean() < 0.05


def test_a_photo_right_of_the_wipe(photographs: Photographs) -> None:
    scene = ball_over_floor()
    subject = Subject(scene, photographs, 0)
    split = draw(subject, camera(3), Look(photo=True, wipe=0.5))
    assert np.array_equal(split[:, :47], draw(subject, camera(3), Look())[:, :47])
    assert np.array_equal(split[:, 49:], draw(subject, camera(3), Look(mode="photo"))[:, 49:])


def test_modes_without_photos_say_so() -> None:
    for mode in ("seen", "photo", "error"):
        with pytest.raises(SplatkitError, match="none"):
            draw(Subject(ball_over_floor()), camera(0), Look(mode=mode))


def test_near_and_far_cut() -> None:
    scene = ball_over_floor()
    whole = draw(Subject(scene), camera(0), Look(mode="alpha"))
    assert draw(Subject(scene), camera(0), Look(mode="alpha", far=0.5)).max() == 0
    assert draw(Subject(scene), camera(0), Look(mode="alpha", near=20.0)).max() == 0
    assert np.array_equal(draw(Subject(scene), camera(0), Look(mode="alpha", far=99.0)), whole)


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colour_maps_have_two_ends(colormap: str) -> None:
    level = torch.tensor([[-1.0, 0.0, 1.0, 2.0]])
    there = torch.tensor([[True, True, True, True]])
    pixels = colored(level, there, colormap)[0]
    assert torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[2], pixels[3])
    assert not torch.equal(pixels[0], pixels[2])
    assert colored(level, ~there, colormap)[0, 0].tolist() == [33, 33, 33]
