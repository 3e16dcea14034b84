from __future__ import annotations

import math

import pytest
import torch

from splatkit.core import Cameras, UsageError, intrinsics
from splatkit.core.transforms import quat_from_rotation
from splatkit.edit.selection import (
    by_color,
    by_opacity,
    by_size,
    combine,
    in_box,
    in_crop,
    in_rectangle,
    in_sphere,
    on_screen,
    point_under,
    shown,
    under_brush,
)
from tests.scenes import ball_over_floor, ring

RED, BLUE, FLOOR = slice(0, 40), slice(40, 80), slice(80, 120)


def front() -> Cameras:
    """Looks along +z from four units before the origin."""
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[2, 3] = 4
    return Cameras(viewmat[None], intrinsics(100, 100, 64, 48)[None], 128, 96)


def only(mask: torch.Tensor, part: slice) -> bool:
    wanted = torch.zeros(120, dtype=torch.bool)
    wanted[part] = True
    return torch.equal(mask, wanted)


def test_places() -> None:
    scene = ball_over_floor()
    left = in_box(scene, (-9, -0.75, -9), (0, 0.75, 9))
    assert only(left, RED)
    assert only(in_sphere(scene, (0.7, 0, 0), 0.75), BLUE)
    assert torch.equal(in_crop(scene, (-9, -0.75, -9, 0, 0.75, 9)), left)
    assert torch.equal(in_crop(scene, (0.7, 0, 0, 0.75)), in_sphere(scene, (0.7, 0, 0), 0.75))


def test_a_box_that_is_turned_and_moved() -> None:
    scene = ball_over_floor()
    half = torch.tensor([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]])  # half a turn about y
    wxyz = quat_from_rotation(half).tolist()
    # In the box's own axes the red ball is on the right of its origin.
    found = in_box(scene, (-0.7, -0.75, -9), (0.7, 0.75, 9), wxyz, (-0.7, 0, 0))
    assert only(found, RED)


def test_looks() -> None:
    scene = ball_over_floor()
    assert only(by_color(scene, (0.9, 0.1, 0.1), 0.2), RED)
    scene.logit_opacities[BLUE] = -3.0
    assert only(by_opacity(scene, 0, 0.1), BLUE)
    scene.log_scales[FLOOR, 1] = math.log(0.5)
    assert only(by_size(scene, low=0.4), FLOOR)


def test_the_screen() -> None:
    scene = ball_over_floor()
    pixels, depth = on_screen(scene, front())
    assert torch.allclose(pixels[:, 0], scene.means[:, 0] / depth * 100 + 64)
    assert torch.allclose(depth, scene.means[:, 2] + 4)
    left_and_high = (pixels[:, 0] <= 60) & (pixels[:, 1] <= 50) & (pixels >= 0).all(1)
    assert torch.equal(in_rectangle(scene, front(), (60, 0), (0, 50)), left_and_high)
    assert 0 < int(left_and_high.sum()) < 120
    stroke = torch.stack((torch.linspace(70, 95, 80), torch.full((80,), 48.0)), 1)
    near = torch.cdist(pixels.double(), stroke.double()).min(1).values <= 18
    assert torch.equal(under_brush(scene, front(), stroke, 18), near)
    assert int(near[BLUE].sum()) == 40
    behind = front()
    behind.viewmats[0, 2, 3] = -4
    assert not in_rectangle(scene, behind, (-1e6, -1e6), (1e6, 1e6)).any()


def test_the_surface_is_what_a_picture_shows() -> None:
    scene = ball_over_floor()
    hidden = scene.means.clone()
    hidden[BLUE] = torch.tensor([0.0, 0, 40.0])  # far behind, one pixel of a gap
    hidden[RED] = torch.tensor([0.0, 0.0, 0.0]) + torch.randn(
        40, 3, generator=torch.Generator().manual_seed(0)
    ) * torch.tensor([0.3, 0.3, 0.01])
    scene.means, scene.log_scales = hidden, torch.full((120, 3), math.log(0.2))
    scene.logit_opacities = torch.full((120,), 5.0)
    found = shown(scene, front())
    assert not found[BLUE].any()
    assert found[RED].any()


def test_a_click_finds_the_point_below_it() -> None:
    scene = ball_over_floor()
    point = point_under(scene, front(), (64 - 17.5, 48.5))
    assert point is not None
    assert float((point - torch.tensor([-0.7, 0, 0]).double()).norm()) < 0.5
    assert point_under(scene, front(), (1, 1)) is None


def test_combinations() -> None:
    old, new = torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([1, 0, 1, 0]).bool()
    expected = {
        "new": [1, 0, 1, 0],
        "add": [1, 1, 1, 0],
        "remove": [0, 1, 0, 0],
        "both": [1, 0, 0, 0],
    }
    for how, values in expected.items():
        assert combine(old, new, how).tolist() == [bool(value) for value in values]
    with pytest.raises(UsageError, match="expected one of new, add"):
        combine(old, new, "xor")


def test_the_first_camera_counts() -> None:
    scene = ball_over_floor()
    assert torch.equal(on_screen(scene, ring())[0], on_screen(scene, ring()[:1])[0])
