"""The loop: it learns, stops and goes on as if it had not stopped."""

import signal
from dataclasses import replace

import pytest
import torch

from splatkit.core import Note, SplatkitError, UsageError, drain
from splatkit.io.registry import write_gaussians
from splatkit.render.backends import get_backend
from splatkit.train import schedule
from splatkit.train import trainer as trainer_module
from splatkit.train.config import Recipe, TrainConfig
from splatkit.train.evaluate import evaluate
from splatkit.train.events import Finished, Saved, Started, StepDone
from splatkit.train.initialize import Initialization
from splatkit.train.photos import load_views
from splatkit.train.presets import sized
from splatkit.train.shell import Shell
from splatkit.train.start import within_budgets
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.strategies import BudgetedGrowth, Classic, Mcmc, budgeted
from splatkit.train.surface import Surface
from splatkit.train.timing import Clock, StepCost
from splatkit.train.trainer import train
from tests.train.photographed import events_of, make_gaussians, make_scene, same

FAST = TrainConfig(
    iterations=24,
    max_gaussians=120,
    sh_degree=1,
    threads=1,
    recipe=Recipe(
        budgeted=BudgetedGrowth(every=5),
        mcmc=Mcmc(every=5),
        classic=Classic(every=5, gradient=1e-5, stop=0.9, reset_every=10),
        initialization=Initialization(least_points=1, fill=60),
        shell=Shell(count=0),
        surface=Surface(few_photos=0),
    ),
)


def held_out_psnr(scene, gaussians, config):
    views = drain(load_views(scene.held_out_photos, config.picture_size, scene.background))
    results = drain(evaluate(gaussians, views, scene.background))
    return sum(r.psnr for r in results) / len(results)


def test_training_learns_the_scene(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    config = replace(FAST, iterations=500)
    events, gaussians = events_of(train(scene, tmp_path / "run", config))
    assert held_out_psnr(scene, gaussians, config) > 24
    assert len(gaussians) == 120
    assert isinstance(events[-1], Finished)
    steps = [e for e in events if isinstance(e, StepDone)]
    assert steps[-1].step == 500
    assert steps[-1].seconds_left == 0
    assert steps[-1].loss < 0.6 * steps[0].loss


class _LastChangeMissed(BudgetedGrowth):
    """As under a time limit, when the steps that were planned turn out to take too long."""

    def is_due(self, step, progress):
        return progress < 0.7 and super().is_due(step, progress)


def test_a_change_left_out_leaves_no_more_than_the_budget(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    recipe = replace(FAST.recipe, budgeted=_LastChangeMissed(every=2, most_added=1.0))
    config = replace(FAST, iterations=60, recipe=recipe)
    events, gaussians = events_of(train(scene, tmp_path / "run", config))
    assert max(e.num_gaussians for e in events if isinstance(e, StepDone)) > 130
    assert len(gaussians) == 120


def stopped(work, step):
    """Close a training after that step."""
    next(event for event in work if isinstance(event, StepDone) and event.step == step)
    work.close()


def test_a_late_lower_budget_leaves_all_parts_of_the_scene(scene, tmp_path, monkeypatch):
    """Nothing changes any more at that point of the schedule, until the last step prunes."""
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    recipe = replace(FAST.recipe, budgeted=BudgetedGrowth(every=20))
    config = replace(FAST, iterations=96, recipe=recipe)
    stopped(train(scene, tmp_path / "run", config), 84)
    before = load_state(tmp_path / "run" / "checkpoints" / "step_0000084.npz").model
    assert not before.statistics.visible_count.any()
    looked_at = []
    real = budgeted.most_shown

    def noted(model, rows, count):
        looked_at.append(model.statistics.visible_count.clone())
        return real(model, rows, count)

    monkeypatch.setattr(budgeted, "most_shown", noted)
    fewer = replace(config, max_gaussians=60, resume=True)
    events, gaussians = events_of(train(scene, tmp_path / "run", fewer))
    told = [event.text for event in events if isinstance(event, Note)]
    assert told == [
        "The scene now grows to 60 Gaussians instead of 120; of the 120 that there are those that "
        "show least are removed"
    ]
    assert len(gaussians) == 60
    assert (looked_at[-1] > 0).float().mean() > 0.9
    middle = before.gaussians.means.median(0).values
    assert ((gaussians.means > middle).float().mean(0) - 0.5).abs().max() < 0.25


@pytest.mark.parametrize("strategy", ["mcmc", "classic"])
def test_a_late_lower_budget_leaves_other_strategies_alone(scene, tmp_path, monkeypatch, strategy):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    config = replace(FAST, iterations=30, strategy=strategy)
    stopped(train(scene, tmp_path / "run", config), 28)
    before = load_state(tmp_path / "run" / "checkpoints" / "step_0000028.npz").model.gaussians
    fewer = replace(config, max_gaussians=62, resume=True)
    events, gaussians = events_of(train(scene, tmp_path / "run", fewer))
    assert any(f"the {len(before)} that there are stay" in getattr(e, "text", "") for e in events)
    assert len(gaussians) == len(before) > 62
    assert gaussians.opacities.mean() > 0.5 * before.opacities.mean()


class _CountsForeseen(Clock):
    """Notes the cost that is foreseen of the steps to come, once a step."""

    def seconds_for(self, cost, progress, steps):
        self.costs.append(cost)
        return super().seconds_for(cost, progress, steps)


def test_as_many_gaussians_are_foreseen_as_there_come_to_be(scene, tmp_path, monkeypatch):
    """At few and large changes, too, where growth cannot keep up with what there should be."""
    costs = _CountsForeseen.costs = []
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    monkeypatch.setattr(trainer_module, "Clock", _CountsForeseen)
    monkeypatch.setattr(StepCost, "parts", lambda self, pixels, gaussians, *rest: (1.0, gaussians))
    events, _ = events_of(train(scene, tmp_path / "run", FAST))
    steps = [event for event in events if isinstance(event, StepDone)]
    there = [event.num_gaussians for event in steps]
    assert len(set(there)) > 3
    for now, cost in enumerate(costs):
        foreseen = [cost(event.step / FAST.iterations)[1] for event in steps[now:]]
        assert foreseen == there[now:]


@pytest.mark.parametrize("strategy", ["budgeted", "mcmc", "classic"])
def test_stopping_and_going_on_changes_no_bit(scene, tmp_path, monkeypatch, strategy):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    config = replace(FAST, strategy=strategy)
    whole = drain(train(scene, tmp_path / "whole", config))
    assert len(whole) > 62
    broken = train(scene, tmp_path / "broken", config)
    for event in broken:
        if isinstance(event, StepDone) and event.step == 13:
            break
    broken.close()
    newest = newest_checkpoint(tmp_path / "broken" / "checkpoints")
    assert newest is not None
    assert load_state(newest).step == 13
    events, resumed = events_of(train(scene, tmp_path / "broken", replace(config, resume=True)))
    started = next(e for e in events if isinstance(e, Started))
    assert started.resumed_step == load_state(newest).step
    assert same(resumed, whole)


@pytest.mark.parametrize("strategy", ["mcmc", "classic"])
def test_every_strategy_learns_the_scene(scene, tmp_path, strategy):
    config = replace(FAST, iterations=500, strategy=strategy)
    recipe = replace(FAST.recipe, classic=Classic(every=10, reset_every=200))
    gaussians = drain(train(scene, tmp_path / "run", replace(config, recipe=recipe)))
    assert 60 < len(gaussians) <= 120
    assert held_out_psnr(scene, gaussians, config) > 20


def test_every_step_may_be_the_last_before_a_stop(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    whole = drain(train(scene, tmp_path / "whole", FAST))
    folder = tmp_path / "broken"
    result = None
    while result is None:
        work = train(scene, folder, replace(FAST, resume=True))
        try:
            steps = 0
            while steps < 7:
                steps += isinstance(next(work), StepDone)
            work.close()
        except StopIteration as stop:
            result = stop.value
    assert same(result, whole)


@pytest.fixture
def ctrl_c_raises():
    """Python's own handler, which a test run in the background starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_inside_a_step_saves_a_whole_state(scene, tmp_path, monkeypatch):
    backend = get_backend(FAST.backend)
    real = backend.l1_ssim
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 8:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(backend, "l1_ssim", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        drain(train(scene, tmp_path / "run", FAST))
    monkeypatch.undo()
    newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert load_state(newest).step == 8
    resumed = drain(train(scene, tmp_path / "run", replace(FAST, resume=True)))
    assert same(resumed, drain(train(scene, tmp_path / "whole", FAST)))


def test_raising_the_iterations_says_so_and_goes_on(scene, tmp_path):
    drain(train(scene, tmp_path / "run", FAST))
    longer = replace(FAST, iterations=30, resume=True)
    events, _ = events_of(train(scene, tmp_path / "run", longer))
    assert any("ends at step 30 instead of 24" in getattr(e, "text", "") for e in events)
    assert isinstance(events[-1], Finished)
    assert events[-1].step == 30


def test_a_time_limit_is_kept_with_a_finished_schedule(scene, tmp_path):
    endless = replace(FAST.recipe, steps_per_square=1e9)
    config = replace(FAST, iterations=100_000, time_limit="4s", recipe=endless)
    events, gaussians = events_of(train(scene, tmp_path / "run", config))
    done = events[-1]
    assert isinstance(done, Finished)
    assert 1 < done.step < 100_000
    last = load_state(tmp_path / "run" / "checkpoints" / f"step_{done.step:07d}.npz")
    assert last.pace.progress(last.step) == 1.0
    assert len(gaussians) == 120


def test_starting_anew_deletes_what_was_there(scene, tmp_path):
    drain(train(scene, tmp_path / "run", FAST))
    events, _ = events_of(train(scene, tmp_path / "run", replace(FAST, iterations=6)))
    saved = [e.path.name for e in events if isinstance(e, Saved)]
    assert saved == ["step_0000006.npz"]
    left = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["step_0000000.npz", "step_0000006.npz"]


def test_transparent_photos_without_points_fill_their_hull(tmp_path):
    scene = make_scene(tmp_path, alpha=True, points=False)
    recipe = replace(FAST.recipe, initialization=Initialization(fill=200))
    config = replace(FAST, iterations=300, max_gaussians=300, recipe=recipe)
    gaussians = drain(train(scene, tmp_path / "run", config))
    assert held_out_psnr(scene, gaussians, config) > 20
    assert float(gaussians.means.abs().quantile(0.9)) < 1.8


def test_few_photos_end_training_early(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "_LEAST_STEPS", 1)
    recipe = replace(FAST.recipe, steps_per_square=0.1)
    config = replace(FAST, preset="draft", iterations=None, recipe=recipe)
    events, _ = events_of(train(scene, tmp_path / "run", config))
    finished = next(e for e in events if isinstance(e, Finished))
    assert finished.step == round(0.1 * 11**2)
    (told,) = [e.text for e in events if isinstance(e, Note) and "by heart" in e.text]
    assert told.startswith("11 photos are known by heart after some 12 steps")
    assert "(--recipe.steps-per-square 0 for more)" in told
    timed = replace(config, time_limit="1h", recipe=replace(recipe, steps_per_square=1.0))
    events, _ = events_of(train(scene, tmp_path / "timed", timed))
    assert next(e for e in events if isinstance(e, Finished)).step == 121


def test_a_start_with_more_gaussians_than_were_asked_for_is_refused(scene, tmp_path):
    file = tmp_path / "large.ply"
    write_gaussians(make_gaussians(61), file)
    config = replace(FAST, start=file, max_gaussians=60)
    with pytest.raises(UsageError, match=r"at most 60 .* got 61; .*splatkit edit") as no:
        drain(train(scene, tmp_path / "run", config))
    assert "\n" not in str(no.value)
    assert not (tmp_path / "run").exists()
    write_gaussians(make_gaussians(400_000), file)
    little = TrainConfig(preset="draft", start=file, memory_budget="600M")
    with pytest.raises(UsageError, match=r"--memory-budget\), got 400,000"):
        drain(train(scene, tmp_path / "run", sized(little)))


def test_a_start_with_more_than_the_presets_gaussians_counts_in_memory(scene, tmp_path):
    file, cpu = tmp_path / "large.ply", torch.device("cpu")
    config = sized(TrainConfig(preset="draft", start=file))
    for count in (config.budget + 1, 7):
        write_gaussians(make_gaussians(count), file)
        fitted = drain(within_budgets(scene, config, tmp_path, cpu))
        assert fitted.budget == max(count, config.budget)


def test_every_photo_held_out_is_refused_in_one_line(scene, tmp_path):
    for photo in scene.photos:
        photo.held_out = True
    with pytest.raises(SplatkitError, match="expected photos to train on, got 13") as caught:
        drain(train(scene, tmp_path / "run", FAST))
    assert "\n" not in str(caught.value)


def test_a_photo_of_another_size_is_named(scene, tmp_path):
    scene.photos[3].width = 65
    with pytest.raises(SplatkitError, match=r"photo_03\.png: expected 65x48 pixels, got 64x48"):
        drain(train(scene, tmp_path / "run", FAST))


def test_one_photo_and_one_point_train(scene, tmp_path):
    scene.photos = scene.photos[1:2]
    scene.points, scene.point_colors = scene.points[:1], scene.point_colors[:1]
    gaussians = drain(train(scene, tmp_path / "run", FAST))
    assert torch.isfinite(gaussians.means).all()
