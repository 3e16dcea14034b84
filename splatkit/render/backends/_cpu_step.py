"""The fused training step on the CPU: no autograd graph, no gradient tensors of parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import Cameras, Gaussians, check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cpu_finish import finish
from splatkit.render.backends._cpu_ops import projection_settings
from splatkit.render.backends._in_place import MovingHarmonics
from splatkit.render.backends._inputs import image_gradients
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import RECORD_SIZE, ScreenSplats


@dataclass(frozen=True)
class _Drawn:
    """What one forward leaves for backward and finish."""

    cameras: Cameras
    options: ProjectOptions
    splats: ScreenSplats
    rgb: Tensor
    alpha: Tensor


class CpuStep:
    """``TrainingStep`` with native kernels, float32."""

    def __init__(self) -> None:
        self._memory = Workspace()
        self._projection = _native.Projection()
        self._blending = _native.Blending()
        self._moving = MovingHarmonics()
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
        background = background.expand(len(cameras), 3)
        check(
            means=(gaussians.means, "N 3"),
            viewmats=(cameras.viewmats, "C 4 4"),
            Ks=(cameras.Ks, "C 3 3"),
            background=(background, "C 3"),
        )
        if gaussians.means.dtype != torch.float32:
            raise SplatkitError(
                f"training step: expected float32 Gaussians, got {gaussians.means.dtype}"
            )
        if options.frame is not None or options.pixel_offset != (0.0, 0.0):
            raise SplatkitError("training step: expected whole pictures, got a frame or an offset")
        splats = self._project(gaussians, cameras, options)
        rows = (splats.records, splats.gaussian_ids, splats.camera_ids)
        size = (len(cameras), cameras.height, cameras.width)
        rgb, alpha = self._memory.take("rgb", *size, 3), self._memory.take("alpha", *size)
        _native.bin(self._blending, *rows, len(cameras), cameras.width, cameras.height)
        _native.blend(
            self._blending,
            *rows,
            None,
            background.detach().contiguous(),
            False,
            rgb,
            alpha,
            *(None,) * 9,
        )
        self._drawn = _Drawn(cameras, options, splats, rgb, alpha)
        self._v_records = self._sums = None
        return rgb, alpha

    def _project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        count = _native.project(
            self._projection,
            *(tensor.detach().contiguous() for tensor in gaussians.parameters().values()),
            cameras.viewmats.detach().contiguous(),
            cameras.Ks.detach().contiguous(),
            *projection_settings(gaussians, cameras, options),
        )
        records = self._memory.take("records", count, RECORD_SIZE)
        gaussian_ids = self._memory.take("gaussian_ids", count, dtype=torch.int32)
        camera_ids = self._memory.take("camera_ids", count, dtype=torch.int32)
        _native.take_projected(self._projection, records, gaussian_ids, camera_ids)
        return ScreenSplats.of(gaussians, cameras, records, gaussian_ids, camera_ids)

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        if self._drawn is None:
            raise SplatkitError("training step: backward() needs a forward() before it")
        splats, rgb, alpha = self._drawn.splats, self._drawn.rgb, self._drawn.alpha
        v_rgb, v_alpha, scores = image_gradients(rgb, v_rgb, v_alpha, scores)
        if scores is not None:
            self._sums = self._memory.take("sums", len(splats), 2)
        self._v_records = self._memory.take("v_records", len(splats), RECORD_SIZE)
        _native.blend_adj(
            self._blending,
            splats.records,
            splats.gaussian_ids,
            splats.camera_ids,
            None,
            False,
            rgb,
            alpha,
            None,
            v_rgb,
            v_alpha,
            None,
            scores,
            self._v_records,
            None,
            self._sums,
        )
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
            self._moving,
        )
        self._drawn = self._v_records = None
