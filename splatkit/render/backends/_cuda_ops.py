"""Projection and blending on the GPU as differentiable functions: check, allocate, launch, save.

Each reads one number back from the device: how many records there are, and how many pairs of
splat and tile. ``CudaAhead`` waits for neither, and nor does the training step (``_cuda_step``).
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
from splatkit.render.backends._cuda_room import InstanceRoom, LateRoom
from splatkit.render.backends._cuda_update import project_adj
from splatkit.render.backends._cuda_work import Work, fresh
from splatkit.render.backends._inputs import check_ids, check_splats
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import DEPTHS, Blended, BlendRequest, ScreenSplats


@dataclass
class CudaSplats(ScreenSplats):
    """Records that the GPU projected, with what sorting them needs."""

    depth_keys: Tensor | None = None
    source: Tensor | None = None
    """The records as they came: others are checked and get keys of their own."""
    count: Tensor | None = None
    """[1] int32 how many rows are records, on the GPU; None where all are. The rows behind them
    name Gaussians and cameras that there are, each as seldom as can be, and get no gradient."""


@dataclass(frozen=True)
class _ProjectSettings:
    driver: Driver
    width: int
    height: int
    options: ProjectOptions
    degree: int
    antialiased: bool
    counted: bool


def project(
    driver: Driver,
    gaussians: Gaussians,
    cameras: Cameras,
    options: ProjectOptions,
    counted: bool = True,
) -> ScreenSplats:
    """``Backend.project``.

    Args:
        driver: launches.
        gaussians: N Gaussians.
        cameras: C cameras.
        options: see there.
        counted: wait for the number of records; else there are C * N rows, see ``CudaSplats``.
    """
    check_inputs(driver, gaussians, cameras)
    settings = _ProjectSettings(
        driver,
        cameras.width,
        cameras.height,
        options,
        min(options.sh_degree, gaussians.sh_degree),
        gaussians.antialiased,
        counted,
    )
    records, *ids, keys, count = _Project.apply(
        settings, *gaussians.parameters().values(), cameras.viewmats, cameras.Ks
    )
    return CudaSplats.of(
        gaussians,
        cameras,
        records,
        *ids,
        depth_keys=keys,
        source=records,
        count=None if counted else count,
    )


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
        count = work.scratch.record_count
        if settings.counted:
            visible = int(count.item())
            columns = (found.records, found.gaussian_ids, found.camera_ids, found.depth_keys)
            # What is far too large is not kept alive.
            spare = 2 * visible < pairs
            outputs = tuple(
                column[:visible].clone() if spare else column[:visible]
                for column in columns
                if column is not None
            )
        else:
            outputs = (found.records, *_ids_everywhere(found, count, capacity), found.depth_keys)
        outputs = (*outputs, count)
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


def _ids_everywhere(found: Records, count: Tensor, capacity: Capacity) -> tuple[Tensor, Tensor]:
    """Gaussian and camera of each row; those behind the records name all Gaussians in turn."""
    assert found.camera_ids is not None
    places = torch.arange(capacity.records, dtype=torch.int32, device=count.device)
    there = places < count
    return (
        torch.where(there, found.gaussian_ids, places % max(1, capacity.gaussians)),
        torch.where(there, found.camera_ids, 0),
    )


def blend(
    driver: Driver,
    room: InstanceRoom | LateRoom,
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
class _Tiled:
    """Splats in tiles."""

    work: Work
    splats: Records
    binned: Binned


@dataclass(frozen=True)
class _Kept(_Tiled):
    """What one blend leaves for its gradient."""

    passes: list[Kept]


@dataclass(frozen=True)
class _Blender:
    """``Blender`` of splats on a GPU."""

    driver: Driver
    room: InstanceRoom | LateRoom
    splats: ScreenSplats
    request: BlendRequest
    choice: Choice

    def draw(
        self, records: Tensor, channels: Tensor | None, background: Tensor, keep: bool
    ) -> tuple[Blended, _Kept | None]:
        # Without gradients: no checkpoints, and sums in any order are the same.
        choice = self.choice if keep else replace(self.choice, bucket=0, deterministic=False)
        frame = Frame(self.splats.num_cameras, self.splats.width, self.splats.height, choice)
        tiled = self._binned(readable(records), frame)
        work, splats, binned = tiled.work, tiled.splats, tiled.binned
        values = None if channels is None else readable(channels)
        count = None if values is None else values.shape[1]
        images = allocate_blended(work, count, self.request)
        passes = launch_blend(
            work, splats, binned, readable(background), images, values, self.request
        )
        return images, _Kept(work, splats, binned, passes) if keep else None

    def _binned(self, records: Tensor, frame: Frame) -> _Tiled:
        """Splats in tiles."""
        given, room = self.splats, len(records)
        own = isinstance(given, CudaSplats) and given.source is given.records
        keys = given.depth_keys if own and isinstance(given, CudaSplats) else None
        keys = depth_keys(records) if keys is None else keys
        count = given.count if isinstance(given, CudaSplats) else None
        splats = Records(
            records,
            given.gaussian_ids.contiguous(),
            given.camera_ids.contiguous() if frame.cameras > 1 else None,
            keys,
        )

        def attempt(instances: int) -> tuple[_Tiled, Tensor]:
            capacity = Capacity(given.num_gaussians, room, instances)
            work = Work(self.driver, fresh(self.driver.device), frame, capacity)
            if count is None:
                work.scratch.record_count.fill_(room)
            else:
                work.scratch.record_count.copy_(count)
            splats.depth_keys = keys.clone()
            return _Tiled(work, splats, bin_splats(work, splats)), work.scratch.counters

        if isinstance(self.room, LateRoom):
            return self.room.draw(room, frame.cameras * frame.width * frame.height, attempt)
        return self.room.counted(room, attempt)

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
