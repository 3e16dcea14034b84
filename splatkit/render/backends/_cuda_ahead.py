"""Projection and blending with gradients inside training steps, where nothing waits."""

from __future__ import annotations

from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.render.backends import _cuda_ops
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_plan import Choice
from splatkit.render.backends._cuda_room import LateRoom
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats


class CudaAhead:
    """``Rasterizer`` of one training, for pictures beside those of its steps.

    Its splats have a row for every pair of camera and Gaussian, of which the GPU alone knows how
    many are records (``CudaSplats.count``).

    Args:
        driver: launches.
        choice: how images are blended.
    """

    def __init__(self, driver: Driver, choice: Choice) -> None:
        self.device = driver.device
        self._driver = driver
        self._choice = choice
        self._room = LateRoom(recounts=False)

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        return _cuda_ops.project(self._driver, gaussians, cameras, options, counted=False)

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        """Only of the splats that ``project`` gave, whose ids need no check."""
        if not isinstance(splats, _cuda_ops.CudaSplats) or splats.source is not splats.records:
            raise SplatkitError("blend: expected the splats as they were projected")
        return _cuda_ops.blend(
            self._driver,
            self._room,
            self._choice,
            splats,
            background,
            channels,
            request or BlendRequest(),
        )
