"""Trainings that the page watches and steers: real ones, of a tiny scene."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatkit.core import Progress, UsageError
from splatkit.io import read_gaussians
from splatkit.train.config import Recipe, TrainConfig
from splatkit.train.initialize import Initialization
from splatkit.train.state import TrainingState, states_newest_first
from splatkit.viewer import Library, Training, Viewer
from tests.scenes import ring, write_photos
from tests.viewer.browsers import FakeBrowser
from tests.viewer.test_front import ask

PATIENCE = 240
ENDLESS = TrainConfig(
    iterations=500_000,
    max_gaussians=200,
    threads=1,
    recipe=Recipe(initialization=Initialization(fill=150)),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "balls", 8)


@pytest.fixture
def training(photos: Path, tmp_path: Path) -> Iterator[Training]:
    training = Training(photos, tmp_path / "runs" / "balls", ENDLESS)
    yield training
    training.stop()
    training.wait(PATIENCE)


def until(condition: Callable[[], Any]) -> Any:
    """What a condition gives once it holds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("this did not come about")


def step_of(training: Training) -> int:
    steps = training.status()["training"]
    return steps["step"] if steps else 0


def test_the_page_watches_pauses_saves_stops_and_goes_on(
    training: Training, tmp_path: Path
) -> None:
    library = Library([])
    scene = library.add_training(training)
    with Viewer(library, port=0, runs=tmp_path / "runs") as viewer:
        with pytest.raises(UsageError, match="one at a time"):
            library.add_training(training)
        training.source.pace.share = 1.0  # on a busy machine a tenth would be a long wait
        training.start()
        until(lambda: training.source.ready)
        browser = FakeBrowser(viewer.port, scene=scene)
        browser.look(ring())
        first = browser.picture(PATIENCE, (96, 64)).astype(float)
        until(lambda: np.abs(browser.picture(PATIENCE, (96, 64)) - first).mean() > 1)

        def wish(name: str, **document: int) -> Any:
            body = json.dumps(document).encode()
            answer = ask(viewer, f"/api/trainings/{scene}/{name}", "POST", body)
            assert answer.status == 200, answer.body
            return answer.json

        wish("pause")
        until(lambda: training.state == "paused")
        step = step_of(training)
        assert training.source.allowance is None, "a paused training leaves all time to pictures"
        wish("save")
        kept = tmp_path / "runs" / "balls" / "checkpoints"
        until(lambda: any(str(step) in path.name for path in kept.glob("*.npz")))
        assert step_of(training) == step
        wish("go_on")
        until(lambda: step_of(training) > step)
        wish("stop")
        until(lambda: training.state == "stopped")
        stopped = step_of(training)
        assert any(str(stopped) in path.name for path in kept.glob("*.npz"))

        wish("longer", steps=0)
        until(lambda: training.state == "training" and step_of(training) > stopped)
        browser.close()


def test_a_finished_run_is_trained_longer(photos: Path, tmp_path: Path) -> None:
    training = Training(photos, tmp_path / "balls", replace(ENDLESS, iterations=12))
    library = Library([tmp_path])
    scene = library.add_training(training)
    for _ in training.events():
        pass
    assert training.state == "done"
    psnr = training.status()["psnr"]
    assert psnr > 5
    assert len(training.source.current()[0]) == len(read_gaussians(library.entry(scene).file))
    training.longer(8)
    training.wait(PATIENCE)
    assert (training.state, step_of(training)) == ("done", 20)
    assert training.status()["psnr"] != psnr
    assert [row[0] for row in training.history.rows][-1] == 20


def test_a_pause_is_no_training_time(training: Training) -> None:
    start = time.monotonic()
    events = training.events()
    until(lambda: next(events) and training.state == "training")
    training.pause()
    paused = next(event for event in events if isinstance(event, Progress) and event.detail)
    assert paused.detail == "paused"
    began = time.monotonic()
    until(lambda: next(events) and time.monotonic() - began > 3)
    training.go_on()
    until(lambda: next(events) and training.state == "training")
    events.close()
    assert training.state == "stopped"
    saved = next(states_newest_first(training.out / "checkpoints"))
    assert isinstance(saved, TrainingState)
    assert 0 < saved.seconds < time.monotonic() - start - 2.9


def test_nothing_is_copied_while_nobody_watches(training: Training) -> None:
    events = training.events()
    until(lambda: next(events) and training.source.ready)
    _, version = training.source.current()
    training.source._asked = -float("inf")
    began = step_of(training)
    until(lambda: next(events) and step_of(training) > began + 200)
    training.source._asked = -float("inf")
    assert training.source.current()[1] == version
    events.close()


def test_a_failure_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    training = Training(folder, tmp_path / "run", ENDLESS)
    training.start()
    until(lambda: training.state == "failed")
    assert "photos" in training.status()["message"]
    with pytest.raises(UsageError, match="expected 0 to"):
        training.longer(-1)
