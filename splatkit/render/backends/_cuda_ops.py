"""Projection and blending on the GPU as differentiable functions: check, allocate, launch, save.

Each reads one number back from the device: how many records there are, and how many pairs of
splat and tile. The training step (``_cuda_step``) waits for neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render.backends import _blend_function
from splatkit.render.backends._cuda_bin import Binned, bin_splats
from splatkit.render.backends._cuda_blend import Kept, allocate_blended
from splatkit.render.backends._cuda_blend import blend as launch_blend
from splatkit.render.backends._cuda_blend_adj import ImageGradients, blend_adj
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_inputs import Sources, check_inputs, check_kind, readable
from splatkit.render.backends._cuda_plan import Capacity, Choice, Frame
from splatkit.render.backends._cuda_project import Records
from splatkit.render.backends._cuda_project import project as launch_project
from splatkit.render.backends._cuda_update import project_adj
from splatkit.render.backends._cuda_work import Found, InstanceRoom, Work, check_instances, fresh
from splatkit.render.backends._inputs import check_ids, check_splats
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import DEPTHS, Blended, BlendRequest, ScreenSplats


@dataclass
class CudaSplats(ScreenSplats):
    """Records that the GPU projected, with what sorting them needs."""

    depth_keys: Tensor | None = None
    source: Tensor | None = None
    """The records as they came: others are checked and get keys of their own."""


@dataclass(frozen=True)
class _ProjectSettings:
    driver: Driver
    width: int
    height: int
    options: ProjectOptions
    degree: int
    antialiased: bool


def project(
    driver: Driver, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
) -> ScreenSplats:
    """``Backend.project``."""
    check_inputs(driver, gaussians, cameras)
    settings = _ProjectSettings(
        driver,
        cameras.width,
        cameras.height,
        options,
        min(options.sh_degree, gaussians.sh_degree),
        gaussians.antialiased,
    )
    records, *ids, keys = _Project.apply(
        settings, *gaussians.parameters().values(), cameras.viewmats, cameras.Ks
    )
    return CudaSplats.of(gaussians, cameras, records, *ids, depth_keys=keys, source=records)


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, settings: _ProjectSettings, *inputs: Tensor) -> tuple[Tensor, ...]:
        *parameters, viewmats, Ks = (readable(tensor) for tensor in inputs)
        frame = Frame(len(viewmats), settings.width, settings.height, Choice())
        pairs = frame.cameras * len(parameters[0])
        capacity = Capacity(len(parameters[0]), pairs, 0)
        work = Work(settings.driver, fresh(settings.driver.device), frame, capacity)
        told = settings.options, settings.degree, settings.antialiased
        needed = any(ctx.needs_input_grad)
        found = launch_project(
            work, Sources(parameters, viewmats, Ks, *told), with_cameras=True, with_rows=needed
        )
        visible = int(work.scratch.record_count.item())
        columns = (found.records, found.gaussian_ids, found.camera_ids, found.depth_keys)
        # What is far too large is not kept alive.
        spare = 2 * visible < pairs
        outputs = tuple(
            column[:visible].clone() if spare else column[:visible]
            for column in columns
            if column is not None
        )
        if needed:
            ctx.settings, ctx.rows, ctx.cameras = settings, found.rows, found.cameras
            ctx.save_for_backward(*inputs, outputs[0])
        ctx.mark_non_differentiable(*outputs[1:])
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        v_records = grad_outputs[0]
        if v_records is None:
            return (None,) * len(ctx.needs_input_grad)
        *inputs, records = ctx.saved_tensors
        *parameters, viewmats, _ = (readable(tensor) for tensor in inputs)
        gradients = [
            torch.empty_like(tensor) if needed else None
            for tensor, needed in zip(
                (*parameters, viewmats), ctx.needs_input_grad[1:7], strict=True
            )
        ]
        *of_parameters, v_viewmats = gradients
        project_adj(
            ctx.settings.driver,
            fresh(records.device),
            parameters,
            of_parameters,
            v_viewmats,
            ctx.settings.degree,
            ctx.cameras,
            viewmats,
            records.detach(),
            readable(v_records),
            ctx.rows,
        )
        return None, *gradients, None


def blend(
    driver: Driver,
    room: InstanceRoom,
    choice: Choice,
    splats: ScreenSplats,
    background: Tensor,
    channels: Tensor | None,
    request: BlendRequest,
) -> Blended:
    """``Backend.blend``."""
    check_splats(splats, background, channels, request)
    check_kind(driver, "records", splats.records)
    if not (isinstance(splats, CudaSplats) and splats.source is splats.records):
        check_ids(splats)
    blender = _Blender(driver, room, splats, request, choice)
    return _blend_function.blend(blender, splats.records, channels, background)


def depth_keys(records: Tensor) -> Tensor:
    """[M] int32 that, read as unsigned numbers, sort like camera z."""
    bits = records[:, DEPTHS].contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) | -(2**31))


@dataclass(frozen=True)
class _Kept:
    """What one blend leaves for its gradient."""

    work: Work
    splats: Records
    binned: Binned
    passes: list[Kept]


@dataclass(frozen=True)
class _Blender:
    """``Blender`` of splats on a GPU."""

    driver: Driver
    room: InstanceRoom
    splats: ScreenSplats
    request: BlendRequest
    choice: Choice

    def draw(
        self, records: Tensor, channels: Tensor | None, background: Tensor, keep: bool
    ) -> tuple[Blended, _Kept | None]:
        # Without gradients: no checkpoints, and sums in any order are the same.
        choice = self.choice if keep else replace(self.choice, bucket=0, deterministic=False)
        frame = Frame(self.splats.num_cameras, self.splats.width, self.splats.height, choice)
        work, splats, binned = self._binned(readable(records), frame)
        values = None if channels is None else readable(channels)
        count = None if values is None else values.shape[1]
        images = allocate_blended(work, count, self.request)
        passes = launch_blend(
            work, splats, binned, readable(background), images, values, self.request
        )
        return images, _Kept(work, splats, binned, passes) if keep else None

    def _binned(self, records: Tensor, frame: Frame) -> tuple[Work, Records, Binned]:
        """Splats in tiles, all of them."""
        given, count = self.splats, len(records)
        own = isinstance(given, CudaSplats) and given.source is given.records
        keys = given.depth_keys if own and isinstance(given, CudaSplats) else None
        keys = depth_keys(records) if keys is None else keys
        splats = Records(
            records,
            given.gaussian_ids.contiguous(),
            given.camera_ids.contiguous() if frame.cameras > 1 else None,
            keys,
        )
        instances = self.room.guess(count)
        while True:
            capacity = Capacity(given.num_gaussians, count, instances)
            work = Work(self.driver, fresh(self.driver.device), frame, capacity)
            work.scratch.record_count.fill_(count)
            splats.depth_keys = keys.clone()
            binned = bin_splats(work, splats)
            found = Found.of(work.scratch.counters.cpu())
            check_instances(found.instances_wanted)
            if found.complete:
                self.room.learn(count, found.instances)
                return work, splats, binned
            instances = found.instances_wanted

    def draw_adj(
        self,
        kept: _Kept,
        images: Blended,
        channels: Tensor | None,
        v_rgb: Tensor,
        v_alpha: Tensor | None,
        v_channels: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        gradients = blend_adj(
            kept.work,
            kept.splats,
            kept.binned,
            kept.passes,
            images,
            ImageGradients(v_rgb, v_alpha, v_channels),
            None if channels is None else readable(channels),
        )
        return gradients.records, gradients.channels
