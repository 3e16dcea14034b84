"""Space that is empty because somebody stood there: around the cameras, and between neighbours.

A few photos leave the space in front of each camera open: Gaussians that only one or two photos
see hang there, explain what these show of far things, and hide the scene from everywhere else.
But the photographer walked from one place to the next, at some distance from what was
photographed. So balls around each camera and on the way to its neighbours are kept empty. Their
radius is a share of the distance to the nearest things that structure from motion found in the
photo, and less where known points stand near.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.train.photos import View

_NEAREST = 0.02
"""Share of a photo's points that may be nearer than what counts as its nearest."""
_STRAY = 0.002
"""Share of all points that may be wrong, and stand where nothing is."""
_LEAST_POINTS = 8
_MOST_STEPS = 4
"""Balls on the way from one camera to another are at most this many less one."""
_SIGMAS = 2.0
"""A Gaussian reaches this many standard deviations far."""
_ROWS = 1 << 15


@dataclass(frozen=True)
class FreeSpace:
    """Which space is kept empty."""

    share: float = 0.5
    """Radius around a camera, in units of the distance to the nearest known points; 0 for none."""
    neighbours: int = 3
    """Cameras to which the way is kept free as well."""


@dataclass
class Zones:
    """Balls that hold nothing."""

    centers: Tensor
    """[Z,3] world frame."""
    radii: Tensor
    """[Z] world units."""

    def to(self, device: torch.device | str) -> Zones:
        """The same on another device."""
        return Zones(self.centers.to(device), self.radii.to(device))

    def reached_by(self, gaussians: Gaussians) -> Tensor:
        """[N] bool: Gaussians that reach into a ball."""
        reached = torch.zeros(len(gaussians), dtype=torch.bool, device=gaussians.device)
        if not len(self.centers):
            return reached
        for start in range(0, len(gaussians), _ROWS):
            rows = torch.arange(start, min(start + _ROWS, len(gaussians)), device=gaussians.device)
            apart = torch.cdist(gaussians.means[rows], self.centers) - self.radii
            largest = _SIGMAS * gaussians.log_scales[rows].amax(-1).exp()
            row, zone = (apart < largest[:, None]).nonzero().unbind(-1)
            reached[rows[row[self._reach(gaussians, rows[row], zone) > apart[row, zone]]]] = True
        return reached

    def _reach(self, gaussians: Gaussians, rows: Tensor, zones: Tensor) -> Tensor:
        """[M] how far each Gaussian reaches towards a ball's centre."""
        towards = torch.nn.functional.normalize(self.centers[zones] - gaussians.means[rows], dim=-1)
        axes = rotation_from_quat(gaussians.quats[rows])
        along = (towards[:, None] @ axes).squeeze(1) * gaussians.log_scales[rows].exp()
        return _SIGMAS * along.norm(dim=-1)


def free_zones(views: list[View], points: Tensor, options: FreeSpace) -> Zones:
    """The balls around cameras and on the ways between them.

    Args:
        views: training photos.
        points: [P,3] points that structure from motion found, world frame.
        options: see there.
    """
    positions = torch.cat([view.camera.positions for view in views]).float()
    points = points[torch.isfinite(points).all(-1)].float()
    if options.share <= 0 or len(points) < _LEAST_POINTS:
        return Zones(positions[:0], positions[:0, 0])
    radii = options.share * torch.stack([_nearest(view, points) for view in views])
    centers, sizes = [positions], [radii]
    apart = torch.cdist(positions, positions)
    apart.fill_diagonal_(math.inf)
    count = min(options.neighbours, len(positions) - 1)
    for first in range(len(positions)):
        for second in apart[first].topk(count, largest=False).indices.tolist():
            radius = torch.minimum(radii[first], radii[second])
            if radius <= 0:
                continue
            steps = min(_MOST_STEPS, math.ceil(float(apart[first, second] / radius)))
            places = torch.arange(1, steps)[:, None] / steps
            centers.append(torch.lerp(positions[first], positions[second], places))
            sizes.append(radius.expand(steps - 1))
    zones = Zones(torch.cat(centers), torch.cat(sizes))
    kept_out = max(1, round(_STRAY * len(points)))
    known = torch.stack(
        [(points - center).norm(dim=-1).kthvalue(kept_out).values for center in zones.centers]
    )
    zones.radii = torch.minimum(zones.radii, options.share * known)
    return _without_doubles(zones)


def _nearest(view: View, points: Tensor) -> Tensor:
    """Distance of the nearest points that a photo shows; 0 where it shows too few."""
    camera = view.camera
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    x, y = ((local @ camera.Ks[0].T)[:, :2] / local[:, 2:].clamp_min(1e-6)).unbind(-1)
    seen = (local[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    if int(seen.sum()) < _LEAST_POINTS:
        return torch.zeros(())
    return local[seen].norm(dim=-1).quantile(_NEAREST)


def _without_doubles(zones: Zones) -> Zones:
    """The balls without those that lie mostly in a larger one."""
    kept: list[int] = []
    for index in zones.radii.argsort(descending=True).tolist():
        apart = (zones.centers[kept] - zones.centers[index]).norm(dim=-1)
        inside = apart + 0.5 * zones.radii[index] < zones.radii[kept]
        if zones.radii[index] > 0 and not bool(inside.any()):
            kept.append(index)
    return Zones(zones.centers[kept], zones.radii[kept])
