"""Projection and blending on the GPU as autograd functions: check, allocate, launch, save.

Each reads one number back from the device: how many records there are, and how many pairs of
splat and tile. The training step (``_cuda_step``) waits for neither.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends import _cuda_raster as raster
from splatkit.render.backends import _cuda_update as update
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import interface
from splatkit.render.backends._cuda_plan import (
    Allocate,
    Capacity,
    Choice,
    Found,
    Frame,
    Scratch,
    check_instances,
)
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import DEPTHS, Blended, BlendRequest, ScreenSplats

MAX_IMAGE_SIDE = 65535
MAX_TOP_K = 32
MAX_PAIRS = 1 << 30
"""Pairs of camera and Gaussian of one launch stay below this."""
LEAST_INSTANCES = 1 << 16
_ROOM = 1.25
ALIGNMENT = 16
"""Where quats and sh begin in memory, bytes."""


@dataclass
class CudaSplats(ScreenSplats):
    """Records that the GPU projected, with what sorting them needs."""

    depth_keys: Tensor | None = None
    source: Tensor | None = None
    """The records as they came: others are checked and get keys of their own."""


def fresh(device: torch.device) -> Allocate:
    """New memory for every name."""

    def allocate(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    return allocate


def check_inputs(driver: Driver, gaussians: Gaussians, cameras: Cameras) -> None:
    """Refuse what the kernels cannot read.

    Raises:
        SplatkitError: a shape, type or device is not as said, or there is too much of it.
    """
    check(
        means=(gaussians.means, "N 3"),
        quats=(gaussians.quats, "N 4"),
        log_scales=(gaussians.log_scales, "N 3"),
        logit_opacities=(gaussians.logit_opacities, "N"),
        sh=(gaussians.sh, "N K 3"),
        viewmats=(cameras.viewmats, "C 4 4"),
        Ks=(cameras.Ks, "C 3 3"),
    )
    _check_kind(driver, "means", gaussians.means)
    if max(cameras.width, cameras.height) > MAX_IMAGE_SIDE:
        raise SplatkitError(
            f"cameras: expected images of at most {MAX_IMAGE_SIDE} pixels a side, "
            f"got {cameras.width}x{cameras.height}"
        )
    if len(cameras) * len(gaussians) >= MAX_PAIRS:
        raise SplatkitError(
            f"cameras: expected fewer than {MAX_PAIRS:,} pairs of camera and Gaussian at once, got "
            f"{len(cameras)} x {len(gaussians):,}; render fewer cameras at once"
        )


def _check_kind(driver: Driver, name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.float32 or tensor.device != driver.device:
        raise SplatkitError(
            f"{name}: expected float32 on {driver.device}, got {tensor.dtype} on {tensor.device}"
        )


def readable(tensor: Tensor) -> Tensor:
    """The tensor without history, contiguous and aligned, copied where it is not."""
    tensor = tensor.detach().contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


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
    records, gaussian_ids, camera_ids, keys = _Project.apply(
        settings, *gaussians.parameters().values(), cameras.viewmats, cameras.Ks
    )
    return CudaSplats(
        records,
        gaussian_ids,
        camera_ids,
        len(gaussians),
        len(cameras),
        cameras.width,
        cameras.height,
        depth_keys=keys,
        source=records,
    )


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, settings: _ProjectSettings, *inputs: Tensor) -> tuple[Tensor, ...]:
        driver = settings.driver
        allocate = fresh(driver.device)
        *parameters, viewmats, Ks = (readable(tensor) for tensor in inputs)
        count = len(parameters[0])
        frame = Frame(len(viewmats), settings.width, settings.height, Choice())
        capacity = Capacity(count, frame.cameras * count, 0)
        scratch = Scratch(allocate, frame, capacity)
        scratch.memory.zero_()
        cameras = allocate("cameras", frame.cameras, interface().constants["CAMERA_FLOATS"])
        raster.prepare_cameras(
            driver, cameras, viewmats, Ks, frame, settings.options, settings.antialiased
        )
        needed = any(ctx.needs_input_grad)
        rows = allocate("rows", frame.cameras, count, dtype=torch.int32) if needed else None
        found = raster.allocate_projected(allocate, frame, capacity, True, rows)
        raster.project(driver, parameters, settings.degree, cameras, frame, scratch, found)
        visible = int(scratch.record_count.item())
        columns = (found.records, found.gaussian_ids, found.camera_ids, found.depth_keys)
        # What is far too large is not kept alive.
        spare = 2 * visible < capacity.records
        outputs = tuple(
            column[:visible].clone() if spare else column[:visible]
            for column in columns
            if column is not None
        )
        if needed:
            ctx.settings, ctx.rows, ctx.cameras = settings, rows, cameras
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
        update.project_adj(
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


class InstanceRoom:
    """Foresees how many pairs of splat and tile a blend will have, from those before it."""

    def __init__(self) -> None:
        self._per_record = 8.0

    def guess(self, records: int) -> int:
        """Room for that many records."""
        return max(LEAST_INSTANCES, int(_ROOM * self._per_record * records))

    def learn(self, records: int, instances: int) -> None:
        """What a blend had."""
        if records:
            self._per_record = max(0.9 * self._per_record, instances / records)


@dataclass(frozen=True)
class _BlendSettings:
    """What a blend is told beside tensors that have gradients."""

    driver: Driver
    room: InstanceRoom
    splats: ScreenSplats
    request: BlendRequest
    choice: Choice


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
    sizes = check(records=(splats.records, "M 12"), background=(background, "C 3"))
    _check_kind(driver, "records", splats.records)
    if sizes["C"] != splats.num_cameras:
        raise SplatkitError(
            f"background: expected [{splats.num_cameras},3], got {list(background.shape)}"
        )
    if channels is not None:
        check(records=(splats.records, "M 12"), channels=(channels, "M F"))
    if not 0 <= request.top_k <= MAX_TOP_K:
        raise SplatkitError(f"top_k: expected 0 to {MAX_TOP_K}, got {request.top_k}")
    if not (isinstance(splats, CudaSplats) and splats.source is splats.records):
        _check_ids(splats)
    settings = _BlendSettings(driver, room, splats, request, choice)
    return Blended(*_Blend.apply(settings, splats.records, channels, background))


def _check_ids(splats: ScreenSplats) -> None:
    count = len(splats)
    ends = {"gaussian_ids": splats.num_gaussians, "camera_ids": splats.num_cameras}
    for name, end in ends.items():
        ids = getattr(splats, name)
        if ids.dtype != torch.int32 or tuple(ids.shape) != (count,):
            raise SplatkitError(
                f"{name}: expected int32 [{count}], got {ids.dtype} {list(ids.shape)}"
            )
        if count and not 0 <= int(ids.min()) <= int(ids.max()) < end:
            raise SplatkitError(
                f"{name}: expected values of 0 to {end - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}"
            )
    if splats.num_cameras > 1 and not bool((splats.camera_ids.diff() >= 0).all()):
        raise SplatkitError("camera_ids: expected records in the order of their cameras")


def depth_keys(records: Tensor) -> Tensor:
    """[M] int32 that, read as unsigned numbers, sort like camera z."""
    bits = records[:, DEPTHS].contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) | -(2**31))


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        settings: _BlendSettings,
        records: Tensor,
        channels: Tensor | None,
        background: Tensor,
    ) -> tuple[Tensor | None, ...]:
        driver, splats, request = settings.driver, settings.splats, settings.request
        allocate = fresh(driver.device)
        choice = settings.choice
        if not any(ctx.needs_input_grad):
            choice = Choice(choice.tile_width, choice.tile_height, choice.blend_pixels, bucket=0)
        frame = Frame(splats.num_cameras, splats.width, splats.height, choice)
        rows = readable(records)
        keys = splats.depth_keys if isinstance(splats, CudaSplats) else None
        if keys is None or getattr(splats, "source", None) is not records:
            keys = depth_keys(rows)
        projected = raster.Projected(
            rows,
            splats.gaussian_ids.contiguous(),
            splats.camera_ids.contiguous() if frame.cameras > 1 else None,
            keys,
        )
        count = len(rows)
        instances = settings.room.guess(count)
        while True:
            capacity = Capacity(splats.num_gaussians, count, instances)
            scratch = Scratch(allocate, frame, capacity)
            scratch.memory.zero_()
            scratch.record_count.fill_(count)
            # The sort writes over its keys.
            projected.depth_keys = keys.clone()
            binned = raster.bin_splats(driver, allocate, projected, frame, capacity, scratch)
            found = Found.of(scratch.counters.cpu())
            check_instances(found.instances_wanted)
            if found.complete:
                break
            instances = found.instances_wanted
        settings.room.learn(count, found.instances)
        values = None if channels is None else readable(channels)
        out = raster.allocate_blended(
            allocate,
            frame,
            None if values is None else values.shape[1],
            splats.num_gaussians,
            request,
        )
        kept = raster.blend(
            driver,
            allocate,
            projected,
            binned,
            frame,
            capacity,
            readable(background),
            values,
            request,
            out,
        )
        if any(ctx.needs_input_grad):
            ctx.settings, ctx.frame, ctx.capacity, ctx.scratch = settings, frame, capacity, scratch
            ctx.projected, ctx.binned, ctx.kept = projected, binned, kept
            # Through save_for_backward, so that changing one in place is noticed.
            ctx.save_for_backward(records, channels, out.rgb, out.alpha, out.channels)
        outputs = tuple(getattr(out, field.name) for field in fields(Blended))
        ctx.mark_non_differentiable(*(tensor for tensor in outputs[3:] if tensor is not None))
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        _, channels, rgb, alpha, image = ctx.saved_tensors
        v_rgb, v_alpha, v_image = grad_outputs[:3]
        v_rgb = torch.zeros_like(rgb) if v_rgb is None else v_rgb.contiguous()
        v_alpha = None if v_alpha is None else v_alpha.contiguous()
        if image is not None:
            v_image = torch.zeros_like(image) if v_image is None else v_image.contiguous()
        v_records = v_channels = v_background = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            gradients = raster.blend_adj(
                ctx.settings.driver,
                fresh(rgb.device),
                ctx.projected,
                ctx.binned,
                ctx.kept,
                ctx.frame,
                ctx.capacity,
                ctx.scratch,
                Blended(rgb.detach(), alpha.detach(), None if image is None else image.detach()),
                None if channels is None else readable(channels),
                v_rgb,
                v_alpha,
                v_image,
                None,
            )
            v_records, v_channels = gradients.records, gradients.channels
        if ctx.needs_input_grad[3]:
            v_background = ((1 - alpha)[..., None] * v_rgb).sum((1, 2))
        return None, v_records, v_channels, v_background
