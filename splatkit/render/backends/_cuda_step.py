"""The fused training step on the GPU: nothing in it waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends import _cuda_raster as raster
from splatkit.render.backends import _cuda_update as updating
from splatkit.render.backends._cpu_finish import MovingHarmonics, check_updatable
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_foreseen import forms, training_set
from splatkit.render.backends._cuda_later import Capture, FormChooser, LateReading, Replayer
from splatkit.render.backends._cuda_ops import ALIGNMENT, InstanceRoom, check_inputs, readable
from splatkit.render.backends._cuda_params import interface
from splatkit.render.backends._cuda_plan import (
    Capacity,
    Choice,
    Found,
    Frame,
    Scratch,
    check_instances,
)
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import Blended, BlendRequest

_TIGHT = 0.9
"""Room for pairs of splat and tile grows when more than this share of it was used."""
_PLAIN = BlendRequest()
_Work = TypeVar("_Work")


@dataclass
class _Drawn:
    """What one forward leaves for backward and finish."""

    frame: Frame
    capacity: Capacity
    scratch: Scratch
    parameters: list[Tensor]
    degree: int
    cameras: Tensor
    projected: raster.Projected
    rows: Tensor
    binned: raster.Binned
    kept: list[raster.Kept]
    blended: Blended


class CudaStep:
    """``TrainingStep`` with CUDA kernels, float32.

    ``backward`` returns room for every pair of camera and Gaussian: the rows behind the visible
    ones mean nothing. How many pairs of splat and tile there are is read a step late; should they
    ever not fit, the farthest splats are left out of that one step and the room grows.

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
        self._room = InstanceRoom()
        self._instances = 0
        self._prepared = False
        self._known = (-1, 0)
        self._reading: LateReading | None = None
        self._drawn: _Drawn | None = None
        self._gradients: raster.Gradients | None = None

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
        parameters = [readable(tensor) for tensor in gaussians.parameters().values()]
        degree = min(options.sh_degree, gaussians.sh_degree)
        if not self._prepared:
            self._driver.prepare(training_set(frame, degree, gaussians.sh_degree))
            self._prepared = True
        take = self._memory.take
        given = (
            take("viewmats", frame.cameras, 4, 4),
            take("Ks", frame.cameras, 3, 3),
            take("background", frame.cameras, 3),
        )
        for place, value in zip(given, (cameras.viewmats, cameras.Ks, background), strict=True):
            place.copy_(value.detach(), non_blocking=True)

        def draw() -> _Drawn:
            capacity = Capacity(count, frame.cameras * count, self._instances)
            work = lambda: self._draw(  # noqa: E731
                frame, capacity, parameters, degree, options, gaussians.antialiased, *given
            )
            key = ("forward", frame, capacity, degree, options, gaussians.antialiased)
            return self._run(parameters, key, work)

        # A scene or image size that was not seen yet is counted before going on.
        count, pixels = len(gaussians), frame.cameras * frame.width * frame.height
        unseen = count != self._known[0] or pixels > self._known[1]
        self._known = (count, max(pixels, self._known[1]))
        if unseen:
            self._reading = None
            self._instances = max(self._instances, self._room.guess(frame.cameras * count))
            drawn = draw()
            while not self._make_room(Found.of(drawn.scratch.counters.cpu())):
                drawn = draw()
        else:
            if self._reading is not None and self._reading.ready:
                self._make_room(Found.of(self._reading.value))
                self._reading = None
            drawn = draw()
            if self._reading is None:
                self._reading = LateReading(drawn.scratch.counters)
        self._drawn, self._gradients = drawn, None
        return drawn.blended.rgb, drawn.blended.alpha

    def _make_room(self, found: Found) -> bool:
        """Foresee more where it was tight; whether nothing had been left out."""
        check_instances(found.instances_wanted)
        self._room.learn(found.records, found.instances_wanted)
        if found.instances_wanted > _TIGHT * self._instances:
            self._instances = max(self._instances, self._room.guess(found.records))
        return found.complete

    def _run(self, parameters: list[Tensor], key: Hashable, work: Callable[[], _Work]) -> _Work:
        """Work that only launches, replayed where it has been done like this before."""
        if not self._chooser.done:
            return work()
        scope = (self._memory.generation, *(tensor.data_ptr() for tensor in parameters))
        return self._replayer.run(scope, key, work)

    def _draw(
        self,
        frame: Frame,
        capacity: Capacity,
        parameters: list[Tensor],
        degree: int,
        options: ProjectOptions,
        antialiased: bool,
        viewmats: Tensor,
        Ks: Tensor,
        background: Tensor,
    ) -> _Drawn:
        """All launches of a forward pass."""
        driver, take = self._driver, self._memory.take
        scratch = Scratch(take, frame, capacity)
        scratch.memory.zero_()
        cameras = take("cameras", frame.cameras, interface().constants["CAMERA_FLOATS"])
        raster.prepare_cameras(driver, cameras, viewmats, Ks, frame, options, antialiased)
        rows = take("rows", frame.cameras, capacity.gaussians, dtype=torch.int32)
        found = raster.allocate_projected(take, frame, capacity, frame.cameras > 1, rows)
        raster.project(driver, parameters, degree, cameras, frame, scratch, found)
        binned = raster.bin_splats(driver, take, found, frame, capacity, scratch)
        out = raster.allocate_blended(take, frame, None, capacity.gaussians, _PLAIN)
        self._chooser.mark()
        kept = raster.blend(
            driver, take, found, binned, frame, capacity, background, None, _PLAIN, out
        )
        self._chooser.mark()
        return _Drawn(
            frame, capacity, scratch, parameters, degree, cameras, found, rows, binned, kept, out
        )

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        if self._drawn is None:
            raise SplatkitError("training step: backward() needs a forward() before it")
        drawn = self._drawn
        check(rgb=(drawn.blended.rgb, "C H W 3"), v_rgb=(v_rgb, "C H W 3"))
        if v_alpha is not None:
            check(alpha=(drawn.blended.alpha, "C H W"), v_alpha=(v_alpha, "C H W"))
        if scores is not None:
            check(alpha=(drawn.blended.alpha, "C H W"), scores=(scores, "C H W"))
        v_rgb = v_rgb.detach().contiguous()
        v_alpha = None if v_alpha is None else v_alpha.detach().contiguous()
        scores = None if scores is None else scores.detach().contiguous()

        def work() -> raster.Gradients:
            self._chooser.mark()
            gradients = raster.blend_adj(
                self._driver,
                self._memory.take,
                drawn.projected,
                drawn.binned,
                drawn.kept,
                drawn.frame,
                drawn.capacity,
                drawn.scratch,
                drawn.blended,
                None,
                v_rgb,
                v_alpha,
                None,
                scores,
            )
            self._chooser.mark()
            return gradients

        places = (None if t is None else t.data_ptr() for t in (v_rgb, v_alpha, scores))
        key = ("backward", drawn.frame, drawn.capacity, *places)
        self._gradients = self._run(drawn.parameters, key, work)
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
        moving = self._moving.count(drawn.degree, adam)
        adam.step += 1
        updating.finish(
            self._driver,
            [tensor.detach() for tensor in gaussians.parameters().values()],
            adam,
            update,
            statistics,
            drawn.degree,
            min(moving, gaussians.sh.shape[1]),
            drawn.cameras,
            drawn.projected.records,
            self._gradients.records,
            drawn.rows,
            self._gradients.score_sums,
        )
        self._moving.updated(adam)
        self._drawn = self._gradients = None
