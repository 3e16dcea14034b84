from __future__ import annotations

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.edit import workbench
from splatkit.edit.placement import Similarity
from splatkit.edit.workbench import Workbench
from tests.scenes import ball_over_floor


def first(count: int) -> torch.Tensor:
    return torch.arange(120) < count


def test_steps_are_undone_and_done_again() -> None:
    scene = ball_over_floor()
    before = scene.clone()
    bench = Workbench(scene)
    versions = {bench.version}
    assert bench.select(first(40)) == 40
    assert bench.delete() == 40
    assert len(bench.result()) == 80
    bench.move(Similarity(scale=2.0))
    torch.testing.assert_close(bench.result().means, 2 * before.means[40:])
    versions.add(bench.version)
    assert bench.undo() == "move"
    assert bench.undo() == "delete 40"
    assert len(bench.result()) == 120
    assert int(bench.state.selected.sum()) == 40, "what was selected is selected again"
    assert bench.redo() == "delete 40"
    assert len(bench.result()) == 80
    bench.select(first(60))
    assert bench.redo() is None, "a new step ends what could be done again"
    assert bench.steps() == ["select", "delete 40", "select"]
    while bench.undo():
        pass
    assert not bench.changed
    assert bench.result() is scene
    for name, tensor in before.parameters().items():
        assert torch.equal(getattr(scene, name), tensor)
    assert bench.version not in versions


def test_selections() -> None:
    bench = Workbench(ball_over_floor())
    bench.select(first(40))
    assert bench.select(first(50), "add") == 50
    assert bench.select(first(10), "remove") == 40
    assert bench.select(first(20), "both") == 10
    assert bench.invert() == 110
    assert bench.keep() == 10
    assert len(bench.result()) == 110
    assert bench.select(first(120)) == 110, "what is deleted cannot be selected"


def test_nothing_and_everything_cannot_be_deleted() -> None:
    bench = Workbench(ball_over_floor())
    with pytest.raises(SplatkitError, match="nothing is selected"):
        bench.delete()
    with pytest.raises(SplatkitError, match="nothing is selected"):
        bench.keep()
    bench.select(first(120))
    with pytest.raises(SplatkitError, match="something to be left"):
        bench.delete()
    assert bench.steps() == ["select"]


def test_old_steps_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "MOST_STEPS", 3)
    bench = Workbench(ball_over_floor())
    for count in range(1, 7):
        bench.select(first(count))
    assert len(bench.steps()) == 3
    bench.undo()
    bench.undo()
    assert int(bench.state.selected.sum()) == 4
