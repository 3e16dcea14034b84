"""A closed, coarse shape around a surface, for physics.

The triangles are turned into cells of a grid that they pass through; the cells, blurred a little,
are solid, and their boundary is extracted and thinned out. So the shape is closed whatever holes
the surface has, about ``THICKNESS`` cells thick, and lies around the surface on both sides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import decimated, edges_of, manifold, quarters
from splatkit.mesh.isosurface import extract
from splatkit.mesh.tsdf import BLOCK, Grid, block_keys
from splatkit.mesh.warp import Warp

THICKNESS = 2.0
MOST_MOVED = 0.1
"""Of the longest side: how far the bounds of the shape may be from those of the surface."""
CELLS = (96, 64, 40, 24)
"""Cells along the longest side; the next coarser grid where thinning left a hole."""


def collision_shape(surface: Triangles, count: int) -> Triangles:
    """A watertight mesh of at most so many triangles around a surface.

    Raises:
        SplatkitError: so few triangles do not enclose it.
    """
    low, high = surface.vertices.amin(0), surface.vertices.amax(0)
    still = Warp(torch.zeros(3), float(high.abs().max() + low.abs().max()) * 10)
    for cells in CELLS:
        voxel = float((high - low).max()) / cells
        if voxel <= 0:
            break
        whole = Triangles(*extract(_solid(surface, voxel, still)))
        shape = manifold(decimated(whole, count, still))
        if 0 < len(shape) <= count and is_watertight(shape):
            ends = torch.stack((shape.vertices.amin(0) - low, shape.vertices.amax(0) - high))
            if float(ends.abs().max()) < MOST_MOVED * cells * voxel:
                return shape
    raise SplatkitError(
        f"--collision: expected a closed shape of {count} triangles, but so few do not enclose the "
        "surface; allow more"
    )


def is_watertight(triangles: Triangles) -> bool:
    """Whether exactly two triangles meet at every edge."""
    _, _, number = edges_of(triangles.faces)
    return len(number) > 0 and bool((number == 2).all())


def _solid(surface: Triangles, voxel: float, warp: Warp) -> Grid:
    """Blurred cells of a surface as distances: negative inside."""
    margin = 3
    places = (_samples(surface, voxel) / voxel).round().long()
    first = places.amin(0) - margin
    first = first.div(BLOCK, rounding_mode="floor") * BLOCK
    size = ((places.amax(0) + margin - first) // BLOCK + 1) * BLOCK
    filled = torch.zeros(*size.tolist())
    filled[tuple((places - first).unbind(-1))] = 1
    blurred = filled[None, None]
    for _ in range(2):
        blurred = torch.nn.functional.avg_pool3d(blurred, 3, 1, 1)
    # A plane of cells keeps a seventh of its fill this far from its middle.
    distance = (1 / 7 - blurred[0, 0]).clamp(-1, 1) * (THICKNESS / 2)
    blocks = size // BLOCK
    split = distance.view(*(n for b in blocks.tolist() for n in (b, BLOCK)))
    split = split.permute(0, 2, 4, 1, 3, 5).reshape(-1, BLOCK, BLOCK, BLOCK)
    axes = [torch.arange(n) for n in blocks.tolist()]
    where = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 3) + first // BLOCK
    keys, order = block_keys(where).sort()
    return Grid(warp, voxel, keys, split[order].contiguous(), torch.ones_like(split))


def _samples(surface: Triangles, spacing: float) -> Tensor:
    """[P,3] points on the triangles, no farther apart than about half the spacing."""
    corners = surface.corners
    while True:
        longest = (corners - corners.roll(1, 1)).norm(dim=-1).amax(-1)
        large = longest > spacing / 2
        if not bool(large.any()):
            return corners.mean(1)
        corners = torch.cat((corners[~large], *quarters(corners[large])))
