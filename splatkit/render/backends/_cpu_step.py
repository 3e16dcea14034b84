"""The fused training step on the CPU: no autograd graph, no gradient tensors of parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cpu_finish import finish
from splatkit.render.backends._torch_step import Rasterizer
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import ScreenSplats


@dataclass(frozen=True)
class _Drawn:
    """What one forward leaves for backward and finish."""

    cameras: Cameras
    options: ProjectOptions
    splats: ScreenSplats
    ones: Tensor
    coverage: Tensor
    rgb: Tensor
    alpha: Tensor


class CpuStep:
    """``TrainingStep`` with native kernels.

    Args:
        rasterizer: the CPU backend.
    """

    def __init__(self, rasterizer: Rasterizer) -> None:
        self._rasterizer = rasterizer
        self._drawn: _Drawn | None = None
        self._v_records: Tensor | None = None
        self._sums: Tensor | None = None

    def forward(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            splats = self._rasterizer.project(gaussians, cameras, options)
        with torch.enable_grad():
            splats.records.requires_grad_()
            ones = torch.ones_like(splats.records[:, :1]).requires_grad_()
            blended = self._rasterizer.blend(splats, background, ones)
        if blended.channels is None:
            raise SplatkitError("training step: the rasterizer returned no channels")
        self._drawn = _Drawn(
            cameras, options, splats, ones, blended.channels, blended.rgb, blended.alpha
        )
        self._v_records = self._sums = None
        return blended.rgb.detach(), blended.alpha.detach()

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        if self._drawn is None:
            raise SplatkitError("training step: backward() needs a forward() before it")
        drawn = self._drawn
        v_alpha = torch.zeros_like(drawn.alpha) if v_alpha is None else v_alpha
        (self._v_records,) = torch.autograd.grad(
            (drawn.rgb, drawn.alpha), drawn.splats.records, (v_rgb, v_alpha), retain_graph=True
        )
        if scores is not None:
            columns = [
                torch.autograd.grad(drawn.coverage, drawn.ones, s[..., None], retain_graph=True)[0]
                for s in (scores, torch.ones_like(scores))
            ]
            self._sums = torch.cat(columns, 1)
        return self._v_records

    def finish(
        self,
        gaussians: Gaussians,
        adam: AdamState,
        update: UpdateOptions,
        statistics: DensityStatistics | None = None,
    ) -> None:
        if self._drawn is None or self._v_records is None:
            raise SplatkitError("training step: finish() needs a backward() before it")
        finish(
            gaussians,
            self._drawn.cameras,
            self._drawn.options,
            self._drawn.splats,
            self._v_records,
            adam,
            update,
            statistics,
            self._sums,
        )
        self._drawn = self._v_records = None
