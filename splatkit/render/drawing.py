"""What backends are asked when triangles are drawn, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatkit.core import Cameras


@dataclass
class DrawRequest:
    """V vertices, T faces and C cameras, checked; all floats of one dtype on one device."""

    vertices: Tensor
    """[V,3] world frame."""
    faces: Tensor
    """[T,3] int32, each 0..V-1."""
    attributes: Tensor
    """[V,F] values that are interpolated with perspective and blended."""
    opacities: Tensor | None
    """[V] 0..1; None with softness 0, which draws solid triangles."""
    normals: Tensor | None
    """[T,3] world frame; None where they are not wanted."""
    cameras: Cameras
    softness: float
    """Exponent of the window, at least 0."""
    near: float
    """Camera z at or below which nothing is drawn, world units."""
    weights: bool = False
    """Whether statistics of the triangles are wanted."""


@dataclass
class Drawn:
    """What was blended, before any background."""

    channels: Tensor
    """[C,H,W,F+1] or [C,H,W,F+4] attributes, camera z, and normals turned towards the camera:
    sums of weight times value."""
    alpha: Tensor
    """[C,H,W] sums of weights."""
    ids: Tensor
    """[C,H,W] int32 face of the largest weight (the nearest one where equal), -1 where none."""
    weight_sum: Tensor | None = None
    """[T] weights summed over pixels and cameras."""
    weight_max: Tensor | None = None
    """[T] the largest of them."""
    weight_count: Tensor | None = None
    """[T] int32 pixels."""
