"""Space that is open because a photo could have been taken through it.

With few photos large regions are looked through from one side only: what these photos show far
behind the scene can hang before it just as well, where no camera stands that would see it there.
But one could have stood there. So every camera is moved about what it looks at, as far as its
neighbours are away, and from each of these places the way towards the points that structure from
motion found is taken to be open for nearly half its length. Where several places agree, nothing
can be, and what training left there is taken out of the finished scene. (To take it out while
training goes on is no better.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras
from splatkit.train.photos import View

_LEAST_POINTS = 8
_COLUMNS = 8
"""Pictures are divided into so many cells across. In each the nearest points count that it or one
beside it shows: near things are safe when a few of their points are known."""


@dataclass(frozen=True)
class OpenSpace:
    """Which space is taken to be open."""

    few_photos: int = 30
    """With as many photos as this or more, neighbours see what hangs anywhere."""
    share: float = 0.45
    """Of the way to the nearest known points; 0 for none."""
    rings: tuple[float, ...] = (0.5, 1.0)
    """How far cameras are moved, in units of the mean distance to their neighbours."""
    directions: int = 8
    """Places on a ring."""
    neighbours: int = 3
    farthest: float = 0.45
    """Cameras are moved by at most this angle, radians, as seen from what they look at."""
    least: float = 0.05
    """And not at all where that is less than this: neighbours see what hangs there."""
    agreeing: int = 2
    """Places that have to agree."""


def in_open_space(centers: Tensor, views: list[View], points: Tensor, options: OpenSpace) -> Tensor:
    """Which places are before known points, as seen from around the cameras.

    Args:
        centers: [N,3] places, world frame, on the CPU.
        views: training photos.
        points: [P,3] points that structure from motion found, world frame.
        options: see there.

    Returns:
        [N] bool.
    """
    votes = torch.zeros(len(centers), dtype=torch.int16)
    points = points[torch.isfinite(points).all(-1)].float()
    if 1 < len(views) < options.few_photos and options.share > 0:
        for camera in _places(views, points, options):
            near = _nearest(camera, points)
            if near is not None:
                depth, cell, seen = _projected(camera, centers)
                votes += seen & (depth < options.share * near[cell])
    return votes >= options.agreeing


def _places(views: list[View], points: Tensor, options: OpenSpace) -> list[Cameras]:
    """Cameras where photos could have been taken."""
    places = []
    spacing = spacing_of(views, options.neighbours).tolist()
    for view, space in zip(views, spacing, strict=True):
        camera = view.camera
        depth, _, seen = _projected(camera, points)
        if int(seen.sum()) < _LEAST_POINTS:
            continue
        away = float(depth[seen].median())
        for ring in options.rings:
            angle = min(ring * space / away, options.farthest)
            if angle < options.least:
                continue
            for step in range(options.directions):
                places.append(
                    moved_about(camera, away, angle, math.tau * step / options.directions)
                )
    return places


def spacing_of(views: list[View], neighbours: int) -> Tensor:
    """[V] mean distance of each camera to its nearest ones; there are two views or more."""
    positions = torch.cat([view.camera.positions for view in views]).float()
    apart = torch.cdist(positions, positions)
    apart.fill_diagonal_(math.inf)
    return apart.topk(min(neighbours, len(views) - 1), largest=False).values.mean(-1)


def moved_about(camera: Cameras, away: float, angle: float, direction: float) -> Cameras:
    """The camera turned about a point on its axis, so that it looks at it from elsewhere.

    Args:
        camera: batch of one, float32.
        away: depth of the point.
        angle: of the turn, radians.
        direction: of the axis of the turn in the picture, radians from x towards y.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = math.cos(direction), math.sin(direction)
    # Rodrigues' formula for the axis (x, y, 0).
    turn = torch.tensor(
        [
            [cosine + x * x * (1 - cosine), x * y * (1 - cosine), y * sine, 0.0],
            [x * y * (1 - cosine), cosine + y * y * (1 - cosine), -x * sine, 0.0],
            [-y * sine, x * sine, cosine, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
    target = torch.tensor([0.0, 0.0, away])
    turn[:3, 3] = target - turn[:3, :3] @ target
    return Cameras((turn @ camera.viewmats[0])[None], camera.Ks, camera.width, camera.height)


def _projected(camera: Cameras, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Depths [P], cells [P] of the picture, and which points are seen [P]."""
    rows = _rows(camera)
    cells = torch.tensor([[_COLUMNS / camera.width], [rows / camera.height], [1.0]])
    to_cells = cells * (camera.Ks[0] @ camera.viewmats[0, :3])
    column, row, depth = (to_cells[:, :3] @ points.T + to_cells[:, 3:]).unbind(0)
    column, row = column / depth, row / depth
    seen = (depth > 0) & (column >= 0) & (column < _COLUMNS) & (row >= 0) & (row < rows)
    cell = row.clamp(0, rows - 1).long() * _COLUMNS + column.clamp(0, _COLUMNS - 1).long()
    return depth, cell.where(seen, 0), seen


def _rows(camera: Cameras) -> int:
    return max(1, round(_COLUMNS * camera.height / camera.width))


def _nearest(camera: Cameras, points: Tensor) -> Tensor | None:
    """[cells] depth of the nearest points in and beside each; None where there are too few.

    Where there are none nothing is known, and it is 0.
    """
    depth, cell, seen = _projected(camera, points)
    if int(seen.sum()) < _LEAST_POINTS:
        return None
    rows = _rows(camera)
    near = torch.full((rows * _COLUMNS,), math.inf)
    near.scatter_reduce_(0, cell[seen], depth[seen], "amin")
    farther = torch.nn.functional.max_pool2d(-near.reshape(1, 1, rows, _COLUMNS), 3, 1, 1)
    near = -farther.reshape(-1)
    return near.masked_fill(near.isinf(), 0.0)
