"""The state that training starts from: a checkpoint, a scene file, or the photos' points."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Event, Gaussians, Note, Scene, SplatkitError, UsageError
from splatkit.core.sh import count_from_degree
from splatkit.io.registry import read_gaussians
from splatkit.train.chance import generator_for
from splatkit.train.config import TrainConfig
from splatkit.train.first_colors import gains_from_points, neutral_views
from splatkit.train.initialize import initialize
from splatkit.train.memory import within_memory
from splatkit.train.photo_colors import PhotoColors
from splatkit.train.photos import View
from splatkit.train.presets import sized
from splatkit.train.schedule import Pace
from splatkit.train.state import TrainingState, newest_checkpoint, states_newest_first
from splatkit.train.strategies import Budget, Model, Occasion

SHELL_SHARE = 16
"""The far sphere takes at most one in this many Gaussians."""
KNOWN_PROGRESS = 0.4
"""Progress that a scene file stands for: its large shapes and its harmonics are there."""


def start_state(
    scene: Scene, views: list[View], run: Path, config: TrainConfig
) -> Generator[Event, None, tuple[TrainingState, bool]]:
    """The newest good checkpoint when resuming, else new Gaussians.

    Returns:
        The state, and whether a checkpoint holds it as it is.

    Raises:
        SplatkitError: no checkpoint can be read, or nothing says where Gaussians could be.
    """
    folder = run / "checkpoints"
    if config.resume:
        found = yield from _newest_good(folder)
        if found is not None:
            read, colors = (found.pace, found.budget, found.limit), found.colors
            yield from _rescheduled(found, config, len(views))
            yield from _regrown(found, config, scene)
            if found.colors is None or len(found.colors.maps) != len(views):
                found.colors = _colors(scene, views, config)
            elif config.exposure == "same":
                found.colors = None
            same = (found.pace, found.budget, found.limit) == read and found.colors is colors
            return found, same
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
    model = Model.start(gaussians)
    return TrainingState(model, budget, pace, colors=colors, limit=config.seconds), False


def within_budgets(
    scene: Scene, config: TrainConfig, run: Path, device: torch.device
) -> Generator[Event, None, TrainConfig]:
    """The options with as many Gaussians as a file to start from has and memory has room for.

    Args:
        scene: photos and their sizes.
        config: options.
        run: folder of the run.
        device: that trains.

    Raises:
        UsageError: the file has more than were asked for, or than the memory budget allows.
        SplatkitError: the memory budget is too small for the photos alone.
    """
    begun = config.resume and newest_checkpoint(run / "checkpoints") is not None
    if config.start is None or begun:
        return (yield from within_memory(scene, config, device))
    count = len(_from_file(config.start, 0))
    # A run's options do not tell a preset's number from the same one given by hand.
    if config.max_gaussians in (None, sized(replace(config, max_gaussians=None)).budget):
        config = replace(config, max_gaussians=max(config.budget, count))
    config = yield from within_memory(scene, config, device)
    if count > config.budget:
        raise UsageError(
            f"{config.start}: expected at most {config.budget:,} Gaussians (--max-gaussians, "
            f"--memory-budget), got {count:,}; make it smaller: splatkit edit {config.start} "
            f"--max-gaussians {config.budget} -o NEW.ply, or allow more"
        )
    return config


def _rescheduled(
    state: TrainingState, config: TrainConfig, photos: int
) -> Generator[Event, None, None]:
    """Give a resumed state the end that the options want; nothing changes where it has that."""
    pace, step, limit = state.pace, state.step, config.seconds
    longer = limit is not None and (state.limit is None or limit > state.limit)
    state.limit = limit
    if limit is not None:
        ended = step >= pace.last_step
        if ended and not longer:
            return
        if state.seconds >= limit:
            yield Note(
                f"{state.seconds:,.0f} seconds of training are done already, of {limit:,.0f} asked "
                "for: no step is added, and the scene is taken as it is",
                warning=True,
            )
            state.pace = replace(pace, last_step=step)
            return
        if not ended:
            # It is fitted to the limit while it goes on.
            return
        last_step = step + round(step * (limit - state.seconds) / max(state.seconds, 1e-3))
        most = config.most_steps(photos)
        if most is not None and most <= step:
            yield Note(
                f"{step:,} steps are done already, and {photos} photos are good for {most:,}: none "
                "is added (--recipe.steps-per-square 0 for more)",
                warning=True,
            )
            return
        last_step = last_step if most is None else min(last_step, most)
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


def _regrown(
    state: TrainingState, config: TrainConfig, scene: Scene
) -> Generator[Event, None, None]:
    """Give a resumed state the number of Gaussians that the options allow."""
    room = config.budget - shell_count(scene, config)
    most, before = max(room, state.budget.start), state.budget.max_gaussians
    if most == before:
        return
    state.budget = replace(state.budget, max_gaussians=most)
    count, steps = len(state.model.gaussians), state.pace.last_step
    then = ""
    if count > most:
        end = Occasion(steps, 1.0, state.budget, scene.extent)
        if state.step < steps and config.growth.count_after(count, end) < count:
            then = f"; of the {count:,} that there are those that show least are removed"
        else:
            then = f"; the {count:,} that there are stay"
    yield Note(f"The scene now grows to {most:,} Gaussians instead of {before:,}{then}")


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
