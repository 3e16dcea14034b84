from __future__ import annotations

import math

import pytest
import torch

from splatkit.core import Cameras, UsageError
from splatkit.render.keyframes import keyframe, through
from tests.scenes import ring


def some(count: int = 4) -> Cameras:
    views = ring(8)[:count]
    views.Ks[:, 0, 0] = views.Ks[:, 1, 1] = torch.linspace(20, 60, count).double()
    return views


def test_every_keyframe_is_passed() -> None:
    views = some()
    path = through(views, 31, 96, 64)
    for index in range(4):
        torch.testing.assert_close(path.viewmats[10 * index], views.viewmats[index])
        # The same vertical field of view on twice the height.
        assert float(path.Ks[10 * index, 1, 1]) == pytest.approx(2 * float(views.Ks[index, 1, 1]))
    turns = path.viewmats[:, :3, :3]
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).double().expand_as(turns))


def test_a_loop_closes_smoothly() -> None:
    views = ring(8)
    path = through(views, 80, 48, 32, loop=True)
    torch.testing.assert_close(path.viewmats[::10], views.viewmats)
    steps = (path.positions.roll(-1, 0) - path.positions).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.2, "even over the seam"
    radius = path.positions[:, (0, 2)].norm(dim=1)
    torch.testing.assert_close(radius, torch.full_like(radius, 4.0), atol=0.1, rtol=0)


def test_even_speed() -> None:
    views = ring(32)[torch.tensor([0, 1, 2, 8, 14])]
    uneven, even = (
        (p.positions[1:] - p.positions[:-1]).norm(dim=1)
        for p in (through(views, 200, 48, 32), through(views, 200, 48, 32, even=True))
    )
    assert float(uneven.max() / uneven.min()) > 3
    assert float(even.max() / even.min()) < 1.5


def test_one_keyframe_stands_still() -> None:
    view = keyframe(ring().viewmats[3], 0.8)
    path = through(view, 5, 48, 32, loop=True, even=True)
    torch.testing.assert_close(path.viewmats, view.viewmats.expand(5, 4, 4))
    assert float(path.Ks[0, 1, 1]) == pytest.approx(16 / math.tan(0.4))


def test_wrong_numbers() -> None:
    for views, frames in ((some()[:0], 5), (some(), 0), (some(), 10**6)):
        with pytest.raises(UsageError, match="path: expected"):
            through(views, frames, 48, 32)
