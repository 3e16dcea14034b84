"""TensorBoard's files hold what the events said."""

import sys

import pytest
import torch

from splatkit.core import Note, UsageError, drain
from splatkit.train.board import boarded
from splatkit.train.events import Measured, StepDone
from tests.train.photographed import events_of, make_gaussians


def work():
    for step in (10, 20):
        yield StepDone(step, 20, 0.1 * step, 5 * step, 2.0, 0.0, make_gaussians(3))
        yield Measured(step, 20.0 + step, 2)
    yield Note("done")
    return "result"


def test_curves_are_written_and_events_passed_on(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events, result = events_of(boarded(work(), tmp_path))
    assert result == "result"
    assert len(events) == 5
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    found = [(point.step, point.value) for point in board.Scalars("held-out PSNR")]
    assert found == [(10, 30.0), (20, 40.0)]
    assert [point.value for point in board.Scalars("Gaussians")] == [50.0, 100.0]
    assert torch.allclose(
        torch.tensor([p.value for p in board.Scalars("loss")]), torch.tensor([1.0, 2.0])
    )


def test_without_the_library_there_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'splatkit\[tensorboard\]'"):
        drain(boarded(work(), tmp_path))
