"""Depth pictures fused to one surface: a truncated signed distance on a sparse grid.

Curless and Levoy 1996: each voxel near a seen surface holds the mean over views of its distance to
that surface along the view, positive in front, cut at ``TRUNCATION`` voxels. Voxels stand in
blocks of 8 x 8 x 8, and only blocks that a surface comes near exist. A voxel is a point: voxel
(i, j, k) is at ``voxel * (i, j, k)`` in warped space (see ``splatkit.mesh.warp``).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Progress, SplatkitError
from splatkit.mesh.warp import Warp

BLOCK = 8
TRUNCATION = 4.0
"""Voxels."""
LEAST_VIEWS = 2
"""What fewer views saw is unseen: a single depth may be wrong."""
_REACH = 1 << 16
"""Blocks that an axis has to either side of the origin."""
_PIECE = 512
"""Blocks that are updated at once."""


@dataclass
class DepthView:
    """What one camera saw."""

    camera: Cameras
    """Batch of one, float32."""
    depth: Tensor
    """[H,W] camera z, world units; 0 where there is no surface."""


@dataclass
class Grid:
    """B blocks of voxels."""

    warp: Warp
    voxel: float
    """Distance between voxels, units of warped space."""
    keys: Tensor
    """[B] int64 places of the blocks, ascending, see ``block_keys``."""
    distance: Tensor
    """[B,8,8,8] mean distance over the truncation, -1..1, axes x, y, z."""
    weight: Tensor
    """[B,8,8,8] sum of weights, 0 where no view saw the voxel."""


def block_keys(places: Tensor) -> Tensor:
    """[...] int64 one number for block coordinates [...,3] (int64)."""
    x, y, z = (places + _REACH).unbind(-1)
    return (x << 42) | (y << 21) | z


def block_places(keys: Tensor) -> Tensor:
    """[...,3] int64 the coordinates behind ``block_keys``."""
    mask = (1 << 21) - 1
    return torch.stack((keys >> 42, (keys >> 21) & mask, keys & mask), -1) - _REACH


def fuse(views: list[DepthView], warp: Warp, voxel: float) -> Generator[Event, None, Grid]:
    """Fuse depth pictures.

    Args:
        views: what was seen; pixels of depth 0 say nothing.
        warp: of the grid.
        voxel: distance between voxels, units of warped space.

    Raises:
        SplatkitError: no view saw a surface.
    """
    found = [_touched(view, warp, voxel) for view in views]
    keys = torch.cat(found).unique() if found else torch.zeros(0, dtype=torch.int64)
    if len(keys) == 0:
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    shape = (len(keys), BLOCK, BLOCK, BLOCK)
    grid = Grid(warp, voxel, keys, torch.zeros(shape), torch.zeros(shape))
    voxels = _voxels(grid)
    times = torch.zeros(shape, dtype=torch.uint8)
    for done, view in enumerate(views):
        _integrate(grid, voxels, view, times)
        yield Progress("Fusing depth", done + 1, len(views))
    grid.weight[times < LEAST_VIEWS] = 0
    return grid


def surface_points(view: DepthView) -> Tensor:
    """[P,3] points of the world that a view's pixels show."""
    depth = view.depth
    rows, columns = (depth > 0).nonzero(as_tuple=True)
    z = depth[rows, columns]
    K, matrix = view.camera.Ks[0], view.camera.viewmats[0]
    x = (columns + 0.5 - K[0, 2]) / K[0, 0] * z
    y = (rows + 0.5 - K[1, 2]) / K[1, 1] * z
    return (torch.stack((x, y, z), -1) - matrix[:3, 3]) @ matrix[:3, :3]


def choose_voxel(views: list[DepthView], warp: Warp, cells: int) -> float:
    """The finest voxel with which the seen surfaces pass through at most so many voxels.

    It is not finer than what one pixel shows of half the surface.
    """
    points = torch.cat([surface_points(view) for view in views])
    if len(points) == 0:
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    sizes = torch.cat([view.depth[view.depth > 0] / view.camera.Ks[0, 0, 0] for view in views])
    step = max(1, len(points) >> 21)
    points = warp.forward(points[::step])
    low = float((sizes[::step] / warp.stretch(points)).median())
    high = max(float((points.amax(0) - points.amin(0)).max()) / BLOCK, 2 * low)
    for _ in range(7):
        voxel = (low * high) ** 0.5
        count = len(block_keys((points / voxel).floor().long()).unique())
        low, high = (voxel, high) if count > cells else (low, voxel)
    return high


def _touched(view: DepthView, warp: Warp, voxel: float) -> Tensor:
    """Keys of the blocks within the truncation of what a view shows."""
    points = warp.forward(surface_points(view))
    margin = TRUNCATION * voxel
    corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    keys = []
    for corner in corners:
        places = ((points + margin * corner) / (BLOCK * voxel)).floor().long()
        inside = (places.abs() < _REACH - 1).all(-1)
        keys.append(block_keys(places[inside]).unique())
    return torch.cat(keys).unique()


@dataclass
class _Voxels:
    """Where the voxels of a grid are in the world."""

    points: Tensor
    """[B,512,3]."""
    truncation: Tensor
    """[B,512] distance at which theirs is cut, world units."""
    reach: Tensor
    """[B] distance from a block's middle within which a surface concerns it."""


def _voxels(grid: Grid) -> _Voxels:
    axis = torch.arange(BLOCK, dtype=torch.float32)
    offsets = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 3)
    warped = (block_places(grid.keys).float()[:, None] * BLOCK + offsets) * grid.voxel
    stretch = grid.warp.stretch(warped)
    reach = 1.3 * (BLOCK + TRUNCATION) * grid.voxel * stretch.amax(1)
    return _Voxels(grid.warp.inverse(warped), TRUNCATION * grid.voxel * stretch, reach)


def _integrate(grid: Grid, voxels: _Voxels, view: DepthView, times: Tensor) -> None:
    """Add one view to all voxels that it sees in front of the surface or just behind it."""
    K, matrix = view.camera.Ks[0], view.camera.viewmats[0]
    height, width = view.depth.shape
    centers = voxels.points.mean(1) @ matrix[:3, :3].T + matrix[:3, 3]
    # Blocks that may be in the picture, and not far behind everything that it shows.
    reach = voxels.reach
    z = centers[:, 2].clamp_min(1e-6)
    x = centers[:, 0] / z * K[0, 0] + K[0, 2]
    y = centers[:, 1] / z * K[1, 1] + K[1, 2]
    spread = 2 * reach / z * K[0, 0]
    keep = (centers[:, 2] > -reach) & (centers[:, 2] < view.depth.max() + reach)
    far = centers[:, 2] > 2 * reach
    keep &= ~far | ((x > -spread) & (x < width + spread) & (y > -spread) & (y < height + spread))
    for rows in keep.nonzero().squeeze(1).split(_PIECE):
        point = voxels.points[rows] @ matrix[:3, :3].T + matrix[:3, 3]
        z = point[..., 2]
        inverse = 1 / z.clamp_min(1e-6)
        column = (point[..., 0] * inverse * K[0, 0] + K[0, 2]).floor()
        row = (point[..., 1] * inverse * K[1, 1] + K[1, 2]).floor()
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = torch.where(inside, row * width + column, 0).long()
        depth = view.depth.view(-1)[pixel]
        distance = (depth - z) / voxels.truncation[rows]
        seen = inside & (depth > 0) & (distance > -1)
        # Errors of depth grow with its square.
        added = torch.where(seen, 1 / depth.clamp_min(1e-6).square(), 0)
        shape = (-1, BLOCK, BLOCK, BLOCK)
        before = grid.weight[rows]
        added, distance = added.view(shape), distance.clamp_max(1).view(shape)
        total = before + added
        mean = (grid.distance[rows] * before + distance * added) / total.clamp_min(1e-30)
        grid.distance[rows] = torch.where(added > 0, mean, grid.distance[rows])
        grid.weight[rows] = total
        times[rows] = (times[rows] + (added > 0)).clamp_max(LEAST_VIEWS)
