"""What a browser wants to see of a scene, and the picture of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render import render
from splatkit.render.pictures import EMPTY, depth_range_of, outputs_of, picture
from splatkit.viewer.source import SceneSource

COLORMAPS = ("turbo", "viridis", "inferno", "gray")
DEPTHS = ("depth", "depth_median")
SEAM = 255
"""Grey level of the line between two scenes that are compared."""


@dataclass(frozen=True)
class Look:
    """What a browser wants to see of the scene."""

    mode: str = "rgb"
    """One of ``splatkit.render.pictures.MODES``."""
    sh_degree: int = 4
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    resolution: float = 1.0
    """Share of the page's own pixels for sharp pictures, per side."""
    colormap: str = "turbo"
    """Colours of depths: one of ``COLORMAPS``."""
    depth_range: tuple[float, float] | None = None
    """Camera z of the first and the last colour; that of each picture when None."""
    size: float = 1.0
    """Factor for the size of the Gaussians."""
    near: float = 0.01
    """Camera z before which nothing is drawn, scene units."""
    other: SceneSource | None = None
    """The scene that this one is compared with."""
    wipe: float = 0.5
    """Share of the width that shows this scene; the rest shows the other one."""


def draw(
    gaussians: Gaussians,
    camera: Cameras,
    look: Look,
    backend: str = "auto",
    other: Gaussians | None = None,
) -> np.ndarray:
    """[H,W,3] uint8 picture of a scene, or of two with a line between them.

    Args:
        gaussians: the scene.
        camera: one camera.
        look: what to show.
        backend: see ``render``.
        other: fills the picture from ``look.wipe`` to the right where it is given.
    """
    pixels = _draw(gaussians, camera, look, backend)
    if other is None:
        return pixels
    seam = round(look.wipe * camera.width)
    pixels = pixels.copy()
    pixels[:, seam:] = _draw(other, camera, look, backend)[:, seam:]
    pixels[:, max(0, seam - 1) : seam + 1] = SEAM
    return pixels


def _draw(gaussians: Gaussians, camera: Cameras, look: Look, backend: str) -> np.ndarray:
    if look.size != 1:
        log_size = float(np.log(look.size))
        gaussians = replace(gaussians, log_scales=gaussians.log_scales + log_size)
    with torch.no_grad():
        rendered = render(
            gaussians,
            camera.to(gaussians.means.dtype),
            background=gaussians.means.new_tensor(look.background),
            sh_degree=min(look.sh_degree, gaussians.sh_degree),
            near=look.near,
            outputs=outputs_of(look.mode),
            backend=backend,
        )
        if look.mode in DEPTHS and look.colormap != "turbo":
            depth = rendered.depth if look.mode == "depth" else rendered.depth_median
            assert depth is not None
            shown = _colored(depth, look.depth_range or depth_range_of(depth), look.colormap)
        else:
            shown = picture(rendered, look.mode, look.depth_range)
    return shown[0].cpu().numpy()


def _colored(depth: Tensor, depth_range: tuple[float, float], colormap: str) -> Tensor:
    """[C,H,W,3] uint8, evenly in disparity as ``picture`` has it."""
    near, far = depth_range
    disparity = 1 / torch.where(depth > 0, depth, 1.0)
    level = ((disparity - 1 / far) / (1 / near - 1 / far)).clamp(0, 1)
    colors = _colors(colormap).to(depth)[(level * 255).long()]
    return (torch.where(depth[..., None] > 0, colors, EMPTY) * 255 + 0.5).to(torch.uint8)


@cache
def _colors(colormap: str) -> Tensor:
    """[256,3] of one of matplotlib's colour maps."""
    return torch.tensor([colormaps[colormap](level)[:3] for level in range(256)])
