"""The training loop: a generator of events whose result is the trained scene."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from splatkit.core import Event, Gaussians, Note, Scene, SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.render import get_backend, set_threads
from splatkit.render.backends import Backend, ProjectOptions
from splatkit.render.backends.base import UpdateOptions, rasterizer_ahead
from splatkit.train.chance import PhotoOrder, generator_for
from splatkit.train.config import TrainConfig
from splatkit.train.divergence import CAUTION, LossWatch, recovered
from splatkit.train.events import Controls, Finished, Saved, Started, StepDone
from splatkit.train.free_space import free_zones
from splatkit.train.interrupts import interrupts_deferred
from splatkit.train.machine import timed
from splatkit.train.memory import photo_room
from splatkit.train.open_space import in_open_space
from splatkit.train.photo_colors import cut_off
from splatkit.train.photo_store import PhotoStore
from splatkit.train.photos import View, color_on, load_views
from splatkit.train.schedule import sh_degree_at
from splatkit.train.shell import unseen_shell
from splatkit.train.start import shell_count, start_state, within_budgets
from splatkit.train.state import TrainingState, save_state
from splatkit.train.strategies import Occasion
from splatkit.train.surface import add_surface_gradients
from splatkit.train.timing import Clock, Cost, Parts, StepCost

SECONDS_BETWEEN_EVENTS = 0.25
SECONDS_BETWEEN_CHECKPOINTS = 120.0
STEPS_BETWEEN_PLANS = 50
TRANSPARENT = -10.0
"""Opacity, as stored, of a Gaussian that nobody sees."""
STEPS_BETWEEN_READINGS = 16
"""A GPU's losses are read this many at a time."""
LIMIT_SHARE = 0.985
"""Share of a time limit that steps may fill; the rest is for the last checkpoint."""


def train(scene: Scene, run: Path, config: TrainConfig) -> Generator[Event, None, Gaussians]:
    """Optimise Gaussians until they look like the scene's training photos.

    Checkpoints go to ``run/checkpoints`` at the start, every two minutes, at the end, on Ctrl-C
    and when the generator is closed.

    Args:
        scene: photos with cameras; held-out ones are not looked at.
        run: folder of this run.
        config: options.

    Raises:
        SplatkitError: the scene cannot be trained on, or training diverged again and again (the
            message names the last good state).
    """
    began = time.perf_counter()
    set_threads(config.threads)
    if not scene.training_photos:
        raise SplatkitError(
            f"scene: expected photos to train on, got {len(scene.photos)}, of which "
            f"{len(scene.held_out_photos)} are held out; add photos or use --test-every 0"
        )
    backend = get_backend(config.backend)
    config = yield from within_budgets(scene, config, run, backend.device)
    most = config.most_steps(len(scene.training_photos))
    if most is not None and most < config.steps:
        config = replace(config, iterations=most)
        yield Note(
            f"{len(scene.training_photos)} photos are known by heart after some {most:,} steps: "
            "training ends there (--recipe.steps-per-square 0 for more)"
        )
    views = yield from timed(
        "Loading photos",
        load_views(
            scene.training_photos,
            config.picture_size,
            scene.background,
            config.threads,
            config.masks,
        ),
    )
    state, kept = yield from timed("First Gaussians", start_state(scene, views, run, config))
    # Finding the first Gaussians is part of the training time.
    state.seconds += time.perf_counter() - began
    trainer = Trainer(scene, views, config, backend, state)
    yield _started(trainer, resumed_step=state.step)
    if not kept:
        # Training that goes astray comes back to this.
        trainer.save(run)
    try:
        yield from timed("Training", _loop(trainer, run))
    except (KeyboardInterrupt, GeneratorExit):
        trainer.save(run)
        raise
    yield Saved(trainer.save(run), "checkpoint")
    # Training that went astray has gone on from another state.
    state = trainer.state
    gaussians = state.model.gaussians.to("cpu")
    open_to_view = in_open_space(gaussians.means, views, scene.points, config.recipe.open_space)
    gaussians = _closed(scene, views, gaussians[~open_to_view], config)
    yield Finished(state.step, state.seconds, len(gaussians))
    return gaussians


def _closed(
    scene: Scene, views: list[View], gaussians: Gaussians, config: TrainConfig
) -> Gaussians:
    """The scene with a far sphere in the directions that no photo covers."""
    if scene.background is not None:
        return gaussians
    points = scene.points if len(scene.points) else gaussians.means
    count = shell_count(scene, config)
    shell = unseen_shell(views, points, config.recipe.shell, count, gaussians.sh_degree)
    shell.antialiased = gaussians.antialiased
    return Gaussians.concatenate([gaussians, shell])


def _loop(trainer: Trainer, run: Path) -> Generator[Event, None, None]:
    """Steps until the schedule ends, with events and checkpoints in between."""
    told = saved = time.perf_counter()
    while not trainer.done or trainer.trouble is not None:
        if trainer.trouble is None:
            with interrupts_deferred():
                trainer.step()
        if trainer.trouble is not None:
            yield trainer.recover(run)
            continue
        now = time.perf_counter()
        if now - told >= SECONDS_BETWEEN_EVENTS or trainer.done:
            told = now
            controls = Controls(lambda: trainer.save(run), trainer.leave_out)
            yield replace(trainer.report(), controls=controls)
        if now - saved >= SECONDS_BETWEEN_CHECKPOINTS and not trainer.done:
            trainer.read_losses()
            if trainer.trouble is not None:
                continue
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
        self._pixels = fmean(v.camera.width * v.camera.height for v in views)
        self._extent = scene.extent
        zones = free_zones(views, scene.points, config.recipe.free_space)
        self._free = zones.to(backend.device)
        self._fused = backend.training_step()
        self._background = scene.background or (0.0, 0.0, 0.0)
        # Where no photo is cut out nothing is known to be behind the scene. Before one fixed colour
        # surfaces would stay half transparent, and whatever shows through them elsewhere is wrong.
        self._random_background = config.background == "random" or scene.background is None
        self._behind = torch.tensor([self._background], device=backend.device)
        self._order = PhotoOrder(len(views), config.seed)
        self._photos = PhotoStore(views, backend.device, photo_room(scene, config, backend.device))
        self._surfaces = config.makes_surfaces(len(views))
        self._ahead = rasterizer_ahead(backend)
        self._most_steps = config.most_steps(len(views))
        self._window = min(len(views), config.growth.every)
        self._clock = Clock(state.seconds)
        self._ticked = state.step
        self._losses = LossWatch()
        self._unread: list[torch.Tensor] = []
        self._move_state()

    def _move_state(self) -> None:
        """Take the state to where the backend works; it may come from any device."""
        state, device = self.state, self.backend.device
        state.model = state.model.to(device)
        state.colors = None if state.colors is None else state.colors.to(device)

    @property
    def trouble(self) -> str | None:
        """Why training cannot go on from here, in words; None while all is well."""
        return self._losses.trouble

    @property
    def done(self) -> bool:
        """Whether the schedule has ended."""
        return self.state.step >= self.state.pace.last_step

    def step(self) -> None:
        """Learn from one photo.

        Nothing is updated when the loss is not finite, but a GPU's losses are read some steps
        late: until then it goes on, and ``recover`` goes back.
        """
        state, config, recipe = self.state, self.config, self.config.recipe
        model, colors = state.model, state.colors
        progress = state.pace.progress(state.step)
        photo = self._order.at(state.step)
        view = self._view(photo, progress)
        options = ProjectOptions(
            sh_degree=sh_degree_at(progress, config.sh_degree, recipe.sh_grown_by)
        )
        behind, image = self._backdrop(view)
        rgb, alpha = self._fused.forward(model.gaussians, view.camera, behind, options)
        shown = rgb if colors is None else cut_off(colors.applied(photo, rgb), image)
        mask = view.mask
        if config.passers_by:
            mask = recipe.passers_by.mask(shown, alpha, image, mask, progress)
        loss, v_rgb = self.backend.l1_ssim(shown, image, recipe.ssim_weight, mask)
        if isinstance(loss, torch.Tensor):
            self._unread.append(loss)
        else:
            self._losses.add(loss)
            if not math.isfinite(loss):
                return
        if colors is not None:
            v_rgb = colors.back(photo, v_rgb)
            colors.fit(photo, rgb, alpha, image, mask, recipe.photo_colors)
        gathers = self._gathers(progress)
        scores = _errors(shown, image, mask) if gathers else None
        self._fused.backward(v_rgb, None, scores)
        caution = CAUTION**state.recoveries
        rates = recipe.rates.at(progress, self._extent, len(self.views))
        update = UpdateOptions(
            rates={name: rate * caution for name, rate in rates.items()},
            opacity_weight=config.growth.opacity_weight,
            scale_weight=config.growth.scale_weight / self._extent,
        )
        if self._surfaces and recipe.surface.is_due(state.step, progress):
            add_surface_gradients(
                model.gaussians,
                model.adam,
                view,
                recipe.surface,
                update,
                self._extent,
                self._ahead,
            )
        self._fused.finish(
            model.gaussians, model.adam, update, model.statistics if gathers else None
        )
        state.step += 1
        self._refine(progress)
        self._keep_time()
        if len(self._unread) >= STEPS_BETWEEN_READINGS or self.done:
            self.read_losses()

    def read_losses(self) -> None:
        """Wait for the losses that are still on their way."""
        if self._unread:
            for loss in torch.stack(self._unread).tolist():
                self._losses.add(loss)
            self._unread = []

    def report(self) -> StepDone:
        """Where the run stands."""
        state = self.state
        self._tick()
        progress, left = state.pace.progress(state.step), state.pace.last_step - state.step
        return StepDone(
            step=state.step,
            iterations=state.pace.last_step,
            loss=self._losses.mean,
            num_gaussians=len(state.model.gaussians),
            steps_per_second=self._clock.steps_per_second,
            seconds_left=self._clock.seconds_for(self._foreseen(), progress, left),
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

    def recover(self, run: Path) -> Note:
        """Go back to the last good state, and say so.

        Raises:
            SplatkitError: there is none, or this has been tried too often.
        """
        trouble, step = self.trouble or "", self.state.step
        self.state = recovered(run / "checkpoints", self.state, trouble)
        self._unread = []
        self._move_state()
        self._ticked = self.state.step
        self._losses = LossWatch()
        return Note(
            f"Training went astray at step {step + 1} ({trouble}): going on from step "
            f"{self.state.step} with smaller steps",
            warning=True,
        )

    def _view(self, photo: int, progress: float) -> View:
        """A photo at the size of this progress."""
        factor = self.config.recipe.coarse.factor(progress, self.long_side)
        if factor != self._photos.factor:
            self._photos = self._photos.reduced(factor)
        return self._photos.at(photo, self._order.at(self.state.step + 1))

    def _backdrop(self, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """What stands behind the scene in this step [1,3], and the photo [1,H,W,3] before it."""
        if not self._random_background:
            return self._behind, view.image
        chance = generator_for(self.config.seed, "background", self.state.step)
        red, green, blue = torch.rand(3, generator=chance).tolist()
        behind = color_on((red, green, blue), self.backend.device)
        return behind, view.before(self._background, (red, green, blue))

    def _gathers(self, progress: float) -> bool:
        """Whether this step is of the round of photos before a change, whose errors count."""
        state, growth = self.state, self.config.growth
        if growth.gathers(progress):
            return state.step % growth.every >= growth.every - self._window
        # The last step prunes to the budget where there are more.
        too_many = len(state.model.gaussians) > state.budget.max_gaussians
        return too_many and state.pace.last_step - state.step <= self._window

    def _refine(self, before: float) -> None:
        """Let the strategy change the Gaussians; ``before`` is the progress before this step."""
        state, config, growth = self.state, self.config, self.config.growth
        progress = state.pace.progress(state.step)
        now = Occasion(state.step, progress, state.budget, self._extent)
        chance = generator_for(config.seed, "disturb", state.step, self.backend.device)
        growth.disturb(state.model.gaussians, now, config.recipe.rates.decay(before), chance)
        # Under a time limit the change that prunes to the budget may have been left out, and a
        # budget that is made smaller after it leaves too many.
        count = len(state.model.gaussians)
        late = self.done and growth.count_after(count, now) < count
        if late or growth.is_due(state.step, progress):
            self._tick()  # The steps so far had the count before the change.
            # What stands where nothing can be is as good as dead: the strategy moves it away.
            gone = self._free.reached_by(state.model.gaussians)
            state.model.gaussians.logit_opacities[gone] = TRANSPARENT
            chance = generator_for(config.seed, "refine", state.step)
            state.model = growth.refine(state.model, now, chance)
            if growth.makes_loss_rise(state.step):
                self._losses.forget()

    def _keep_time(self) -> None:
        """Measure now and then; under a time limit fit the steps that are left to it."""
        state, limit = self.state, self.config.seconds
        if state.step % STEPS_BETWEEN_PLANS and not self.done:
            return
        self._tick()
        if limit is None or self.done:
            return
        left = limit * LIMIT_SHARE - self._clock.seconds
        progress = state.pace.progress(state.step)
        steps = self._clock.steps_within(self._foreseen(), progress, left)
        if self._most_steps is not None:
            # A schedule that goes beyond is not lengthened, but comes to its end.
            steps = min(steps, max(self._most_steps, state.pace.last_step) - state.step)
        state.pace = state.pace.replanned(state.step, steps)

    def _tick(self) -> None:
        state = self.state
        steps = state.step - self._ticked
        if steps:
            parts = self._parts(state.pace.progress(state.step), len(state.model.gaussians))
            self._clock.tick(parts, steps)
            self._ticked = state.step

    def _foreseen(self) -> Cost:
        """What steps to come cost, with as many Gaussians as the changes to come will leave."""
        state, growth = self.state, self.config.growth
        places, counts = [], [len(state.model.gaussians)]
        next_change = (state.step // growth.every + 1) * growth.every
        for step in range(next_change, state.pace.last_step, growth.every):
            now = Occasion(step, state.pace.progress(step), state.budget, self._extent)
            if growth.is_due(step, now.progress):
                places.append(now.progress)
                counts.append(growth.count_after(counts[-1], now))
        return lambda progress: self._parts(progress, counts[bisect_right(places, progress)])

    def _parts(self, progress: float, count: int) -> Parts:
        """Parts of a step's cost at a progress 0..1, with ``count`` Gaussians."""
        config, recipe = self.config, self.config.recipe
        factor = recipe.coarse.factor(progress, self.long_side)
        degree = sh_degree_at(progress, config.sh_degree, recipe.sh_grown_by)
        surfaces = self._surfaces and progress >= recipe.surface.start
        return StepCost().parts(
            self._pixels / factor**2,
            count,
            count_from_degree(degree),
            self._window / config.growth.every if config.growth.gathers(progress) else 0.0,
            recipe.surface.cost if surfaces else 0.0,
        )


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


def _errors(rgb: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """[1,H,W] mean absolute error of each pixel, 0 where the mask says so."""
    errors = torch.sub(rgb, image, alpha=1 / 255).abs_().mean(-1)
    return errors if mask is None else errors * (mask > 0)
