"""The fused training step on the GPU: nothing in it waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from splatkit.core import Cameras, Gaussians, check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_bin import Binned, bin_splats
from splatkit.render.backends._cuda_blend import ONLY_COLORS, Kept, allocate_blended, blend
from splatkit.render.backends._cuda_blend_adj import Gradients, ImageGradients, blend_adj
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_foreseen import forms, training_set
from splatkit.render.backends._cuda_inputs import ALIGNMENT, Sources, check_inputs
from splatkit.render.backends._cuda_later import Capture, FormChooser, Replayer
from splatkit.render.backends._cuda_plan import Capacity, Choice, Frame
from splatkit.render.backends._cuda_project import Projected, project
from splatkit.render.backends._cuda_room import LateRoom
from splatkit.render.backends._cuda_update import finish
from splatkit.render.backends._cuda_work import Work
from splatkit.render.backends._in_place import MovingHarmonics, check_updatable
from splatkit.render.backends._inputs import image_gradients
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import Blended

_Work = TypeVar("_Work")


@dataclass
class _Drawn:
    """What one forward leaves for backward and finish."""

    work: Work
    sources: Sources
    splats: Projected
    binned: Binned
    kept: list[Kept]
    images: Blended


class CudaStep:
    """``TrainingStep`` with CUDA kernels, float32.

    ``backward`` returns room for every pair of camera and Gaussian: the rows behind the visible
    ones mean nothing. Pairs of splat and tile get ``LateRoom``, which is counted only where the
    number of Gaussians has changed or pictures have grown.

    Args:
        driver: launches.
        deterministic: sum gradients in a fixed order.
        capture: makes replays of launches; None never replays.
    """

    def __init__(
        self, driver: Driver, deterministic: bool = False, capture: Capture | None = None
    ) -> None:
        self._driver = driver
        self._memory = Workspace(driver.device)
        self._replayer: Replayer = Replayer(capture)
        self._chooser = FormChooser(driver.device, forms(Choice(deterministic=deterministic)))
        self._moving = MovingHarmonics()
        self._room = LateRoom(recounts=True)
        self._prepared = False
        self._drawn: _Drawn | None = None
        self._gradients: Gradients | None = None

    def forward(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
    ) -> tuple[Tensor, Tensor]:
        background = background.expand(len(cameras), 3)
        check(means=(gaussians.means, "N 3"), background=(background, "C 3"))
        check_inputs(self._driver, gaussians, cameras)
        frame = Frame(len(cameras), cameras.width, cameras.height, self._chooser.next())
        # At the same addresses from step to step, so that launches can be replayed.
        take = self._memory.take
        behind, viewmats, Ks = (
            take(name, *value.shape).copy_(value.detach(), non_blocking=True)
            for name, value in (
                ("background", background),
                ("viewmats", cameras.viewmats),
                ("Ks", cameras.Ks),
            )
        )
        held = Cameras(viewmats, Ks, cameras.width, cameras.height)
        sources = Sources.of(gaussians, held, options)
        if not self._prepared:
            wanted = training_set(frame, sources.degree, gaussians.sh_degree)
            self._driver.prepare(wanted)
            self._prepared = True
        records = frame.cameras * len(gaussians)

        def attempt(instances: int) -> tuple[_Drawn, Tensor]:
            capacity = Capacity(len(gaussians), records, instances)
            key = (frame, capacity, sources.degree, sources.options, sources.antialiased)
            drawn = self._run(
                sources.parameters,
                ("forward", *key),
                lambda: self._draw(frame, capacity, sources, behind),
            )
            return drawn, drawn.work.scratch.counters

        drawn = self._room.draw(records, frame.cameras * frame.width * frame.height, attempt)
        self._drawn, self._gradients = drawn, None
        return drawn.images.rgb, drawn.images.alpha

    def _run(self, parameters: list[Tensor], key: Hashable, work: Callable[[], _Work]) -> _Work:
        """Work that only launches, replayed where it has been done like this before."""
        if not self._chooser.done:
            return work()
        scope = (self._memory.generation, *(tensor.data_ptr() for tensor in parameters))
        return self._replayer.run(scope, key, work)

    def _draw(
        self, frame: Frame, capacity: Capacity, sources: Sources, background: Tensor
    ) -> _Drawn:
        """All launches of a forward pass."""
        work = Work(self._driver, self._memory.take, frame, capacity)
        splats = project(work, sources, with_rows=True)
        binned = bin_splats(work, splats)
        images = allocate_blended(work, None, ONLY_COLORS)
        self._chooser.mark()
        kept = blend(work, splats, binned, background, images)
        self._chooser.mark()
        return _Drawn(work, sources, splats, binned, kept, images)

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        if self._drawn is None:
            raise SplatkitError("training step: backward() needs a forward() before it")
        drawn = self._drawn
        given = image_gradients(drawn.images.rgb, v_rgb, v_alpha, scores)
        v_rgb, v_alpha, scores = given

        def work() -> Gradients:
            self._chooser.mark()
            gradients = blend_adj(
                drawn.work,
                drawn.splats,
                drawn.binned,
                drawn.kept,
                drawn.images,
                ImageGradients(v_rgb, v_alpha, scores=scores),
            )
            self._chooser.mark()
            return gradients

        places = (None if t is None else t.data_ptr() for t in given)
        key = ("backward", drawn.work.frame, drawn.work.capacity, *places)
        self._gradients = self._run(drawn.sources.parameters, key, work)
        return self._gradients.records

    def finish(
        self,
        gaussians: Gaussians,
        adam: AdamState,
        update: UpdateOptions,
        statistics: DensityStatistics | None = None,
    ) -> None:
        if self._drawn is None or self._gradients is None:
            raise SplatkitError("training step: finish() needs a backward() before it")
        drawn = self._drawn
        check_updatable(gaussians, adam, statistics)
        for name in ("quats", "sh"):
            for tensor in (getattr(gaussians, name), adam.first[name], adam.second[name]):
                if tensor.data_ptr() % ALIGNMENT:
                    raise SplatkitError(
                        f"{name}: the update in place needs memory that begins at a multiple of "
                        f"{ALIGNMENT} bytes; clone the tensor"
                    )
        moving = self._moving.count(drawn.sources.degree, adam)
        adam.step += 1
        finish(
            self._driver,
            [tensor.detach() for tensor in gaussians.parameters().values()],
            adam,
            update,
            statistics,
            drawn.sources.degree,
            min(moving, gaussians.sh.shape[1]),
            drawn.splats,
            self._gradients.records,
            self._gradients.score_sums,
        )
        self._moving.updated(adam)
        self._drawn = self._gradients = None
