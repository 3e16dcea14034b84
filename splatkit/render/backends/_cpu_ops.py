"""Projection and blending on the CPU as autograd functions: check, allocate, call, save.

float32 runs in SIMD on all threads, float64 in plain loops on one. The mathematics is native
(``cuda/include/splatkit``, ``cuda/cpu``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import Cameras, Gaussians
from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import RECORD_SIZE, Blended, BlendRequest, ScreenSplats

MAX_IMAGE_SIDE = 65535
"""Pixel numbers are kept in 16 bits."""
MAX_TOP_K = 32


class WorkspacePool:
    """Blending workspaces that wait to be used again; each serves one forward and its backward."""

    def __init__(self) -> None:
        self._idle: list[_native.Blending] = []

    def lend(self) -> Lease:
        """A workspace until the lease is dropped."""
        return Lease(self, self._idle.pop() if self._idle else _native.Blending())

    def take_back(self, workspace: _native.Blending) -> None:
        """Keep a workspace for the next one who asks."""
        self._idle.append(workspace)


class Lease:
    """A workspace that returns to its pool when nobody refers to the lease any more."""

    def __init__(self, pool: WorkspacePool, workspace: _native.Blending) -> None:
        self.workspace = workspace
        self._pool = pool

    def __del__(self) -> None:
        self._pool.take_back(self.workspace)


POOL = WorkspacePool()


def project(gaussians: Gaussians, cameras: Cameras, options: ProjectOptions) -> ScreenSplats:
    """``Backend.project``."""
    check(
        means=(gaussians.means, "N 3"),
        quats=(gaussians.quats, "N 4"),
        log_scales=(gaussians.log_scales, "N 3"),
        logit_opacities=(gaussians.logit_opacities, "N"),
        sh=(gaussians.sh, "N K 3"),
        viewmats=(cameras.viewmats, "C 4 4"),
        Ks=(cameras.Ks, "C 3 3"),
    )
    _check_dtype("means", gaussians.means)
    if max(cameras.width, cameras.height) > MAX_IMAGE_SIDE:
        raise SplatkitError(
            f"cameras: expected images of at most {MAX_IMAGE_SIDE} pixels a side, "
            f"got {cameras.width}x{cameras.height}"
        )
    settings = (
        cameras.width,
        cameras.height,
        min(options.sh_degree, gaussians.sh_degree),
        options.eps2d,
        options.near,
        tuple(options.pixel_offset),
        gaussians.antialiased,
    )
    records, gaussian_ids, camera_ids = _Project.apply(
        settings,
        gaussians.means,
        gaussians.quats,
        gaussians.log_scales,
        gaussians.logit_opacities,
        gaussians.sh,
        cameras.viewmats,
        cameras.Ks,
    )
    return ScreenSplats(
        records,
        gaussian_ids,
        camera_ids,
        len(gaussians),
        len(cameras),
        cameras.width,
        cameras.height,
    )


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, settings: tuple, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        arrays = [tensor.detach().contiguous() for tensor in inputs]
        staged = _native.Projection()
        count = _native.project(staged, *arrays, *settings)
        records = arrays[0].new_empty(count, RECORD_SIZE)
        gaussian_ids = torch.empty(count, dtype=torch.int32)
        camera_ids = torch.empty(count, dtype=torch.int32)
        _native.take_projected(staged, records, gaussian_ids, camera_ids)
        ctx.settings = settings
        ctx.save_for_backward(*inputs, gaussian_ids, camera_ids)
        ctx.mark_non_differentiable(gaussian_ids, camera_ids)
        ctx.set_materialize_grads(False)
        return records, gaussian_ids, camera_ids

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        v_records = grad_outputs[0]
        if v_records is None:
            return (None,) * len(ctx.needs_input_grad)
        *inputs, gaussian_ids, camera_ids = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1:7]
        gradients = [
            torch.zeros_like(tensor, memory_format=torch.contiguous_format) if needed else None
            for tensor, needed in zip(inputs, wanted, strict=False)
        ]
        _native.project_adj(
            *(tensor.detach().contiguous() for tensor in inputs),
            *ctx.settings,
            v_records.contiguous(),
            gaussian_ids,
            camera_ids,
            *gradients,
        )
        return None, *gradients, None


@dataclass(frozen=True)
class _BlendSettings:
    """What a blend is told beside tensors that have gradients."""

    splats: ScreenSplats
    request: BlendRequest
    smooth_cutoff: bool


def blend(
    splats: ScreenSplats,
    background: Tensor,
    channels: Tensor | None,
    request: BlendRequest,
    smooth_cutoff: bool,
) -> Blended:
    """``Backend.blend``; ``smooth_cutoff`` is for tests in float64, see ``TorchReference``."""
    sizes = check(records=(splats.records, "M 12"), background=(background, "C 3"))
    _check_dtype("records", splats.records)
    if sizes["C"] != splats.num_cameras:
        raise SplatkitError(
            f"background: expected [{splats.num_cameras},3], got {list(background.shape)}"
        )
    if channels is not None:
        check(records=(splats.records, "M 12"), channels=(channels, "M F"))
    if smooth_cutoff and splats.records.dtype != torch.float64:
        raise SplatkitError(f"smooth_cutoff: expected float64, got {splats.records.dtype}")
    if not 0 <= request.top_k <= MAX_TOP_K:
        raise SplatkitError(f"top_k: expected 0 to {MAX_TOP_K}, got {request.top_k}")
    _check_ids("gaussian_ids", splats.gaussian_ids, sizes["M"], splats.num_gaussians)
    _check_ids("camera_ids", splats.camera_ids, sizes["M"], splats.num_cameras)
    if splats.num_cameras > 1 and not bool((splats.camera_ids.diff() >= 0).all()):
        raise SplatkitError("camera_ids: expected records in the order of their cameras")
    settings = _BlendSettings(splats, request, smooth_cutoff)
    outputs = _Blend.apply(settings, splats.records, channels, background)
    return Blended(*outputs)


def _check_dtype(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in (torch.float32, torch.float64) or tensor.device.type != "cpu":
        raise SplatkitError(
            f"{name}: expected float32 or float64 on the CPU, got {tensor.dtype} on {tensor.device}"
        )


def _check_ids(name: str, ids: Tensor, count: int, end: int) -> None:
    if ids.dtype != torch.int32 or tuple(ids.shape) != (count,):
        raise SplatkitError(f"{name}: expected int32 [{count}], got {ids.dtype} {list(ids.shape)}")
    if count and not 0 <= int(ids.min()) <= int(ids.max()) < end:
        raise SplatkitError(
            f"{name}: expected values of 0 to {end - 1}, got {int(ids.min())} to {int(ids.max())}"
        )


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        settings: _BlendSettings,
        records: Tensor,
        channels: Tensor | None,
        background: Tensor,
    ) -> tuple[Tensor | None, ...]:
        splats, request = settings.splats, settings.request
        records = records.detach().contiguous()
        values = None if channels is None else channels.detach().contiguous()
        ids = splats.gaussian_ids.contiguous(), splats.camera_ids.contiguous()
        shape = splats.num_cameras, splats.height, splats.width
        rgb, alpha = records.new_empty(*shape, 3), records.new_empty(shape)
        image = None if values is None else records.new_empty(*shape, values.shape[1])
        median = records.new_empty(shape) if request.depth_median else None
        weight_sum = weight_max = weight_count = top_ids = top_weights = None
        if request.weights:
            weight_sum = records.new_empty(splats.num_gaussians)
            weight_max = torch.empty_like(weight_sum)
            weight_count = torch.empty(splats.num_gaussians, dtype=torch.int32)
        if request.top_k:
            top_weights = records.new_empty(*shape, request.top_k)
            top_ids = torch.empty(*shape, request.top_k, dtype=torch.int32)
        lease = POOL.lend()
        _native.bin(lease.workspace, records, *ids, *shape[:1], splats.width, splats.height)
        extras = (median, weight_sum, weight_max, weight_count, top_ids, top_weights)
        _native.blend(
            lease.workspace,
            records,
            *ids,
            values,
            background.detach().contiguous(),
            settings.smooth_cutoff,
            rgb,
            alpha,
            image,
            *extras,
        )
        if any(ctx.needs_input_grad):
            ctx.lease, ctx.smooth_cutoff, ctx.has_channels = (
                lease,
                settings.smooth_cutoff,
                values is not None,
            )
            given = () if channels is None else (channels, image)
            ctx.save_for_backward(records, *ids, rgb, alpha, *given)
        ctx.mark_non_differentiable(*(tensor for tensor in extras if tensor is not None))
        ctx.set_materialize_grads(False)
        return rgb, alpha, image, *extras

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        v_rgb, v_alpha, v_image = grad_outputs[:3]
        records, gaussian_ids, camera_ids, rgb, alpha, *given = ctx.saved_tensors
        channels, image = given if ctx.has_channels else (None, None)
        v_rgb = torch.zeros_like(rgb) if v_rgb is None else v_rgb.contiguous()
        v_alpha = None if v_alpha is None else v_alpha.contiguous()
        v_records, v_channels = torch.empty_like(records), None
        if channels is not None and image is not None:
            channels = channels.detach().contiguous()
            v_channels = torch.empty_like(channels)
            v_image = torch.zeros_like(image) if v_image is None else v_image.contiguous()
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            _native.blend_adj(
                ctx.lease.workspace,
                records,
                gaussian_ids,
                camera_ids,
                channels,
                ctx.smooth_cutoff,
                rgb.detach(),
                alpha.detach(),
                None if image is None else image.detach(),
                v_rgb,
                v_alpha,
                v_image,
                None,
                v_records,
                v_channels,
                None,
            )
        v_background = None
        if ctx.needs_input_grad[3]:
            v_background = ((1 - alpha)[..., None] * v_rgb).sum((1, 2))
        return None, v_records, v_channels, v_background
