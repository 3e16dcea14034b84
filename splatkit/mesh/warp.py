"""Space seen from the middle of a scene: near things as they are, far ones ever smaller.

A point at the distance r from the centre goes to r inside the radius R, and to R (1 + ln(r / R))
beyond it: what photos show coarsely takes up little room, so that one grid, and one measure of how
much a change of shape matters, serves the whole scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras

NEAR_SHARE = 0.6
"""R, of the median distance of the cameras from the centre."""


@dataclass(frozen=True)
class Warp:
    """A centre [3] in the world, and the radius inside which nothing changes but the origin."""

    center: Tensor
    radius: float

    def forward(self, points: Tensor) -> Tensor:
        """[...,3] where points of the world go."""
        offset = points - self.center
        r = offset.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        far = self.radius * (1 + (r / self.radius).clamp_min(1).log())
        return offset * torch.where(r > self.radius, far / r, 1)

    def inverse(self, places: Tensor) -> Tensor:
        """[...,3] the points of the world that go there."""
        s = places.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        r = self.radius * (s / self.radius - 1).clamp(0, 40).exp()
        return self.center + places * torch.where(s > self.radius, r / s, 1)

    def stretch(self, places: Tensor) -> Tensor:
        """[...] length in the world of a unit at warped places, along the line to the centre."""
        return (places.norm(dim=-1) / self.radius - 1).clamp(0, 40).exp()


def warp_of(cameras: list[Cameras]) -> Warp:
    """Around the point that the cameras' axes come nearest to."""
    positions = torch.cat([camera.positions for camera in cameras]).double()
    axes = torch.cat([camera.viewmats[:, 2, :3] for camera in cameras]).double()
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    # A little pull to the cameras themselves, for axes that are parallel.
    matrix = across.sum(0) + 1e-3 * len(axes) * torch.eye(3, dtype=torch.float64)
    wanted = (across @ positions[..., None]).sum(0).squeeze(-1) + 1e-3 * positions.sum(0)
    center = torch.linalg.solve(matrix, wanted)
    distance = float((positions - center).norm(dim=-1).median())
    return Warp(center.float(), NEAR_SHARE * max(distance, 1e-6))
