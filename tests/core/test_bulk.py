"""The bulk of a scene, and what is too large for it."""

import torch

from splatkit.core import Gaussians
from splatkit.core.bulk import bulk, giants


def _ball(count: int) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    return Gaussians(
        means=torch.randn(count, 3, generator=generator) + torch.tensor([5.0, 0, 0]),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), -3.0),
        logit_opacities=torch.zeros(count),
        sh=torch.zeros(count, 1, 3),
    )


def test_floaters_do_not_move_the_bulk():
    scene = _ball(200)
    center, radius = bulk(scene)
    scene.means[:40] = 1e6
    scene.logit_opacities[:40] = -4.0
    again, same = bulk(scene)
    assert float((again - center).norm()) < 0.2
    assert abs(same - radius) < 0.2
    assert 1 < radius < 3


def test_giants_are_larger_than_the_bulk():
    scene = _ball(100)
    radius = bulk(scene)[1]
    scene.log_scales[:3, 1] = torch.tensor([0.9, 1.1, 2.1]).mul(radius).log()
    assert giants(scene).nonzero().flatten().tolist() == [1, 2]
    assert giants(scene, 2).nonzero().flatten().tolist() == [2]


def test_nothing_has_a_bulk_too():
    nothing = _ball(0)
    assert bulk(nothing)[1] == 1
    assert giants(nothing).shape == (0,)
