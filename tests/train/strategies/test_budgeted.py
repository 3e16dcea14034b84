"""Growth to a budget: counts, what moves, and that the picture stays."""

from dataclasses import replace

import pytest
import torch

from splatkit.core.transforms import rotation_from_quat
from splatkit.train.metrics import psnr
from splatkit.train.strategies import Budget, BudgetedGrowth, Occasion
from splatkit.train.strategies.moves import error_scores, morton_order, split
from tests.train.strategies.common import chance, make_model, occasion, picture


@pytest.fixture
def model():
    return make_model()


def test_splitting_hardly_changes_the_picture(model):
    before = picture(model.gaussians)
    after = split(model, torch.arange(50), torch.arange(50))
    assert len(after.gaussians) == 100
    assert psnr(picture(after.gaussians), before) > 32


def test_halves_straddle_the_old_centre_along_its_longest_axis(model):
    parent = model.gaussians[torch.tensor([7])]
    halves = split(model, torch.tensor([7]), torch.tensor([0])).gaussians
    torch.testing.assert_close(halves.means.mean(0), parent.means[0])
    axis = int(parent.log_scales[0].argmax())
    apart = (halves.means[0] - halves.means[1]) / 2
    direction = rotation_from_quat(parent.quats)[0, :, axis]
    torch.testing.assert_close(apart.abs(), (direction * float(apart.norm())).abs())
    # The pair is about as long as the parent was: its variance is kept within 15%.
    variance = float(halves.scales[0, axis]) ** 2 + float(apart.norm()) ** 2
    assert variance == pytest.approx(float(parent.scales[0, axis]) ** 2, rel=0.15)


def test_moments_follow_the_old_and_start_at_zero_for_the_new(model):
    after = split(model, torch.arange(50), torch.tensor([3]))
    labels = after.gaussians.extra["label"]
    fresh = labels == 3
    assert int(fresh.sum()) == 2
    for moments in (after.adam.first, after.adam.second):
        for moment in moments.values():
            assert not moment[fresh].any()
            assert (moment[~fresh] == 1).all()


def test_the_dead_move_and_the_count_stays(model):
    model.gaussians.logit_opacities[:10] = -9.0
    model.gaussians.means[10] = float("nan")
    growth = BudgetedGrowth(surplus=0.0)
    after = growth.refine(model, occasion(50, 50, 0.5), chance())
    assert len(after.gaussians) == 50
    assert set(after.gaussians.extra["label"].tolist()) <= set(range(11, 50))
    assert after.gaussians.finite_mask().all()
    assert after.statistics.score_sum.sum() == 0


def test_growth_prefers_what_is_wrong(model):
    model.statistics.score_sum[:] = 0
    model.statistics.score_sum[20:25] = 1
    growth = BudgetedGrowth(most_added=1.0, moved=0.0)
    after = growth.refine(model, occasion(50, 55, 1.0), chance())
    counts = torch.bincount(after.gaussians.extra["label"], minlength=50)
    assert counts[20:25].tolist() == [2] * 5
    assert len(after.gaussians) == 55


def test_target_rises_above_the_budget_and_comes_back_to_it():
    growth, budget = BudgetedGrowth(), Budget(100, 1000)
    counts = [growth.target(p / 100, budget) for p in range(101)]
    assert counts[0] == 100
    assert max(counts) == growth.target(growth.stop, budget) == growth.peak * 1000 == 1500
    top = counts.index(1500)
    assert counts[:top] == sorted(counts[:top])
    assert counts[top:] == sorted(counts[top:], reverse=True)
    assert set(counts[75:]) == {1000}


def test_runs_of_any_length_end_with_the_budget():
    growth, budget = BudgetedGrowth(every=10), Budget(50, 60)
    for steps in (15, 25, 42, 60, 81, 100, 250, 1000):
        model, most = make_model(), 0
        for step in range(1, steps + 1):
            progress = step / steps
            if growth.is_due(step, progress):
                model.statistics.weight_sum += 1.0
                model.statistics.score_sum += 1.0
                model.statistics.visible_count += 1
                now = Occasion(step, progress, budget, 4.0)
                foreseen = growth.count_after(len(model.gaussians), now)
                model = growth.refine(model, now, chance())
                assert len(model.gaussians) == foreseen
                most = max(most, len(model.gaussians))
        assert len(model.gaussians) == (60 if most else 50), steps
        assert most <= growth.peak * 60
    assert most > 80


def test_those_that_show_least_are_pruned_down_to_the_budget(model):
    model.statistics.weight_sum[:] = 5.0
    model.statistics.weight_sum[30:45] = 0.01
    growth = BudgetedGrowth(moved=0.0)
    after = growth.refine(model, occasion(10, 35, growth.lean_from), chance())
    assert after.gaussians.extra["label"].sort().values.tolist() == [*range(30), *range(45, 50)]


def test_those_that_show_least_move_to_what_is_wrong(model):
    model.statistics.weight_sum[:] = 5.0
    model.statistics.weight_sum[7] = 0.01
    model.statistics.score_sum[:] = 0
    model.statistics.score_sum[20] = 1
    growth = BudgetedGrowth(every=10, moved=0.1, surplus=0.0)
    after = growth.refine(model, replace(occasion(10, 50, 0.8), step=40), chance())
    labels = after.gaussians.extra["label"]
    assert 7 not in labels
    assert (labels == 20).sum() == 2
    assert len(labels) == 50


def test_what_no_photo_was_asked_about_stays(model):
    model.statistics.weight_sum[:] = 5.0
    model.statistics.weight_sum[:20] = 0
    model.statistics.visible_count[:20] = 0
    growth = BudgetedGrowth(moved=0.0)
    after = growth.refine(model, occasion(10, 40, growth.lean_from), chance())
    assert set(range(20)) <= set(after.gaussians.extra["label"].tolist())


def test_pruning_that_knows_too_little_takes_no_part_of_space_away():
    """Rows stand in Morton order: the first of them are one half of the scene."""
    model = make_model()
    model = model[morton_order(model.gaussians.means)]
    first, last = torch.arange(25), torch.arange(25, 50)
    model.gaussians.log_scales[first[::2]] -= 2
    model.gaussians.logit_opacities[last[::2]] = -4.0
    growth = BudgetedGrowth(moved=0.0)
    wanted = sorted(model.gaussians.extra["label"][torch.cat((first[1::2], last[1::2]))].tolist())
    for seen in (0, 20):
        model.statistics.visible_count[:seen] = 1
        after = growth.refine(model, occasion(10, 24, 1.0), chance())
        assert sorted(after.gaussians.extra["label"].tolist()) == wanted


def test_refinement_is_the_same_for_the_same_chance(model):
    first, second = (
        BudgetedGrowth().refine(model, occasion(50, 80, 0.6), chance()) for _ in range(2)
    )
    assert torch.equal(first.gaussians.means, second.gaussians.means)


def test_scores_are_means_over_views(model):
    model.statistics.visible_count[0] = 0
    scores = error_scores(model.statistics)
    assert float(scores[1]) == pytest.approx(1.0)
    assert torch.isfinite(scores).all()


def test_nothing_left_alive_is_survived(model):
    model.gaussians.logit_opacities[:] = -20.0
    after = BudgetedGrowth().refine(model, occasion(50, 100, 0.5), chance())
    assert len(after.gaussians) == 0


def test_morton_order_keeps_neighbours_together():
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.01, 0, 0], [0.99, 1, 1]])
    assert set(morton_order(corners)[:2].tolist()) == {0, 2}
    assert morton_order(torch.zeros(0, 3)).shape == (0,)
    assert sorted(morton_order(torch.zeros(4, 3)).tolist()) == [0, 1, 2, 3]
