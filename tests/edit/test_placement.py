from __future__ import annotations

import math

import pytest
import torch

from splatkit.core import Gaussians, Photo, SplatkitError, UsageError, camera_of
from splatkit.core.transforms import rotation_from_quat
from splatkit.edit.placement import (
    AXES,
    Similarity,
    about,
    find_floor,
    floor_of_points,
    scale_to,
    turn_between,
    up_of_photos,
)
from splatkit.render import render
from splatkit.render.paths import UP
from tests.scenes import ball_over_floor, ring


def some() -> Similarity:
    turn = rotation_from_quat(torch.tensor([0.9, 0.2, -0.3, 0.1], dtype=torch.float64))
    return Similarity(turn, 1.7, torch.tensor([0.3, -2.0, 1.0], dtype=torch.float64))


def photos() -> list[Photo]:
    cameras = ring(6)
    return [
        Photo(f"{i}", None, 48, 32, cameras.viewmats[i], cameras.Ks[i])  # type: ignore[arg-type]
        for i in range(6)
    ]


def test_a_photo_moves_with_the_scene() -> None:
    scene, photo, move = ball_over_floor(), photos()[2], some()
    before = render(scene, camera_of(photo).to(torch.float32), outputs=("depth",))
    after = render(
        move.moved(scene), camera_of(move.photo(photo)).to(torch.float32), outputs=("depth",)
    )
    torch.testing.assert_close(after.rgb, before.rgb, atol=2e-3, rtol=0)
    torch.testing.assert_close(after.depth, 1.7 * before.depth, atol=1e-2, rtol=1e-3)


def test_moves_follow_one_another() -> None:
    point = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    first, second = some(), about(point, turn_between((0, 0, 1)), 2.0)
    both = first.then(second)
    torch.testing.assert_close(both.point(point), second.point(first.point(point)))
    torch.testing.assert_close(both.matrix(), second.matrix() @ first.matrix())
    torch.testing.assert_close(second.point(point), point)
    assert Similarity().is_identity
    assert not both.is_identity


@pytest.mark.parametrize("axis", [*AXES.values(), (1, 2, 3), (0.1, 1, 0)])
def test_any_direction_becomes_up(axis: tuple[float, float, float]) -> None:
    turn = turn_between(axis)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    start = torch.tensor(axis, dtype=torch.float64)
    torch.testing.assert_close(turn @ (start / start.norm()), torch.tensor(UP, dtype=torch.float64))


def test_photos_know_which_way_is_up() -> None:
    torch.testing.assert_close(up_of_photos(photos()), torch.tensor(UP, dtype=torch.float64))
    tilted = [some().photo(photo) for photo in photos()]
    torch.testing.assert_close(
        some().rotation.mT @ up_of_photos(tilted), torch.tensor(UP, dtype=torch.float64)
    )
    with pytest.raises(SplatkitError, match="scene with photos"):
        up_of_photos([])


def test_a_leaning_floor_is_levelled() -> None:
    scene = ball_over_floor(600)
    lean = Similarity(
        rotation_from_quat(torch.tensor([math.cos(0.1), 0, 0, math.sin(0.1)], dtype=torch.float64)),
        2.0,
        torch.tensor([1.0, -3.0, 2.0], dtype=torch.float64),
    )
    floor = find_floor(lean.moved(scene))
    level = lean.then(floor.levelled()).moved(scene)
    assert float(level.means[400:, 1].abs().max()) < 0.02
    assert float(level.means[:400, 1].mean()) < -1, "the balls are above it"
    assert floor.share > 0.25


def test_no_floor_is_told() -> None:
    chance = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
    scene = ball_over_floor(600)
    cloud = Gaussians(chance, scene.quats, scene.log_scales, scene.logit_opacities, scene.sh)
    with pytest.raises(SplatkitError, match="no level plane"):
        find_floor(cloud)
    with pytest.raises(SplatkitError, match="too few"):
        find_floor(scene[:5])


def test_three_points_make_a_floor() -> None:
    points = [torch.tensor(p) for p in ((0.0, 1.0, 0.0), (1.0, 1.1, 0.0), (0.0, 1.0, 1.0))]
    level = floor_of_points(points).levelled()
    for point in points:
        assert float(level.point(point.double())[1]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UsageError, match="not on one line"):
        floor_of_points([torch.tensor([float(i), 0.0, 0.0]) for i in range(3)])


def test_a_known_distance_gives_the_scale() -> None:
    a, b = torch.tensor([0.0, 0, 0]), torch.tensor([0.0, 3, 4])
    assert scale_to(a, b, 2.0) == pytest.approx(0.4)
    for points, distance in (((a, a), 1.0), ((a, b), 0.0), ((a, b), math.nan)):
        with pytest.raises(UsageError, match="distance: expected"):
            scale_to(*points, distance)
