"""Screen-space splats: what projection hands to blending, and what machines exchange.

A record is one visible (camera, Gaussian) pair, 12 floats:

====== =========== ======================================================================
column name        meaning
====== =========== ======================================================================
0-1    means2d     centre x, y in pixels; the centre of the first pixel is at (0.5, 0.5)
2-4    conics      a, b, c of the inverse screen covariance [[a, b], [b, c]], 1 / pixel^2
5      opacities   after the antialiasing compensation, where that is on
6-8    colors      sRGB, at least 0
9      depths      camera z, scene units
10-11  extents     exact half width and height of the box in which alpha can reach 1/255
====== =========== ======================================================================

Gradients with respect to records have the same layout; the extents carry none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from splatkit.core import Cameras, Gaussians

RECORD_SIZE = 12
MEANS2D = slice(0, 2)
CONICS = slice(2, 5)
OPACITIES = 5
COLORS = slice(6, 9)
DEPTHS = 9
EXTENTS = slice(10, 12)
_Splats = TypeVar("_Splats", bound="ScreenSplats")


@dataclass
class ScreenSplats:
    """The M visible pairs of N Gaussians and C cameras, ordered by camera, then by Gaussian."""

    records: Tensor
    """[M,12] float, see the module's table; differentiable."""
    gaussian_ids: Tensor
    """[M] int32 index of the Gaussian, 0..N-1."""
    camera_ids: Tensor
    """[M] int32 index of the camera, 0..C-1."""
    num_gaussians: int
    num_cameras: int
    width: int
    """Image width, pixels."""
    height: int
    """Image height, pixels."""

    @classmethod
    def of(
        cls: type[_Splats],
        gaussians: Gaussians,
        cameras: Cameras,
        records: Tensor,
        gaussian_ids: Tensor,
        camera_ids: Tensor,
        **more: Any,
    ) -> _Splats:
        """What a projection of ``gaussians`` for ``cameras`` found."""
        sizes = (len(gaussians), len(cameras), cameras.width, cameras.height)
        return cls(records, gaussian_ids, camera_ids, *sizes, **more)

    def __len__(self) -> int:
        return self.records.shape[0]


@dataclass
class BlendRequest:
    """What a blend shall return beside rgb and alpha; each costs time."""

    depth_median: bool = False
    weights: bool = False
    top_k: int = 0
    gradient: bool = False


@dataclass
class Blended:
    """Images of C cameras, and statistics over their pixels."""

    rgb: Tensor
    """[C,H,W,3] sum of weight times colour, plus transmittance times background."""
    alpha: Tensor
    """[C,H,W] one minus the final transmittance."""
    channels: Tensor | None = None
    """[C,H,W,F] sum of weight times channel; no background."""
    depth_median: Tensor | None = None
    """[C,H,W] z of the splat that takes the transmittance to 0.5 or below (of the last one
    blended where none does), 0 where nothing was blended; not differentiable."""
    weight_sum: Tensor | None = None
    """[N] sum of blend weights over all pixels of all cameras; not differentiable."""
    weight_max: Tensor | None = None
    """[N] largest blend weight; not differentiable."""
    weight_count: Tensor | None = None
    """[N] int32 number of pixels it was blended into."""
    top_ids: Tensor | None = None
    """[C,H,W,k] int32 Gaussians with the largest weights, largest first; -1 where fewer."""
    top_weights: Tensor | None = None
    """[C,H,W,k] their weights, 0 where fewer."""
    rgb_dx: Tensor | None = None
    """[C,H,W,3] derivative of rgb with respect to x of the pixel's place, 1 / pixel, background
    included; 0 is taken for the derivative of a splat's alpha where it is clamped or cut; not
    differentiable."""
    rgb_dy: Tensor | None = None
    """[C,H,W,3] the same with respect to y."""
