from __future__ import annotations

import math

import pytest
import torch

from splatkit.core import Cameras, UsageError
from splatkit.core.bulk import bulk
from splatkit.core.transforms import look_at
from splatkit.render.paths import captured, circle, focus_of, orbit
from tests.scenes import UP, ball_over_floor, ring


def rotation_angles(cameras: Cameras) -> torch.Tensor:
    """[C-1] angle between neighbouring views, radians."""
    rotations = cameras.viewmats[:, :3, :3]
    trace = (rotations[1:] * rotations[:-1]).sum((1, 2))
    return torch.acos(((trace - 1) / 2).clamp(-1, 1))


def test_the_focus_is_where_the_axes_meet() -> None:
    assert torch.allclose(focus_of(ring()), torch.zeros(3, dtype=torch.float64), atol=0.05)


def test_an_orbit_goes_all_around_at_the_captured_height() -> None:
    path = orbit(ring(12), 60, 64, 48)
    eyes = path.positions
    assert torch.allclose(eyes[:, 1], torch.tensor(-1.0).double(), atol=0.05)
    assert torch.allclose(eyes[:, [0, 2]].norm(dim=1), torch.tensor(4.0).double(), atol=0.05)
    steps = (eyes - eyes.roll(1, 0)).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.1, "the loop does not close evenly"
    down = path.viewmats[:, 1, :3]
    assert float(down[:, 1].min()) > 0.5, "the pictures are not upright"
    assert (path.width, path.height) == (64, 48)


def test_an_orbit_of_a_front_view_stays_in_front() -> None:
    front = ring(8, span=math.radians(80))
    eyes = orbit(front, 40, 64, 48).positions
    assert float(eyes[:, 2].max()) < float(front.positions[:, 2].max()) + 0.1
    assert float((eyes[10] - eyes[30]).norm()) > 3, "it does not swing"


def test_views_that_look_outward_are_joined_instead() -> None:
    eyes = ring(9).positions
    cameras = ring(9)
    outward = Cameras(
        look_at(eyes, 2 * eyes, UP.expand_as(eyes)), cameras.Ks, cameras.width, cameras.height
    )
    path = orbit(outward, 17, 48, 32)
    assert torch.allclose(path.viewmats, captured(outward, 17, 48, 32).viewmats)


def test_a_captured_path_visits_the_views_smoothly() -> None:
    cameras = ring(10)
    path = captured(cameras, 200, 48, 32)
    distances = torch.cdist(cameras.positions, path.positions).amin(1)
    assert float(distances.max()) < 0.1
    steps = (path.positions[1:] - path.positions[:-1]).norm(dim=1)
    assert float(steps.max() / steps.mean()) < 1.5
    angles = rotation_angles(path)
    assert float(angles.max() / angles.mean()) < 1.5
    rotations = path.viewmats[:, :3, :3]
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3).double().expand(200, 3, 3))


def test_shuffled_views_are_walked_from_neighbour_to_neighbour() -> None:
    cameras = ring(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    walk = captured(cameras[order], 100, 48, 32).positions
    length = float((walk[1:] - walk[:-1]).norm(dim=1).sum())
    assert length < 30, "about one turn of 25 units"


@pytest.mark.parametrize("make", [orbit, captured])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_views_are_enough(make, count: int) -> None:
    path = make(ring(8)[:count], 5, 20, 10)
    assert len(path) == 5
    assert bool(torch.isfinite(path.viewmats).all())


def test_views_at_one_spot_turn() -> None:
    eyes = torch.zeros(4, 3, dtype=torch.float64)
    angle = torch.linspace(0, 1, 4).double()
    targets = torch.stack((angle.sin(), torch.zeros(4), angle.cos()), -1)
    views = look_at(eyes, targets, UP.expand_as(eyes))
    cameras = Cameras(views, ring(4).Ks, 48, 32)
    angles = rotation_angles(captured(cameras, 31, 48, 32))
    assert float(angles.min()) > 0.02


def test_a_circle_frames_the_bulk_in_spite_of_floaters() -> None:
    gaussians = ball_over_floor()
    gaussians.means[0] = torch.tensor([1e6, 0.0, 0.0])
    focus, radius = bulk(gaussians)
    assert float(focus.norm()) < 1
    assert 0.5 < radius < 3
    path = circle(gaussians, 4, 64, 48)
    assert float(path.positions[:, 1].max()) < 0, "the camera is above the scene"


def test_no_view_is_bad_use() -> None:
    with pytest.raises(UsageError, match="at least one camera"):
        orbit(ring(4)[:0], 10, 10, 10)
