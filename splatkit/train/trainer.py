"""The training loop: a generator of events whose result is the trained scene."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Event, Gaussians, Note, Scene, SplatkitError
from splatkit.render import get_backend, set_threads
from splatkit.render.backends import Backend, ProjectOptions
from splatkit.render.backends.base import UpdateOptions
from splatkit.train.chance import PhotoOrder, generator_for
from splatkit.train.config import TrainConfig
from splatkit.train.events import Controls, Finished, Saved, Started, StepDone
from splatkit.train.initialize import initialize
from splatkit.train.interrupts import interrupts_deferred
from splatkit.train.machine import timed
from splatkit.train.photos import View, load_views
from splatkit.train.schedule import Pace, sh_degree_at
from splatkit.train.shell import unseen_shell
from splatkit.train.state import TrainingState, newest_checkpoint, save_state, states_newest_first
from splatkit.train.strategy import Budget, Model
from splatkit.train.timing import Clock, StepCost

SECONDS_BETWEEN_EVENTS = 0.25
SECONDS_BETWEEN_CHECKPOINTS = 120.0
STEPS_BETWEEN_PLANS = 50
LIMIT_SHARE = 0.985
"""Share of a time limit that steps may fill; the rest is for the last checkpoint."""
SHELL_SHARE = 16
"""The far sphere takes at most one in this many Gaussians."""
_LOSS_SMOOTHING = 0.02


def train(scene: Scene, run: Path, config: TrainConfig) -> Generator[Event, None, Gaussians]:
    """Optimise Gaussians until they look like the scene's training photos.

    Checkpoints go to ``run/checkpoints`` every two minutes, at the end, on Ctrl-C and when the
    generator is closed.

    Args:
        scene: photos with cameras; held-out ones are not looked at.
        run: folder of this run.
        config: options.

    Raises:
        SplatkitError: the scene cannot be trained on, or training diverged (the message names
            the last good checkpoint).
    """
    began = time.perf_counter()
    set_threads(config.threads)
    if not scene.training_photos:
        raise SplatkitError(
            f"scene: expected photos to train on, got {len(scene.photos)}, of which "
            f"{len(scene.held_out_photos)} are held out; add photos or use --test-every 0"
        )
    backend = get_backend(config.backend)
    views = yield from timed(
        "Loading photos",
        load_views(scene.training_photos, config.picture_size, scene.background, config.threads),
    )
    state = yield from timed("First Gaussians", _start_state(scene, views, run, config))
    # Finding the first Gaussians is part of the training time.
    state.seconds += time.perf_counter() - began
    trainer = Trainer(scene, views, config, backend, state)
    yield _started(trainer, resumed_step=state.step)
    try:
        yield from timed("Training", _loop(trainer, run))
    except (KeyboardInterrupt, GeneratorExit):
        trainer.save(run)
        raise
    yield Saved(trainer.save(run), "checkpoint")
    gaussians = _closed(scene, views, state.model.gaussians, config)
    yield Finished(state.step, state.seconds, len(gaussians))
    return gaussians


def _closed(
    scene: Scene, views: list[View], gaussians: Gaussians, config: TrainConfig
) -> Gaussians:
    """The scene with a far sphere in the directions that no photo covers."""
    if scene.background is not None:
        return gaussians
    points = scene.points if len(scene.points) else gaussians.means
    count = _shell_count(scene, config)
    shell = unseen_shell(views, points, config.recipe.shell, count, gaussians.sh_degree)
    shell.antialiased = gaussians.antialiased
    return Gaussians.concatenate([gaussians, shell])


def _shell_count(scene: Scene, config: TrainConfig) -> int:
    """Gaussians set aside for the far sphere."""
    if scene.background is not None:
        return 0
    return min(config.recipe.shell.count, config.budget // SHELL_SHARE)


def _loop(trainer: Trainer, run: Path) -> Generator[Event, None, None]:
    """Steps until the schedule ends, with events and checkpoints in between."""
    told = saved = time.perf_counter()
    while not trainer.done:
        with interrupts_deferred():
            loss = trainer.step()
        if not math.isfinite(loss):
            raise SplatkitError(_diverged(trainer.state.step, run))
        now = time.perf_counter()
        if now - told >= SECONDS_BETWEEN_EVENTS or trainer.done:
            told = now
            controls = Controls(lambda: trainer.save(run), trainer.leave_out)
            yield replace(trainer.report(), controls=controls)
        if now - saved >= SECONDS_BETWEEN_CHECKPOINTS and not trainer.done:
            saved = now
            yield Saved(trainer.save(run), "checkpoint")


class Trainer:
    """One run's steps. ``state`` is all that changes and matters."""

    def __init__(
        self,
        scene: Scene,
        views: list[View],
        config: TrainConfig,
        backend: Backend,
        state: TrainingState,
    ) -> None:
        self.config = config
        self.state = state
        self.backend = backend
        self.views = views
        self.long_side = max(max(v.camera.width, v.camera.height) for v in views)
        self._extent = scene.extent
        self._fused = backend.training_step()
        self._background = torch.tensor([scene.background or (0.0, 0.0, 0.0)])
        self._order = PhotoOrder(len(views), config.seed)
        self._reduced, self._factor = views, 1
        self._clock = Clock(self._relative_cost, state.seconds)
        self._ticked = state.step
        self._loss = 0.0

    @property
    def done(self) -> bool:
        """Whether the schedule has ended."""
        return self.state.step >= self.state.pace.last_step

    def step(self) -> float:
        """Learn from one photo; returns the loss.

        Nothing is updated when the loss is not finite.
        """
        state, recipe = self.state, self.config.recipe
        model = state.model
        progress = state.pace.progress(state.step)
        view = self._view(progress)
        options = ProjectOptions(
            sh_degree=sh_degree_at(progress, self.config.sh_degree, recipe.sh_grown_by)
        )
        rgb, _ = self._fused.forward(model.gaussians, view.camera, self._background, options)
        loss, v_rgb = self.backend.l1_ssim(rgb, view.image, recipe.ssim_weight, view.mask)
        if not math.isfinite(loss):
            return loss
        gathers = self._gathers(progress)
        scores = _errors(rgb, view) if gathers else None
        self._fused.backward(v_rgb, None, scores)
        update = UpdateOptions(
            rates=recipe.rates.at(progress, self._extent),
            opacity_weight=recipe.opacity_weight,
            scale_weight=recipe.scale_weight / self._extent,
        )
        self._fused.finish(
            model.gaussians, model.adam, update, model.statistics if gathers else None
        )
        state.step += 1
        self._refine()
        self._keep_time()
        self._loss += (loss - self._loss) * (_LOSS_SMOOTHING if self._loss else 1.0)
        return loss

    def report(self) -> StepDone:
        """Where the run stands."""
        state = self.state
        progress = state.pace.progress(state.step)
        self._tick()
        return StepDone(
            step=state.step,
            iterations=state.pace.last_step,
            loss=self._loss,
            num_gaussians=len(state.model.gaussians),
            steps_per_second=self._clock.steps_per_second,
            seconds_left=self._clock.seconds_for(progress, state.pace.last_step - state.step),
            gaussians=state.model.gaussians,
        )

    def leave_out(self, seconds: float) -> None:
        """Do not count that much of the past as training time."""
        self._clock.leave_out(seconds)

    def save(self, run: Path) -> Path:
        """Write a checkpoint."""
        with interrupts_deferred():
            self.state.seconds = self._clock.seconds
            return save_state(self.state, run / "checkpoints")

    def _view(self, progress: float) -> View:
        """The photo of this step at the size of this progress."""
        factor = self.config.recipe.coarse.factor(progress, self.long_side)
        if factor != self._factor or self._reduced is None:
            self._reduced = [view.reduced(factor) for view in self.views]
            self._factor = factor
        return self._reduced[self._order.at(self.state.step)]

    def _gathers(self, progress: float) -> bool:
        """Statistics come from one round of the photos before each change."""
        growth = self.config.recipe.growth
        window = min(len(self.views), growth.every)
        return growth.gathers(progress) and self.state.step % growth.every >= growth.every - window

    def _refine(self) -> None:
        state, growth = self.state, self.config.recipe.growth
        progress = state.pace.progress(state.step)
        if growth.is_due(state.step, progress):
            generator = generator_for(self.config.seed, "refine", state.step)
            state.model = growth.refine(state.model, state.budget, progress, generator)

    def _keep_time(self) -> None:
        """Measure now and then; under a time limit fit the steps that are left to it."""
        state, limit = self.state, self.config.seconds
        if state.step % STEPS_BETWEEN_PLANS and not self.done:
            return
        self._tick()
        if limit is None or self.done:
            return
        left = limit * LIMIT_SHARE - self._clock.seconds
        steps = self._clock.steps_within(state.pace.progress(state.step), left)
        state.pace = state.pace.replanned(state.step, steps)

    def _tick(self) -> None:
        steps = self.state.step - self._ticked
        if steps:
            self._clock.tick(self.state.pace.progress(self.state.step), steps)
            self._ticked = self.state.step

    def _relative_cost(self, progress: float) -> float:
        recipe, budget = self.config.recipe, self.state.budget
        factor = recipe.coarse.factor(progress, self.long_side)
        share = recipe.growth.target(progress, budget) / max(budget.max_gaussians, 1)
        return StepCost().at(1 / factor**2, share)


def _start_state(
    scene: Scene, views: list[View], run: Path, config: TrainConfig
) -> Generator[Event, None, TrainingState]:
    """The newest good checkpoint when resuming, else new Gaussians."""
    folder = run / "checkpoints"
    if config.resume:
        problems = []
        for found in states_newest_first(folder):
            if isinstance(found, TrainingState):
                if config.time_limit is None and found.pace.last_step != config.steps:
                    yield Note(
                        f"The schedule now ends at step {config.steps} instead of "
                        f"{found.pace.last_step}"
                    )
                    found.pace = found.pace.replanned(found.step, config.steps - found.step)
                return found
            problems.append(str(found))
            yield Note(f"{found}; trying an older one", warning=True)
        if problems:
            raise SplatkitError(
                f"{folder}: expected a checkpoint to resume from, found none that can be read; "
                "leave out --resume to start anew"
            )
        yield Note("There is no checkpoint yet: training starts at the first step")
    for old in folder.glob("step_*.npz"):
        old.unlink()
    recipe = config.recipe
    room = config.budget - _shell_count(scene, config)
    gaussians = yield from initialize(
        scene,
        views,
        recipe.initialization,
        room,
        generator_for(config.seed, "initialize"),
        config.sh_degree,
        config.threads,
    )
    gaussians.antialiased = recipe.antialiased
    if not len(gaussians):
        raise SplatkitError(
            "scene: expected sparse points or cameras that look at a common place, got neither"
        )
    budget = Budget(len(gaussians), max(room, len(gaussians)))
    return TrainingState(Model.start(gaussians), budget, Pace(config.steps))


def _started(trainer: Trainer, resumed_step: int) -> Started:
    largest = max(trainer.views, key=lambda v: v.camera.width * v.camera.height).camera
    return Started(
        photos=len(trainer.views),
        width=largest.width,
        height=largest.height,
        num_gaussians=len(trainer.state.model.gaussians),
        iterations=trainer.state.pace.last_step,
        backend=trainer.backend.name,
        resumed_step=resumed_step,
    )


def _errors(rgb: torch.Tensor, view: View) -> torch.Tensor:
    """[1,H,W] mean absolute error of each pixel, 0 where the mask says so."""
    errors = torch.sub(rgb, view.image, alpha=1 / 255).abs_().mean(-1)
    return errors if view.mask is None else errors * (view.mask > 0)


def _diverged(step: int, run: Path) -> str:
    last = newest_checkpoint(run / "checkpoints")
    way = f"the last good state is {last}" if last else "no checkpoint had been written yet"
    return f"training: the loss of step {step + 1} is not finite; {way}; try again with --resume"
