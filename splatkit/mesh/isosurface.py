"""The zero level of a sparse grid as triangles, by marching tetrahedra.

Each cell of eight voxels is six tetrahedra around its main diagonal, the same in every cell, so
that neighbours agree on every face (Kuhn's division). In a tetrahedron the level is one triangle
or two; the result is a manifold, open only where voxels were not seen.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.mesh.tsdf import BLOCK, Grid, block_keys, block_places

Ints = NDArray[np.int64]

_CORNERS = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)])
"""Corner i of a cell: bit 0 is x, bit 1 is y, bit 2 is z."""
_TETRAHEDRA = [(0, a, a | b, 7) for a, b, _ in permutations((1, 2, 4))]
_HALF = 1 << 19
"""Voxels that an axis has to either side of the origin."""


def extract(grid: Grid) -> tuple[Tensor, Tensor]:
    """Vertices [V,3] float32 in the world and faces [T,3] int32, fronts where distance grows."""
    values, cells = _cells(grid)
    edges: list[Ints] = []
    shares: list[NDArray[np.float32]] = []
    for tetrahedron in _TETRAHEDRA:
        _march(values, cells, tetrahedron, edges, shares)
    if not edges:
        return torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int32)
    keys, first, faces = np.unique(
        np.concatenate(edges).reshape(-1), return_index=True, return_inverse=True
    )
    share = np.concatenate(shares).reshape(-1)[first]
    direction = _CORNERS[keys & 7]
    mask = (1 << 20) - 1
    low = np.stack([keys >> shift & mask for shift in (43, 23, 3)], -1) - _HALF
    places = ((low + share[:, None] * direction) * grid.voxel).astype(np.float32)
    faces = faces.reshape(-1, 3)
    solid = (
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    )
    return (
        grid.warp.inverse(torch.from_numpy(places)),
        torch.from_numpy(faces[solid].astype(np.int32)),
    )


def _cells(grid: Grid) -> tuple[NDArray[np.float32], Ints]:
    """Distances [N,8] at the corners of all cells that the level passes, and their places [N,3]."""
    found, where = [], []
    places = block_places(grid.keys)
    offsets = torch.from_numpy(_CORNERS)
    neighbours = []
    for offset in offsets:
        wanted = block_keys(places + offset)
        at = torch.searchsorted(grid.keys, wanted).clamp_max(len(grid.keys) - 1)
        neighbours.append(torch.where(grid.keys[at] == wanted, at, -1))
    for begin in range(0, len(places), 4096):
        rows = slice(begin, min(begin + 4096, len(places)))
        padded = torch.full((rows.stop - begin, BLOCK + 1, BLOCK + 1, BLOCK + 1), torch.nan)
        for offset, neighbour in zip(offsets.tolist(), neighbours, strict=True):
            there = neighbour[rows]
            block = torch.where(grid.weight[there] > 0, grid.distance[there], torch.nan)
            block = torch.where((there >= 0)[:, None, None, None], block, torch.nan)
            target = tuple(slice(BLOCK, None) if o else slice(0, BLOCK) for o in offset)
            source = tuple(slice(0, 1) if o else slice(0, BLOCK) for o in offset)
            padded[(slice(None), *target)] = block[(slice(None), *source)]
        corners = torch.stack(
            [
                padded[:, x : x + BLOCK, y : y + BLOCK, z : z + BLOCK]
                for x, y, z in offsets.tolist()
            ],
            -1,
        )
        low, high = corners.amin(-1), corners.amax(-1)
        # NaN compares false: all eight must have been seen.
        block, x, y, z = ((low < 0) & (high >= 0)).nonzero(as_tuple=True)
        values = corners[block, x, y, z]
        keep = (values.amin(-1) > -0.999) | (values.amax(-1) < 0.999)
        place = places[rows][block] * BLOCK + torch.stack((x, y, z), -1)
        found.append(values[keep])
        where.append(place[keep])
    return torch.cat(found).numpy(), torch.cat(where).numpy()


def _march(
    values: NDArray[np.float32],
    places: Ints,
    tetrahedron: tuple[int, ...],
    edges: list[Ints],
    shares: list[NDArray[np.float32]],
) -> None:
    """Append, for one tetrahedron of all cells, the edges [n,3] at the corners of its triangles and
    where on them the level is."""
    inside = values[:, tetrahedron] < 0
    code = (inside * np.array([1, 2, 4, 8])).sum(-1)
    points = _CORNERS[list(tetrahedron)]
    for case in range(1, 15):
        cells = np.flatnonzero(code == case)
        if len(cells) == 0:
            continue
        within = [k for k in range(4) if case >> k & 1]
        without = [k for k in range(4) if not case >> k & 1]
        if len(within) == 2:
            (a, b), (c, d) = within, without
            triangles = [[(a, c), (a, d), (b, d)], [(a, c), (b, d), (b, c)]]
        else:
            single, others = (within, without) if len(within) == 1 else (without, within)
            triangles = [[(single[0], k) for k in others]]
        outward = points[without].mean(0) - points[within].mean(0)
        for triangle in triangles:
            middles = np.array([points[p] + points[q] for p, q in triangle]) / 2
            normal = np.cross(middles[1] - middles[0], middles[2] - middles[0])
            ordered = triangle if normal @ outward > 0 else triangle[::-1]
            keys, along = [], []
            for p, q in ordered:
                # Kuhn's edges run from a corner to one whose bits contain its own.
                p, q = sorted((tetrahedron[p], tetrahedron[q]))
                low = places[cells] + _CORNERS[p] + _HALF
                keys.append(low[:, 0] << 43 | low[:, 1] << 23 | low[:, 2] << 3 | (p ^ q))
                along.append(values[cells, p] / (values[cells, p] - values[cells, q]))
            edges.append(np.stack(keys, -1))
            shares.append(np.stack(along, -1))
