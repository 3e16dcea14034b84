"""Splits, orders and draws on a GPU are those of the plain version in ``splatkit.train``."""

from __future__ import annotations

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends._cuda_rows import RowKernels
from splatkit.train.strategies.base import Model
from splatkit.train.strategies.moves import morton_order, split
from tests.render.cases import Case, random_gaussians
from tests.simt.driver import SimtDriver


def model(count: int, degree: int) -> Model:
    """Gaussians with moments of which no two are equal."""
    case = Case("rows", count=count, degree=degree, cameras=1)
    made = Model.start(random_gaussians(case).to(torch.float32))
    made.gaussians.extra["label"] = torch.arange(count)
    g = torch.Generator().manual_seed(count)
    for moments in (made.adam.first, made.adam.second):
        for moment in moments.values():
            moment += torch.rand(moment.shape, generator=g)
    made.adam.step = 7
    return made


@pytest.mark.parametrize(("count", "degree", "chosen"), [(300, 3, 90), (129, 0, 129), (40, 1, 0)])
@pytest.mark.parametrize("in_order", [True, False])
def test_splits(
    count: int, degree: int, chosen: int, in_order: bool, driver: SimtDriver, shuffled: SimtDriver
) -> None:
    old = model(count, degree)
    alive = (
        torch.arange(count)[torch.arange(count) % 7 != 3] if count > 200 else torch.arange(count)
    )
    places = torch.randperm(len(alive), generator=torch.Generator().manual_seed(1))[:chosen]
    expected = split(old, alive, places)
    kernels = RowKernels(driver if in_order else shuffled)
    gaussians, adam = kernels.split(old.gaussians, old.adam, alive, places)
    assert torch.equal(gaussians.extra["label"], expected.gaussians.extra["label"])
    assert adam.step == 7
    for name, tensor in expected.gaussians.parameters().items():
        torch.testing.assert_close(getattr(gaussians, name), tensor, rtol=1e-5, atol=1e-6)
        assert torch.equal(adam.first[name], expected.adam.first[name])
        assert torch.equal(adam.second[name], expected.adam.second[name])


@pytest.mark.parametrize("count", [0, 1, 500, 4000])
def test_morton_order(count: int, driver: SimtDriver, shuffled: SimtDriver) -> None:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) * 10
    points[::5] = points[:1].clone()
    for each in (driver, shuffled):
        order = RowKernels(each).morton_order(points)
        assert torch.equal(order.long(), morton_order(points))


def test_samples_are_different_and_repeatable(driver: SimtDriver, shuffled: SimtDriver) -> None:
    weights = torch.zeros(5000)
    weights[::2] = torch.rand(2500, generator=torch.Generator().manual_seed(0)) + 1e-3
    drawn = RowKernels(driver).sample(weights, 1200, seed=2**62 + 5)
    assert drawn.unique().numel() == 1200
    assert (drawn % 2 == 0).all()
    assert torch.equal(RowKernels(shuffled).sample(weights, 1200, seed=2**62 + 5), drawn)
    assert not torch.equal(RowKernels(driver).sample(weights, 1200, seed=4), drawn)


def test_pictures_do_not_grow(driver: SimtDriver) -> None:
    with pytest.raises(SplatkitError, match="at least 9x5 pixels to shrink to that, got 8x6"):
        RowKernels(driver).shrink(torch.zeros(6, 8, 3, dtype=torch.uint8), 9, 5)


def test_random_steps_have_the_shape_of_their_gaussians(driver: SimtDriver) -> None:
    """As many alike, of which the opaque ones stay: covariance (R S^2 R^T)^2, held back."""
    count = 6000
    gaussians = model(count, 0).gaussians
    gaussians.means.zero_()
    gaussians.quats[:] = torch.tensor([0.9, 0.1, -0.3, 0.2])
    gaussians.log_scales[:] = torch.tensor([-0.5, 0.2, -1.0])
    gaussians.logit_opacities[: count // 2] = 4.0
    gaussians.logit_opacities[count // 2 :] = torch.tensor(0.01).logit()
    first = gaussians.clone()
    RowKernels(driver).disturb(first, 2.0, 0.01, 100.0, seed=2**63 + 9)
    assert not first.means[: count // 2].any()
    steps = first.means[count // 2 :]
    rotation = rotation_from_quat(gaussians.quats[:1])[0]
    shape = rotation @ torch.diag(gaussians.log_scales[0].mul(2).exp()) @ rotation.mT
    # Half held back, twice as strong: the covariance itself.
    expected = shape @ shape
    assert steps.mean(0).abs().max() < 0.08
    assert (steps.mT.cov() - expected).norm() < 0.08 * expected.norm()
    again = gaussians.clone()
    RowKernels(driver).disturb(again, 2.0, 0.01, 100.0, seed=2**63 + 9)
    assert torch.equal(again.means, first.means)
    RowKernels(driver).disturb(again, 2.0, 0.01, 100.0, seed=5)
    assert not torch.equal(again.means, 2 * first.means)
