"""The CUDA backend: kernels compiled by NVRTC on first use, launched on torch's stream."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render.backends import _cuda_loss, _cuda_ops, _cuda_triangles
from splatkit.render.backends._cuda_ahead import CudaAhead
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_later import Capture
from splatkit.render.backends._cuda_plan import Choice
from splatkit.render.backends._cuda_room import InstanceRoom
from splatkit.render.backends._cuda_rows import RowKernels
from splatkit.render.backends._cuda_step import CudaStep
from splatkit.render.backends._cuda_view import CudaView
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.drawing import Drawn, DrawRequest
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats


class CudaBackend:
    """Rasterizer for NVIDIA GPUs, float32.

    Gradients are summed in a fixed order, and so are the same bits every time, where
    ``torch.use_deterministic_algorithms`` is on or ``deterministic`` says so.

    Args:
        driver: of the GPU; see ``_cuda_device.open_driver``.
        deterministic: in a fixed order whatever torch is told.
        capture: makes replays of the training step's launches; None never replays.
    """

    name = "cuda"

    def __init__(
        self, driver: Driver, deterministic: bool = False, capture: Capture | None = None
    ) -> None:
        self.device = driver.device
        self.driver = driver
        """Launches; also kernels that are none of rendering."""
        self._always_deterministic = deterministic
        self._capture = capture
        self._room = InstanceRoom()
        self._triangle_room = InstanceRoom()
        self._memory = Workspace(driver.device)
        self.rows = RowKernels(driver)
        """Splits and orders Gaussians, shrinks photos."""
        self._view = CudaView(driver)

    @property
    def _deterministic(self) -> bool:
        return self._always_deterministic or torch.are_deterministic_algorithms_enabled()

    @property
    def _choice(self) -> Choice:
        return Choice(deterministic=self._deterministic)

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        return _cuda_ops.project(self.driver, gaussians, cameras, options)

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        return _cuda_ops.blend(
            self.driver,
            self._room,
            self._choice,
            splats,
            background,
            channels,
            request or BlendRequest(),
        )

    def ahead(self) -> CudaAhead:
        return CudaAhead(self.driver, self._choice)

    def draw(
        self, gaussians: Gaussians, cameras: Cameras, background: Tensor, options: ProjectOptions
    ) -> tuple[Tensor, Tensor]:
        return self._view.draw(gaussians, cameras, background, options)

    def l1_ssim(
        self, rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        # The same address from step to step, so that launches that read it can be replayed.
        return _cuda_loss.l1_ssim(self.driver, self._memory.take, rgb, targets, ssim_weight, mask)

    def draw_triangles(self, request: DrawRequest) -> Drawn:
        """Draw triangles; float32."""
        return _cuda_triangles.draw(self.driver, self._triangle_room, request)

    def training_step(self) -> CudaStep:
        return CudaStep(self.driver, self._deterministic, self._capture)
