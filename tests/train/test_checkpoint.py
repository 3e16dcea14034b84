"""Checkpoints: what goes in comes out, and damage is told from a good file."""

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.io.checkpoint import read_checkpoint, write_checkpoint
from splatkit.train.schedule import Pace
from splatkit.train.state import (
    KEPT,
    TrainingState,
    load_state,
    newest_checkpoint,
    save_state,
    states_newest_first,
)
from splatkit.train.strategies import Budget, Model
from tests.train.photographed import make_gaussians, same


@pytest.fixture
def state():
    model = Model.start(make_gaussians(20, sh_degree=1))
    model.gaussians.extra["material"] = torch.arange(20)
    model.adam.step = 5
    model.adam.first["sh"] += 0.25
    model.statistics.extent_max += 0.5
    return TrainingState(model, Budget(20, 40), Pace(900, 100, 0.2), step=300, seconds=12.5)


def test_state_comes_back_bit_for_bit(tmp_path, state):
    back = load_state(save_state(state, tmp_path))
    assert same(back.model.gaussians, state.model.gaussians)
    assert torch.equal(back.model.gaussians.extra["material"], torch.arange(20))
    for name, moment in state.model.adam.first.items():
        assert torch.equal(back.model.adam.first[name], moment)
    assert torch.equal(back.model.statistics.extent_max, state.model.statistics.extent_max)
    assert back.model.adam.step == 5
    assert (back.step, back.seconds, back.pace, back.budget) == (
        state.step,
        state.seconds,
        state.pace,
        state.budget,
    )


def test_old_checkpoints_go(tmp_path, state):
    for step in (100, 200, 300, 400):
        state.step = step
        save_state(state, tmp_path)
    assert len(list(tmp_path.iterdir())) == KEPT
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert load_state(newest).step == 400


def test_a_damaged_newest_one_is_named_and_the_one_before_is_read(tmp_path, state):
    save_state(state, tmp_path)
    state.step = 400
    newest = save_state(state, tmp_path)
    newest.write_bytes(newest.read_bytes()[:-200])
    first, second = states_newest_first(tmp_path)
    assert isinstance(first, SplatkitError)
    assert newest.name in str(first)
    assert isinstance(second, TrainingState)
    assert second.step == 300


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_truncation_is_damage(tmp_path, kept):
    path = tmp_path / "a.npz"
    write_checkpoint(path, {"x": torch.arange(1000.0)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SplatkitError, match=r"a\.npz: expected a checkpoint"):
        read_checkpoint(path)


def test_flipped_bytes_are_damage_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    tensors = {"x": torch.arange(50.0), "y": torch.ones(3, 2)}
    write_checkpoint(path, tensors, {"step": 1})
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            back, document = read_checkpoint(path)
        except SplatkitError:
            continue
        assert document == {"step": 1}
        assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
