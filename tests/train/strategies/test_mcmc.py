"""Monte Carlo: where the dead go, that copies look like the one they share, and the noise."""

import math

import pytest
import torch

from splatkit.core import Gaussians
from splatkit.train.metrics import psnr
from splatkit.train.strategies import Budget, Mcmc
from splatkit.train.strategies.mcmc import MOST_COPIES, relocate, shared_look
from tests.train.strategies.common import chance, copies_of, make_model, occasion, picture


@pytest.fixture
def model():
    return make_model()


def look_by_the_papers_sum(opacity, count):
    """Equation 9 as it is written."""
    new = 1 - (1 - opacity) ** (1 / count)
    total = sum(
        math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1)
        for i in range(1, count + 1)
        for k in range(i)
    )
    return new, opacity / total


@pytest.mark.parametrize(
    ("opacity", "count"), [(0.3, 1), (0.3, 2), (0.9, 3), (0.99, 7), (0.05, 12)]
)
def test_look_of_copies_is_the_papers(opacity, count):
    found = shared_look(torch.tensor([opacity]).double(), torch.tensor([count]))
    expected = look_by_the_papers_sum(opacity, count)
    assert [float(f) for f in found] == pytest.approx(expected, rel=1e-6)


def test_look_stays_finite_up_to_the_most_copies():
    opacities = torch.tensor([1e-4, 0.5, 0.999, 1.0])
    new, factors = shared_look(opacities, torch.tensor([MOST_COPIES, MOST_COPIES, 900, 900]))
    assert ((new > 0) & (new < 1)).all()
    assert ((factors > 0) & (factors <= 1.001)).all()


def test_relocation_hardly_changes_the_picture(model):
    before = picture(model.gaussians)
    after = relocate(model, torch.arange(50), torch.arange(50))
    assert len(after.gaussians) == 100
    assert psnr(picture(after.gaussians), before) > 30
    naive = model[torch.arange(50).repeat(2)]
    assert psnr(picture(naive.gaussians), before) < 28


def test_the_dead_move_onto_the_living_and_the_count_stays(model):
    model.gaussians.logit_opacities[:10] = -9.0
    model.gaussians.means[10] = float("nan")
    after = Mcmc().refine(model, occasion(50, 50, 0.5), chance())
    assert len(after.gaussians) == 50
    assert not copies_of(model, after)[:11].any()
    assert after.gaussians.finite_mask().all()


def test_opaque_places_are_drawn_most(model):
    model.gaussians.logit_opacities[:] = -4.0
    model.gaussians.logit_opacities[20:25] = 4.0
    after = Mcmc().refine(model, occasion(50, 100, 0.8), chance())
    copies = copies_of(model, after)
    assert len(after.gaussians) == 100
    assert copies[20:25].sum() > 40


def test_moments_of_shared_places_start_at_zero(model):
    after = relocate(model, torch.arange(50), torch.tensor([3, 3]))
    fresh = after.gaussians.extra["label"] == 3
    assert int(fresh.sum()) == 3
    for moments in (after.adam.first, after.adam.second):
        for moment in moments.values():
            assert not moment[fresh].any()
            assert (moment[~fresh] == 1).all()


def test_target_runs_from_the_first_count_to_the_budget():
    strategy, budget = Mcmc(), Budget(100, 1000)
    counts = [strategy.target(p / 50, budget) for p in range(51)]
    assert counts[0] == 100
    assert counts[-1] == strategy.target(strategy.full, budget) == 1000
    assert counts == sorted(counts)
    assert Mcmc().target(0.5, Budget(0, 0)) == 0


def test_nothing_left_alive_is_survived(model):
    model.gaussians.logit_opacities[:] = -20.0
    after = Mcmc().refine(model, occasion(50, 100, 0.5), chance())
    assert len(after.gaussians) == 0
    Mcmc().disturb(after.gaussians, occasion(50, 100, 0.5), 1.0, chance())


def flat(count, opacity):
    """Gaussians of standard deviations 0.4, 0.1, 0.1, the long axis along y."""
    turned = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
    return Gaussians(
        torch.zeros(count, 3),
        turned.repeat(count, 1),
        torch.tensor([0.4, 0.1, 0.1]).log().repeat(count, 1),
        torch.full((count,), opacity).logit(),
        torch.zeros(count, 1, 3),
    )


def test_noise_has_the_shape_of_the_covariance_and_fades():
    gaussians = flat(4000, 1e-4)
    Mcmc(noise=2.0).disturb(gaussians, occasion(1, 1, 0.0), 0.5, chance())
    gate = 1 / (1 + math.exp(-100 * (0.005 - 1e-4)))
    expected = 2.0 * 0.5 / 4.0 * gate * torch.tensor([0.1, 0.4, 0.1]).square()
    torch.testing.assert_close(gaussians.means.std(0), expected, rtol=0.05, atol=0)


def test_noise_leaves_the_opaque_alone():
    gaussians = flat(10, 0.5)
    Mcmc().disturb(gaussians, occasion(1, 1, 0.0), 1.0, chance())
    assert gaussians.means.abs().max() < 1e-15
