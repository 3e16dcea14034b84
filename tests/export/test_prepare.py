"""Crops, turns and fewer harmonics, and that cameras move with the scene."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from splatkit.core import UsageError
from splatkit.core.sh import basis
from splatkit.core.transforms import covariance_from_scale_rotation
from splatkit.export.prepare import (
    AXES,
    ExportOptions,
    cameras_turned,
    cropped,
    rotation_of,
    turned,
)
from splatkit.render import render
from splatkit.render.paths import circle
from tests.export.clouds import cloud


def test_axes_that_pointed_up_point_up():
    for name, axis in AXES.items():
        turn = rotation_of(ExportOptions(up=name))
        assert turn is not None
        start = torch.tensor(axis, dtype=torch.float64)
        assert torch.equal(turn @ start, torch.tensor([0.0, -1, 0], dtype=torch.float64))
        assert float(torch.linalg.det(turn)) == 1.0


def test_turns_are_about_x_then_y_then_z_by_the_right_hand():
    def turned_point(rotate, point):
        matrix = rotation_of(ExportOptions(rotate=rotate))
        assert matrix is not None
        return matrix @ torch.tensor(point, dtype=torch.float64)

    close = {"rtol": 0, "atol": 1e-12}
    expect = [((90, 0, 0), (0, 1, 0), (0, 0, 1)), ((0, 90, 0), (0, 0, 1), (1, 0, 0)),
              ((0, 0, 90), (1, 0, 0), (0, 1, 0)), ((90, 90, 0), (0, 1, 0), (1, 0, 0))]  # fmt: skip
    for rotate, point, goal in expect:
        goal = torch.tensor(goal, dtype=torch.float64)
        torch.testing.assert_close(turned_point(rotate, point), goal, **close)


def test_shape_place_and_colour_turn_together():
    before = cloud(degree=4).to(torch.float64)
    options = ExportOptions(up="z", rotate=(10, 20, 30), scale=2.5)
    after = turned(before, options)
    turn = rotation_of(options)
    torch.testing.assert_close(after.means, 2.5 * before.means @ turn.mT)
    covariances = covariance_from_scale_rotation(before.scales, before.quats)
    torch.testing.assert_close(
        covariance_from_scale_rotation(after.scales, after.quats),
        2.5**2 * turn @ covariances @ turn.mT,
    )
    direction = torch.tensor([0.36, 0.48, 0.8], dtype=torch.float64)
    torch.testing.assert_close(
        torch.einsum("k,nkc->nc", basis(4, turn @ direction), after.sh),
        torch.einsum("k,nkc->nc", basis(4, direction), before.sh),
    )


def test_cameras_that_turn_with_the_scene_see_the_same():
    before = cloud(degree=3).to(torch.float64)
    options = ExportOptions(rotate=(70, -20, 130), scale=0.5)
    cameras = circle(before, 3, 48, 36)
    moved = cameras_turned(cameras, options)
    pictures = [
        render(scene, view, backend="torch_ref", near=1e-6).rgb
        for scene, view in ((before, cameras), (turned(before, options), moved))
    ]
    torch.testing.assert_close(*pictures, rtol=0, atol=1e-9)
    assert float(pictures[0].mean()) > 0.01


def test_crop_of_a_box_and_of_a_ball():
    before = cloud()
    box = (0.0, -3.0, 0.0, 2.0, 0.0, 9.0)
    inside = [all(box[i] <= v <= box[i + 3] for i, v in enumerate(m)) for m in before.means]
    assert 0 < sum(inside) < 60
    assert torch.equal(cropped(before, box).means, before.means[torch.tensor(inside)])
    ball = (1.0, -2.0, 4.0, 2.0)
    near = ((before.means - torch.tensor(ball[:3])).square().sum(1) <= 4).nonzero()[:, 0]
    assert 0 < len(near) < 60
    assert torch.equal(cropped(before, ball).means, before.means[near])
    with pytest.raises(UsageError, match="none of the 60 Gaussians is inside"):
        cropped(before, (90.0, 90, 90, 91, 91, 91))


def test_fewer_harmonics():
    assert turned(cloud(), ExportOptions(sh_degree=1)).sh_degree == 1
    assert turned(cloud(), ExportOptions(sh_degree=4)).sh_degree == 2
    plain = replace(cloud(), sh=cloud().sh[:, :4])
    assert torch.equal(turned(cloud(), ExportOptions(sh_degree=1)).sh, plain.sh)
