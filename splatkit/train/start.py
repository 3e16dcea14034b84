"""The state that training starts from: a checkpoint, a scene file, or the photos' points."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Event, Gaussians, Note, Scene, SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.io.registry import read_gaussians
from splatkit.train.chance import generator_for
from splatkit.train.config import TrainConfig
from splatkit.train.first_colors import gains_from_points, neutral_views
from splatkit.train.initialize import initialize
from splatkit.train.photo_colors import PhotoColors
from splatkit.train.photos import View
from splatkit.train.schedule import Pace
from splatkit.train.state import TrainingState, states_newest_first
from splatkit.train.strategies import Budget, Model

SHELL_SHARE = 16
"""The far sphere takes at most one in this many Gaussians."""
KNOWN_PROGRESS = 0.4
"""Progress that a scene file stands for: its large shapes and its harmonics are there."""


def start_state(
    scene: Scene, views: list[View], run: Path, config: TrainConfig
) -> Generator[Event, None, TrainingState]:
    """The newest good checkpoint when resuming, else new Gaussians.

    Raises:
        SplatkitError: no checkpoint can be read, or nothing says where Gaussians could be.
    """
    folder = run / "checkpoints"
    if config.resume:
        found = yield from _newest_good(folder)
        if found is not None:
            yield from _rescheduled(found, config)
            yield from _regrown(found, config.budget - shell_count(scene, config))
            if found.colors is None or len(found.colors.maps) != len(views):
                found.colors = _colors(scene, views, config)
            elif config.exposure == "same":
                found.colors = None
            return found
        yield Note("There is no checkpoint yet: training starts at the first step")
    for old in folder.glob("step_*.npz"):
        old.unlink()
    room = config.budget - shell_count(scene, config)
    colors = _colors(scene, views, config)
    if config.start is not None:
        gaussians = _from_file(config.start, config.sh_degree)
        pace = Pace(config.steps, anchor_progress=KNOWN_PROGRESS)
        yield Note(f"Training starts from {config.start} with {len(gaussians):,} Gaussians")
    else:
        gaussians = yield from initialize(
            scene,
            views if colors is None else neutral_views(views, colors.gains),
            config.recipe.initialization,
            room,
            generator_for(config.seed, "initialize"),
            config.sh_degree,
            config.threads,
        )
        gaussians.antialiased = config.recipe.antialiased
        pace = Pace(config.steps)
    if not len(gaussians):
        raise SplatkitError(
            "scene: expected sparse points or cameras that look at a common place, got neither"
        )
    budget = Budget(len(gaussians), max(room, len(gaussians)))
    return TrainingState(Model.start(gaussians), budget, pace, colors=colors, limit=config.seconds)


def _rescheduled(state: TrainingState, config: TrainConfig) -> Generator[Event, None, None]:
    """Give a resumed state the end that the options want; nothing changes where it has that."""
    pace, step, limit = state.pace, state.step, config.seconds
    longer = limit is not None and state.limit is not None and limit > state.limit
    state.limit = limit
    if limit is not None:
        # A schedule that has not ended is fitted to the limit while it goes on.
        if step < pace.last_step or not longer:
            return
        more = round(step * max(limit - state.seconds, 0.0) / max(state.seconds, 1e-3))
        last_step = step + more
    else:
        last_step = config.steps
    if last_step == pace.last_step:
        return
    if last_step <= step:
        yield Note(
            f"{step:,} steps are done already, of {last_step:,} asked for: none is added, and the "
            "scene is taken as it is",
            warning=True,
        )
        state.pace = replace(pace, last_step=step)
        return
    if step < pace.last_step:
        state.pace = pace.replanned(step, last_step - step)
    else:
        # The old schedule had come to its end: go on in that of a run of this length.
        state.pace = Pace(last_step, step, step / last_step)
    yield Note(
        f"The schedule now ends at step {last_step} instead of {pace.last_step}; it goes on at "
        f"{state.pace.progress(step):.0%}"
    )


def _regrown(state: TrainingState, room: int) -> Generator[Event, None, None]:
    """Give a resumed state the number of Gaussians that the options allow."""
    most, before = max(room, state.budget.start), state.budget.max_gaussians
    if most == before:
        return
    count = len(state.model.gaussians)
    kept = f"; the {count:,} that there are stay" if count > most else ""
    yield Note(f"The scene now grows to {most:,} Gaussians instead of {before:,}{kept}")
    state.budget = replace(state.budget, max_gaussians=most)


def shell_count(scene: Scene, config: TrainConfig) -> int:
    """Gaussians set aside for the far sphere."""
    if scene.background is not None:
        return 0
    return min(config.recipe.shell.count, config.budget // SHELL_SHARE)


def _newest_good(folder: Path) -> Generator[Event, None, TrainingState | None]:
    """The newest checkpoint that can be read; None where there is none at all."""
    damaged = False
    for found in states_newest_first(folder):
        if isinstance(found, TrainingState):
            return found
        damaged = True
        yield Note(f"{found}; trying an older one", warning=True)
    if damaged:
        raise SplatkitError(
            f"{folder}: expected a checkpoint to resume from, found none that can be read; "
            "leave out --resume to start anew"
        )
    return None


def _from_file(path: Path, sh_degree: int) -> Gaussians:
    """A scene file with harmonics up to that degree, higher ones cut off, missing ones at 0."""
    gaussians = read_gaussians(path).to(torch.float32)
    gaussians = gaussians[gaussians.finite_mask()]
    sh = torch.zeros(len(gaussians), count_from_degree(sh_degree), 3)
    kept = min(sh.shape[1], gaussians.sh.shape[1])
    sh[:, :kept] = gaussians.sh[:, :kept]
    return replace(gaussians.map(torch.Tensor.contiguous), sh=sh)


def _colors(scene: Scene, views: list[View], config: TrainConfig) -> PhotoColors | None:
    """The photos' first colour maps, where exposure varies."""
    if config.exposure == "same":
        return None
    return PhotoColors.start(gains_from_points(views, scene.points))
