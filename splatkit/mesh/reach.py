"""Depths that are guesses: far beyond all that is known, and seen from one place alone.

Where few photos from about one place see the edge of a scene, Gaussians may hang at any distance
and look right. Surfaces of them would stand far behind the true ones; they are left to the sky.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras
from splatkit.mesh.tsdf import DepthView

BEYOND, KNOWN = 1.2, 0.99
"""What is farther than so many times this quantile of the depths of the sparse points in a picture
has to be seen from a second place."""
FEWEST_POINTS = 50
"""In a picture; with fewer it is not known how far its surfaces are."""
PARALLAX = 0.05
"""Angle between the ways to a place from two cameras that tell its depth, radians."""
AGREE = 0.05
"""Share of the depth by which two cameras may differ about a place."""


def within_reach(views: list[DepthView], points: Tensor) -> list[DepthView]:
    """The depths, infinite where they are far beyond the sparse points that are in the picture and
    no camera from another side sees the same place.

    Args:
        views: depths.
        points: [N,3] sparse points, world frame.
    """
    found = []
    for view in views:
        far = view.depth.isfinite() & (view.depth > _reach(view.camera, points.float()))
        rows, columns = far.nonzero(as_tuple=True)
        places = places_behind(view, rows, columns)
        told = torch.zeros(len(places), dtype=torch.bool)
        for other in views:
            told |= _sees(other, places, view.camera.positions[0])
        depth = view.depth.clone()
        depth[rows[~told], columns[~told]] = torch.inf
        found.append(DepthView(view.camera, depth))
    return found


def _reach(camera: Cameras, points: Tensor) -> float:
    """How far surfaces are known to be in a picture."""
    depth, _, _, inside = projected(camera, points)
    if int(inside.sum()) < FEWEST_POINTS:
        return torch.inf
    return BEYOND * float(depth[inside].quantile(KNOWN))


def places_behind(view: DepthView, rows: Tensor, columns: Tensor) -> Tensor:
    """[P,3] points of the world behind pixels [P], which have a depth."""
    z = view.depth[rows, columns]
    pixels = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(z)), -1)
    local = pixels @ view.camera.Ks[0].inverse().T * z[:, None]
    matrix = view.camera.viewmats[0]
    return (local - matrix[:3, 3]) @ matrix[:3, :3]


def _sees(view: DepthView, places: Tensor, eye: Tensor) -> Tensor:
    """[P] whether a camera has the depth of places, and sees them from another side than an eye."""
    depth, row, column, inside = projected(view.camera, places)
    near = (view.depth[row, column] - depth).abs() < AGREE * depth
    first, second = (
        torch.nn.functional.normalize(places - at) for at in (eye, view.camera.positions[0])
    )
    return inside & near & ((first * second).sum(-1) < math.cos(PARALLAX))


def projected(camera: Cameras, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Depth, row and column of points [N,3] in a picture, and whether they are in it [N]."""
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    depth = local[:, 2]
    x, y = (local @ camera.Ks[0].T)[:, :2].unbind(-1)
    # Places behind the camera, and none at all, are outside.
    x, y = ((at / depth).nan_to_num(-1, -1, -1).floor() for at in (x, y))
    inside = (depth > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    row, column = y.clamp(0, camera.height - 1).long(), x.clamp(0, camera.width - 1).long()
    return depth, row, column, inside
