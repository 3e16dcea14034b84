"""Classic densification: who is cloned, split, pruned and reset."""

from itertools import pairwise

import pytest
import torch

from splatkit.train.strategies import Classic
from splatkit.train.strategies.classic import clone_and_split
from tests.train.strategies.common import COUNT, chance, copies_of, make_model, occasion

EXTENT = 4.0


@pytest.fixture
def model():
    """Small Gaussians that no pixel pulls at."""
    model = make_model()
    model.gaussians.log_scales[:] = -5.0
    return model


def pull(model, rows, norm=1e-3):
    model.statistics.gradient_sum[rows] = norm * model.statistics.visible_count[rows]


def refined(model, strategy=None, step=1000, most=1000):
    strategy = strategy or Classic()
    return strategy.refine(model, occasion(COUNT, most, 0.2, step, EXTENT), chance())


def test_without_pull_nothing_is_added(model):
    pull(model, slice(None), 1.9e-4)
    assert copies_of(model, refined(model)).tolist() == [1] * COUNT


def test_small_ones_are_cloned_where_they_are(model):
    pull(model, [4])
    after = refined(model).gaussians
    pair = after.extra["label"] == 4
    assert len(after) == COUNT + 1
    assert torch.equal(after.means[pair], model.gaussians.means[[4, 4]])
    assert (after.log_scales[pair] == -5).all()


def test_large_ones_are_replaced_by_two_smaller_ones(model):
    model.gaussians.log_scales[4] = torch.tensor([0.5, 0.01, 0.01]).log()
    pull(model, [4])
    after = refined(model).gaussians
    pair = after.extra["label"] == 4
    assert len(after) == COUNT + 1
    torch.testing.assert_close(after.scales[pair][:, 0], torch.full((2,), 0.5 / 1.6))
    assert not torch.equal(*after.means[pair])


def test_halves_are_drawn_from_the_one_they_replace(model):
    model.gaussians.log_scales[4] = torch.tensor([0.5, 0.01, 0.01]).log()
    many = model[torch.full((2000,), 4)]
    everywhere = torch.ones(2000, dtype=torch.bool)
    halves = clone_and_split(many, ~everywhere, everywhere, 1.6, chance()).gaussians
    offsets = halves.means - model.gaussians.means[4]
    spread = torch.linalg.svdvals(offsets) / len(halves) ** 0.5
    torch.testing.assert_close(spread, torch.tensor([0.5, 0.01, 0.01]), rtol=0.05, atol=0)


def test_the_budget_goes_to_those_pulled_hardest(model):
    pull(model, range(10))
    pull(model, [7, 8], 1.0)
    copies = copies_of(model, refined(model, most=COUNT + 2))
    assert copies.sum() == COUNT + 2
    assert copies[[7, 8]].tolist() == [2, 2]
    assert copies_of(model, refined(model, most=COUNT - 5)).sum() == COUNT


def test_the_transparent_and_the_broken_go(model):
    model.gaussians.logit_opacities[:3] = -9.0
    model.gaussians.means[3] = float("nan")
    copies = copies_of(model, refined(model))
    assert copies.tolist() == [0] * 4 + [1] * (COUNT - 4)


def test_the_far_too_large_go_after_the_first_reset(model):
    model.gaussians.log_scales[5] = 0.0
    model.statistics.extent_max[6] = 0.9
    assert copies_of(model, refined(model, step=1000)).sum() == COUNT
    copies = copies_of(model, refined(model, step=3100))
    assert copies[[5, 6]].tolist() == [0, 0]
    assert copies.sum() == COUNT - 2


def test_opacities_are_reset_with_their_moments(model):
    strategy = Classic(reset_every=600)
    assert [step for step in range(0, 2000, 100) if strategy.makes_loss_rise(step)] == [
        600,
        1200,
        1800,
    ]
    before = refined(model, strategy, step=500)
    assert before.gaussians.opacities.max() > 0.5
    after = refined(model, strategy, step=600)
    assert after.gaussians.opacities.max() == pytest.approx(0.01)
    assert not after.adam.first["logit_opacities"].any()
    assert after.adam.first["means"].any()


def test_moments_start_at_zero_for_what_is_new(model):
    model.gaussians.log_scales[4] = -0.7
    pull(model, [3, 4])
    after = refined(model)
    labels = after.gaussians.extra["label"]
    moments = after.adam.first["means"][:, 0]
    assert sorted(moments[labels == 3].tolist()) == [0, 1]
    assert moments[labels == 4].tolist() == [0, 0]
    assert moments[labels < 3].all()


def test_growth_is_foreseen_as_even_from_what_there_is_to_the_budget():
    strategy, counts = Classic(every=100), [100]
    for step in range(100, 1000, 100):
        now = occasion(COUNT, 1000, step / 1000, step, EXTENT)
        if strategy.is_due(step, now.progress):
            counts.append(strategy.count_after(counts[-1], now))
    assert counts[-1] == pytest.approx(1000, rel=0.05)
    added = [after - before for before, after in pairwise(counts)]
    assert max(added) == pytest.approx(min(added), rel=0.05)
    # More than the budget is not foreseen to become less: nothing is pruned for it.
    assert strategy.count_after(2000, occasion(COUNT, 1000, 0.2, 200, EXTENT)) == 2000
