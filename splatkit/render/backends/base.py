"""What every rasterizer backend provides; the reference's plain code is the specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats


@dataclass(frozen=True)
class ProjectOptions:
    """How Gaussians become screen-space splats."""

    sh_degree: int = 4
    """Harmonics above this degree are left out; at most the stored degree counts."""
    eps2d: float = 0.3
    """Variance added to both screen axes, pixel^2 (the low-pass of one pixel)."""
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    """Pixels are sampled at their centre plus this, pixels."""
    near: float = 0.01
    """Gaussians with camera z at or below this are not drawn, scene units."""


class Backend(Protocol):
    """Two differentiable operations; ``render`` is their composition."""

    name: str

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        """Project, cull and colour; the only place that decides visibility.

        Differentiable with respect to the five parameter tensors and ``cameras.viewmats``.
        """
        ...

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        """Blend front to back by camera z, ties by Gaussian index.

        Differentiable with respect to ``splats.records``, ``background`` [C,3] and
        ``channels`` [M,F].
        """
        ...
