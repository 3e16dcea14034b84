"""The small picture that a large one is reconstructed from.

The scene is rendered at 1 / ratio of the size with the low-pass of the large picture, and may be
shifted by a part of a pixel. A small pixel is then exactly what the large picture has at that
place: all that is missing is what lies between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render import Rendered, render
from splatkit.render.backends import Backend

MARGIN = 1
"""Small pixels on every side beyond the picture, so that each place lies between samples."""
EPS2D = 0.3
"""Low-pass of a picture, pixel^2 (the default of ``render``)."""
Placing = tuple[float, float, float]
"""Small pixels a large one, and the origin x, y: large pixel i has its centre at (i + 0.5) step -
origin, in small pixels from the centre of the first."""


@dataclass(frozen=True)
class SmallView:
    """A small picture's camera, and how the large one lies on it."""

    camera: Cameras
    """One camera, with the margin."""
    ratio: float
    shift: tuple[float, float]
    """Where pixels are sampled beside their centres, small pixels."""
    width: int
    """Of the large picture, pixels."""
    height: int

    @property
    def eps2d(self) -> float:
        """The large picture's low-pass in small pixels."""
        return EPS2D / self.ratio**2

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """The large picture's edges, left, top, right and bottom, in small pixels."""
        width, height = (size / self.ratio + MARGIN for size in (self.width, self.height))
        return float(MARGIN), float(MARGIN), width, height

    @property
    def placing(self) -> Placing:
        """How the large picture lies on the small one."""
        x, y = self.shift
        return 1 / self.ratio, 0.5 + x - MARGIN, 0.5 + y - MARGIN


def small_view(camera: Cameras, ratio: float, shift: tuple[float, float] = (0.0, 0.0)) -> SmallView:
    """The small view that covers a camera's picture."""
    width, height = (
        math.ceil(size / ratio - 1e-6) + 2 * MARGIN for size in (camera.width, camera.height)
    )
    Ks = camera.Ks.clone()
    Ks[:, :2] /= ratio
    Ks[:, :2, 2] += MARGIN
    small = Cameras(camera.viewmats, Ks, width, height)
    return SmallView(small, ratio, shift, camera.width, camera.height)


def render_small(
    gaussians: Gaussians,
    view: SmallView,
    outputs: tuple[str, ...],
    *,
    background: Tensor | None = None,
    sh_degree: int | None = None,
    near: float = 0.01,
    backend: str | Backend = "auto",
) -> Rendered:
    """Render a small view; arguments as of ``render``."""
    with torch.no_grad():
        return render(
            gaussians,
            view.camera,
            background=background,
            sh_degree=sh_degree,
            eps2d=view.eps2d,
            pixel_offset=view.shift,
            frame=view.frame,
            near=near,
            outputs=outputs,
            backend=backend,
        )
