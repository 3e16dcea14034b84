"""Projection and blending on the CPU as autograd functions: check, allocate, call, save.

float32 runs in SIMD on all threads, float64 in plain loops on one. The mathematics is native
(``cuda/include/splatkit``, ``cuda/cpu``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
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
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
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


def draw(
    workspace: _native.Blending,
    splats: ScreenSplats,
    background: Tensor,
    channels: Tensor | None = None,
    request: BlendRequest | None = None,
    smooth_cutoff: bool = False,
) -> Blended:
    """Blend checked inputs without autograd; the workspace keeps what ``draw_adj`` needs.

    All tensors are contiguous and carry no gradient history.
    """
    request = request or BlendRequest()
    records, count = splats.records, splats.num_gaussians
    shape = splats.num_cameras, splats.height, splats.width
    result = Blended(records.new_empty(*shape, 3), records.new_empty(shape))
    if channels is not None:
        result.channels = records.new_empty(*shape, channels.shape[1])
    if request.depth_median:
        result.depth_median = records.new_empty(shape)
    if request.weights:
        result.weight_sum = records.new_empty(count)
        result.weight_max = records.new_empty(count)
        result.weight_count = torch.empty(count, dtype=torch.int32)
    if request.top_k:
        result.top_ids = torch.empty(*shape, request.top_k, dtype=torch.int32)
        result.top_weights = records.new_empty(*shape, request.top_k)
    if request.gradient:
        result.rgb_dx, result.rgb_dy = (records.new_empty(*shape, 3) for _ in range(2))
    given = (records, splats.gaussian_ids, splats.camera_ids)
    _native.bin(workspace, *given, splats.num_cameras, splats.width, splats.height)
    images = (getattr(result, field.name) for field in fields(Blended))
    _native.blend(workspace, *given, channels, background, smooth_cutoff, *images)
    return result


def draw_adj(
    workspace: _native.Blending,
    splats: ScreenSplats,
    blended: Blended,
    v_rgb: Tensor,
    v_alpha: Tensor | None = None,
    channels: Tensor | None = None,
    v_channel_image: Tensor | None = None,
    scores: Tensor | None = None,
    smooth_cutoff: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of what the last ``draw`` in this workspace blended.

    Args:
        workspace: unchanged since.
        splats: what was given to ``draw``.
        blended: what came.
        v_rgb: [C,H,W,3] d loss / d rgb.
        v_alpha: [C,H,W] d loss / d alpha, or None.
        channels: [M,F] as given to ``draw``.
        v_channel_image: [C,H,W,F] d loss / d channels' image; with ``channels`` only.
        scores: [C,H,W] per-pixel scores to be weighed, or None.
        smooth_cutoff: as given to ``draw``.

    Returns:
        Gradients of records [M,12] and channels [M,F], and sums [M,2] over pixels of blend weight
        times score and of blend weight (None where not asked for).
    """
    v_records = torch.empty_like(splats.records)
    v_channels = None if channels is None else torch.empty_like(channels)
    sums = None if scores is None else splats.records.new_empty(len(splats), 2)
    _native.blend_adj(
        workspace,
        splats.records,
        splats.gaussian_ids,
        splats.camera_ids,
        channels,
        smooth_cutoff,
        blended.rgb,
        blended.alpha,
        blended.channels,
        v_rgb,
        v_alpha,
        v_channel_image,
        scores,
        v_records,
        v_channels,
        sums,
    )
    return v_records, v_channels, sums


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
        splats = replace(
            settings.splats,
            records=records.detach().contiguous(),
            gaussian_ids=settings.splats.gaussian_ids.contiguous(),
            camera_ids=settings.splats.camera_ids.contiguous(),
        )
        values = None if channels is None else channels.detach().contiguous()
        lease = POOL.lend()
        blended = draw(
            lease.workspace,
            splats,
            background.detach().contiguous(),
            values,
            settings.request,
            settings.smooth_cutoff,
        )
        if any(ctx.needs_input_grad):
            ctx.settings, ctx.splats, ctx.lease = settings, splats, lease
            # Through save_for_backward, so that changing one in place is noticed.
            ctx.save_for_backward(records, channels, blended.rgb, blended.alpha, blended.channels)
        outputs = tuple(getattr(blended, field.name) for field in fields(Blended))
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
            v_records, v_channels, _ = draw_adj(
                ctx.lease.workspace,
                ctx.splats,
                Blended(rgb.detach(), alpha.detach(), None if image is None else image.detach()),
                v_rgb,
                v_alpha,
                None if channels is None else channels.detach().contiguous(),
                v_image,
                smooth_cutoff=ctx.settings.smooth_cutoff,
            )
        if ctx.needs_input_grad[3]:
            v_background = ((1 - alpha)[..., None] * v_rgb).sum((1, 2))
        return None, v_records, v_channels, v_background
