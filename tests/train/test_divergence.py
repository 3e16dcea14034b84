"""Training that goes astray is noticed, explained and taken up from the last good state."""

import math
from dataclasses import replace

import pytest
import torch

from splatkit.core import Note, SplatkitError, drain
from splatkit.render.backends import get_backend
from splatkit.train.divergence import CAUTION, MOST_RECOVERIES, LossWatch, recovered
from splatkit.train.events import Finished
from splatkit.train.schedule import Pace
from splatkit.train.state import TrainingState, load_state, newest_checkpoint, save_state
from splatkit.train.strategies import Budget, Model
from splatkit.train.trainer import train
from tests.train.photographed import events_of, make_gaussians
from tests.train.test_trainer import FAST


def test_a_loss_that_falls_and_wavers_is_no_trouble():
    watch = LossWatch()
    for step in range(3000):
        watch.add(0.05 + 0.2 * math.exp(-step / 300) + 0.03 * math.sin(step))
    assert watch.trouble is None
    assert 0.02 < watch.mean < 0.08


def test_a_loss_that_rises_for_good_is_trouble():
    watch = LossWatch()
    for _ in range(1000):
        watch.add(0.05)
    for _ in range(3):
        watch.add(0.9)
    assert watch.trouble is None
    for _ in range(200):
        watch.add(0.9)
    assert "rose from 0.050 to 0." in str(watch.trouble)


def test_one_loss_that_is_not_finite_is_trouble_at_once():
    watch = LossWatch()
    watch.add(0.1)
    watch.add(math.nan)
    assert watch.trouble == "the loss is not finite"


def make_state(step, recoveries=0):
    model = Model.start(make_gaussians(20))
    return TrainingState(model, Budget(20, 20), Pace(900), step=step, recoveries=recoveries)


def test_the_newest_state_before_the_trouble_comes_back_without_broken_rows(tmp_path):
    save_state(make_state(100), tmp_path)
    good = make_state(200)
    good.model.gaussians.means[3] = math.nan
    save_state(good, tmp_path)
    found = recovered(tmp_path, make_state(250), "the loss is not finite")
    assert (found.step, found.recoveries) == (200, 1)
    assert len(found.model.gaussians) == 19
    assert torch.isfinite(found.model.gaussians.means).all()


def test_it_ends_after_a_few_tries_with_one_clear_line(tmp_path):
    save_state(make_state(100), tmp_path)
    with pytest.raises(SplatkitError, match=r"step 151.*last good state is step 100") as caught:
        recovered(tmp_path, make_state(150, MOST_RECOVERIES), "the loss is not finite")
    assert "\n" not in str(caught.value)
    with pytest.raises(SplatkitError, match="holds no good state"):
        recovered(tmp_path / "none", make_state(150), "the loss is not finite")


def test_a_run_survives_a_loss_that_is_not_finite_with_smaller_steps(scene, tmp_path, monkeypatch):
    backend = get_backend(FAST.backend)
    real, calls = backend.l1_ssim, []

    def breaking(*arguments):
        calls.append(1)
        loss, gradient = real(*arguments)
        return (math.nan if len(calls) == 12 else loss), gradient

    monkeypatch.setattr(backend, "l1_ssim", breaking, raising=False)
    events, gaussians = events_of(train(scene, tmp_path / "run", FAST))
    told = [e.text for e in events if isinstance(e, Note) and e.warning]
    assert told == [
        "Training went astray at step 12 (the loss is not finite): going on from step 0 with "
        "smaller steps"
    ]
    assert isinstance(events[-1], Finished)
    assert events[-1].step == 24
    assert torch.isfinite(gaussians.means).all()
    newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert load_state(newest).recoveries == 1
    assert CAUTION == 0.5


def test_what_resuming_changed_outlives_a_recovery(scene, tmp_path, monkeypatch):
    drain(train(scene, tmp_path / "run", FAST))
    backend = get_backend(FAST.backend)
    real, calls = backend.l1_ssim, []

    def breaking(*arguments):
        calls.append(1)
        loss, gradient = real(*arguments)
        return (math.nan if len(calls) == 5 else loss), gradient

    monkeypatch.setattr(backend, "l1_ssim", breaking, raising=False)
    longer = replace(FAST, iterations=96, max_gaussians=160, exposure="varies", resume=True)
    events, gaussians = events_of(train(scene, tmp_path / "run", longer))
    assert any("going on from step 24 with smaller" in getattr(e, "text", "") for e in events)
    assert isinstance(events[-1], Finished)
    assert events[-1].step == 96
    assert len(gaussians) == 160
    newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    state = load_state(newest)
    assert state.recoveries == 1
    assert state.colors is not None


def test_a_loss_that_is_never_finite_ends_in_one_clear_line(scene, tmp_path, monkeypatch):
    backend = get_backend(FAST.backend)
    real = backend.l1_ssim
    monkeypatch.setattr(backend, "l1_ssim", lambda *a: (math.inf, real(*a)[1]), raising=False)
    with pytest.raises(SplatkitError, match="go on with --resume") as caught:
        drain(train(scene, tmp_path / "run", replace(FAST, iterations=5)))
    assert "\n" not in str(caught.value)
