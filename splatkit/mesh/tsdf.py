"""Depth pictures fused to one surface: a truncated signed distance on a sparse grid.

Curless and Levoy 1996: each voxel near a seen surface holds the mean over views of its distance to
that surface along the view, positive in front, cut at ``TRUNCATION`` voxels. Voxels stand in
blocks of 8 x 8 x 8, and only blocks that a surface comes near exist. A voxel is a point: voxel
(i, j, k) is at ``voxel * (i, j, k)`` in warped space (see ``splatkit.mesh.warp``).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import Cameras, Event, Progress, SplatkitError
from splatkit.mesh.warp import Warp

BLOCK = 8
TRUNCATION = 4.0
"""Voxels."""
LEVELS = 2
"""Grids from coarse to fine."""
AGREEING, DISAGREEING = 0.5, 0.9
"""Deviations of a voxel's distances, in truncations, up to which and from which on its own grid and
the coarser one are believed."""
STEEP = 30.0
"""Widths of a pixel that depths around it differ by, from which on the finest grid does not believe
it: at outlines the Gaussians' depth is that of neither side, and one photo may be all that shows a
place."""
_REACH = 1 << 19
"""Voxels that an axis has to either side of the origin."""
_PIECE = 2048
"""Blocks that are worked on at once."""


@dataclass
class DepthView:
    """What one camera saw."""

    camera: Cameras
    """Batch of one, float32."""
    depth: Tensor
    """[H,W] camera z, world units; infinite where nothing is seen, 0 where nothing is known."""


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
    """[...] int64 one number for coordinates [...,3] (int64) of blocks or voxels."""
    x, y, z = (places + _REACH).unbind(-1)
    return (x << 42) | (y << 21) | z


def block_places(keys: Tensor) -> Tensor:
    """[...,3] int64 the coordinates behind ``block_keys``."""
    mask = (1 << 21) - 1
    return torch.stack((keys >> 42, (keys >> 21) & mask, keys & mask), -1) - _REACH


def fuse(views: list[DepthView], warp: Warp, voxel: float) -> Generator[Event, None, Grid]:
    """Fuse depth pictures, coarse to fine.

    Each of ``LEVELS`` grids has half the voxel and half the truncation of the one before. What its
    views did not see, or what they disagree about by its own measure, is as the coarser grid has
    it: fine where depths are sure, and without holes where they are not. Pixels at outlines speak
    to coarser grids only.

    Args:
        views: what was seen; what is before a pixel's depth is free; pixels of depth 0 say nothing.
        warp: of the grid.
        voxel: distance between voxels, units of warped space.

    Raises:
        SplatkitError: no view saw a surface.
    """
    surface = _surface_voxels(views, warp, voxel)
    if len(surface) == 0:
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    grid = None
    for level in reversed(range(LEVELS)):
        coarse = block_places(block_keys(surface >> level).unique())
        seen = [without_outlines(view) for view in views] if level == 0 else views
        grid = yield from _fused(seen, warp, voxel * 2**level, _touched(coarse), grid)
    assert grid is not None
    return grid


def without_outlines(view: DepthView) -> DepthView:
    """The view without knowledge of pixels that stand between near and far."""
    depth = torch.where(view.depth > 0, view.depth, torch.inf)[None, None]
    far, near = (
        torch.nn.functional.max_pool2d(sign * depth, 3, 1, 1)[0, 0] * sign for sign in (1, -1)
    )
    steep = view.depth.isfinite() & (far - near > STEEP / view.camera.Ks[0, 0, 0] * near)
    return DepthView(view.camera, torch.where(steep, 0, view.depth))


def _fused(
    views: list[DepthView], warp: Warp, voxel: float, touched: Tensor, coarser: Grid | None
) -> Generator[Event, None, Grid]:
    """One grid, and what it takes over from that of twice the voxel."""
    before = None if coarser is None else _halved(coarser)
    keys = touched if before is None else torch.cat((touched, before.keys)).unique()
    shape = (len(keys), BLOCK, BLOCK, BLOCK)
    grid = Grid(warp, voxel, keys, torch.empty(shape), torch.empty(shape))
    deviation = torch.empty(shape)
    places = block_places(keys).int()
    depths = [view.depth.contiguous().float() for view in views]
    Ks = torch.cat([view.camera.Ks for view in views]).contiguous()
    viewmats = torch.cat([view.camera.viewmats for view in views]).contiguous()
    for begin in range(0, len(keys), _PIECE):
        rows = slice(begin, begin + _PIECE)
        _native.fuse_depth(
            places[rows],
            depths,
            Ks,
            viewmats,
            voxel,
            TRUNCATION,
            warp.center.tolist(),
            warp.radius,
            grid.distance[rows],
            grid.weight[rows],
            deviation[rows],
        )
        done = min(begin + _PIECE, len(keys))
        yield Progress(f"Fusing depth, voxels of {voxel:.3g}", done, len(keys))
    if before is not None:
        _take_over(grid, deviation, before)
    return grid


def _take_over(grid: Grid, deviation: Tensor, before: Grid) -> None:
    """Distances of a grid where it has none, or contradicting ones, from another's same blocks."""
    rows = torch.searchsorted(grid.keys, before.keys)
    weight = grid.weight[rows]
    trust = ((DISAGREEING - deviation[rows]) / (DISAGREEING - AGREEING)).clamp(0, 1)
    trust = torch.where(before.weight > 0, torch.where(weight > 0, trust, 0), 1)
    grid.distance[rows] = trust * grid.distance[rows] + (1 - trust) * before.distance
    grid.weight[rows] = torch.where(weight > 0, weight, before.weight)


def _halved(grid: Grid) -> Grid:
    """The blocks of half the voxel around the surface of a grid, interpolated."""
    places = block_places(grid.keys)
    known = (grid.weight > 0).float()
    values = torch.stack((grid.distance * known, known), 1)
    padded = torch.zeros(len(places), 2, BLOCK + 1, BLOCK + 1, BLOCK + 1)
    for offset in product((0, 1), repeat=3):
        wanted = block_keys(places + torch.tensor(offset))
        at = torch.searchsorted(grid.keys, wanted).clamp_max(len(places) - 1)
        there = (grid.keys[at] == wanted).float().view(-1, 1, 1, 1, 1)
        target = tuple(slice(BLOCK, None) if o else slice(0, BLOCK) for o in offset)
        source = tuple(slice(0, 1) if o else slice(0, BLOCK) for o in offset)
        padded[(..., *target)] = values[at][(..., *source)] * there
    low = torch.where(padded[:, 1] > 0, padded[:, 0], 1).flatten(1).amin(1)
    high = torch.where(padded[:, 1] > 0, padded[:, 0], -1).flatten(1).amax(1)
    near = (low < 0) & (high >= 0)
    keys, distances, weights = [], [], []
    for rows in near.nonzero().squeeze(1).split(_PIECE):
        fine = torch.nn.functional.interpolate(
            padded[rows], size=2 * BLOCK + 1, mode="trilinear", align_corners=True
        )
        for offset in product((0, 1), repeat=3):
            part = fine[(..., *(slice(BLOCK * o, BLOCK * (o + 1)) for o in offset))]
            # Distances are in truncations, and the finer grid has half of it.
            distance = (2 * part[:, 0] / part[:, 1].clamp_min(1e-6)).clamp(-1, 1)
            weight = torch.where(part[:, 1] > 0.999, 1e-30, 0)
            keys.append(block_keys(2 * places[rows] + torch.tensor(offset)))
            distances.append(distance)
            weights.append(weight)
    if not keys:
        empty = torch.zeros(0, BLOCK, BLOCK, BLOCK)
        return Grid(grid.warp, grid.voxel / 2, grid.keys[:0], empty, empty)
    key, order = torch.cat(keys).sort()
    return Grid(
        grid.warp, grid.voxel / 2, key, torch.cat(distances)[order], torch.cat(weights)[order]
    )


def _depths(view: DepthView) -> Tensor:
    return view.depth[(view.depth > 0) & view.depth.isfinite()]


def surface_points(view: DepthView) -> Tensor:
    """[P,3] points of the world that a view's pixels show."""
    return view.camera.unprojected(view.depth)[(view.depth > 0) & view.depth.isfinite()]


def choose_voxel(views: list[DepthView], warp: Warp, cells: int) -> float:
    """The finest voxel with which the seen surfaces pass through at most so many voxels.

    It is not finer than what one pixel shows of half the surface.
    """
    points = torch.cat([surface_points(view) for view in views])
    if len(points) == 0:
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    sizes = torch.cat([_depths(view) / view.camera.Ks[0, 0, 0] for view in views])
    step = max(1, len(points) >> 21)
    points = warp.forward(points[::step])
    low = float((sizes[::step] / warp.stretch(points)).median())
    high = max(float((points.amax(0) - points.amin(0)).max()) / BLOCK, 2 * low)
    for _ in range(7):
        voxel = (low * high) ** 0.5
        count = len(block_keys((points / voxel).floor().long()).unique())
        low, high = (voxel, high) if count > cells else (low, voxel)
    return high


def _surface_voxels(views: list[DepthView], warp: Warp, voxel: float) -> Tensor:
    """[M,3] int64 the voxels that what the views show lies in, each once."""
    keys = []
    for view in views:
        places = (warp.forward(surface_points(view)) / voxel).floor()
        inside = (places.abs() < _REACH - 2 * BLOCK).all(-1)
        keys.append(block_keys(places[inside].long()).unique())
    found = torch.cat(keys).unique() if keys else torch.zeros(0, dtype=torch.int64)
    return block_places(found)


def _touched(surface: Tensor) -> Tensor:
    """Keys of the blocks within the truncation of surface voxels [M,3]."""
    margin = math.ceil(TRUNCATION)
    keys = []
    for corner in product((-margin, margin + 1), repeat=3):
        places = (surface + torch.tensor(corner)).div(BLOCK, rounding_mode="floor")
        keys.append(block_keys(places).unique())
    return torch.cat(keys).unique()
