"""The native backend: tiles, SIMD and threads on the CPU (docs/performance.md)."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render.backends import _cpu_ops
from splatkit.render.backends._cpu_loss import l1_ssim
from splatkit.render.backends._cpu_step import CpuStep
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats


class CpuBackend:
    """Rasterizer for CPUs; float32 fast, float64 in plain loops.

    Args:
        smooth_cutoff: as in ``TorchReference``; for tests in float64.
    """

    name = "cpu"
    device = torch.device("cpu")

    def __init__(self, smooth_cutoff: bool = False) -> None:
        self.smooth_cutoff = smooth_cutoff

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        return _cpu_ops.project(gaussians, cameras, options)

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        return _cpu_ops.blend(
            splats, background, channels, request or BlendRequest(), self.smooth_cutoff
        )

    def l1_ssim(
        self, rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
    ) -> tuple[float, Tensor]:
        return l1_ssim(rgb, targets, ssim_weight, mask)

    def training_step(self) -> CpuStep:
        return CpuStep()
