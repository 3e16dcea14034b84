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
from splatkit.core.errors import SplatkitError
from splatkit.render.backends import _blend_function
from splatkit.render.backends._inputs import check_ids, check_scene, check_splats
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import RECORD_SIZE, Blended, BlendRequest, ScreenSplats


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
    check_scene(gaussians, cameras)
    _check_dtype("means", gaussians.means)
    settings = projection_settings(gaussians, cameras, options)
    found = _Project.apply(settings, *gaussians.parameters().values(), cameras.viewmats, cameras.Ks)
    return ScreenSplats.of(gaussians, cameras, *found)


def projection_settings(gaussians: Gaussians, cameras: Cameras, options: ProjectOptions) -> tuple:
    """What the native projection is told beside tensors."""
    return (
        cameras.width,
        cameras.height,
        min(options.sh_degree, gaussians.sh_degree),
        options.eps2d,
        options.near,
        tuple(options.pixel_offset),
        options.frame_of(cameras.width, cameras.height),
        gaussians.antialiased,
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


def blend(
    splats: ScreenSplats,
    background: Tensor,
    channels: Tensor | None,
    request: BlendRequest,
    smooth_cutoff: bool,
) -> Blended:
    """``Backend.blend``; ``smooth_cutoff`` is for tests in float64, see ``TorchReference``."""
    check_splats(splats, background, channels, request)
    _check_dtype("records", splats.records)
    if smooth_cutoff and splats.records.dtype != torch.float64:
        raise SplatkitError(f"smooth_cutoff: expected float64, got {splats.records.dtype}")
    check_ids(splats)
    blender = _Blender(splats, request, smooth_cutoff)
    return _blend_function.blend(blender, splats.records, channels, background)


@dataclass(frozen=True)
class _Blender:
    """``Blender`` of splats on the CPU; keeps the lease of its workspace, and contiguous splats."""

    splats: ScreenSplats
    request: BlendRequest
    smooth_cutoff: bool

    def draw(
        self, records: Tensor, channels: Tensor | None, background: Tensor, keep: bool
    ) -> tuple[Blended, tuple[Lease, ScreenSplats] | None]:
        splats = replace(
            self.splats,
            records=records,
            gaussian_ids=self.splats.gaussian_ids.contiguous(),
            camera_ids=self.splats.camera_ids.contiguous(),
        )
        lease = POOL.lend()
        images = draw(
            lease.workspace, splats, background, channels, self.request, self.smooth_cutoff
        )
        return images, (lease, splats) if keep else None

    def draw_adj(
        self,
        kept: tuple[Lease, ScreenSplats],
        images: Blended,
        channels: Tensor | None,
        v_rgb: Tensor,
        v_alpha: Tensor | None,
        v_channels: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        lease, splats = kept
        v_records, v_given, _ = draw_adj(
            lease.workspace,
            splats,
            images,
            v_rgb,
            v_alpha,
            channels,
            v_channels,
            smooth_cutoff=self.smooth_cutoff,
        )
        return v_records, v_given


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
