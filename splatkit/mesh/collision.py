"""A closed, coarse shape around a surface, for physics.

The triangles are turned into cells of a grid that they pass through; the cells, blurred a little,
are solid, and their boundary is extracted and thinned out. So the shape is closed whatever holes
the surface has, about ``THICKNESS`` cells thick, and lies around the surface on both sides.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import components, decimated, edges_of, manifold, quarters
from splatkit.mesh.isosurface import extract
from splatkit.mesh.tsdf import BLOCK, Grid, block_keys
from splatkit.mesh.warp import Warp

THICKNESS = 2.0
MOST_MOVED = 0.1
"""Of the longest side: how far the bounds of the shape may be from those of the surface."""
SHARES = (1.0, 0.95, 0.9)
"""Of the triangles that are allowed, tried one after another: most counts leave no hole."""
GAP = 1e-3
"""Of a cell: how far solids that touch are moved apart."""
CELLS = (144, 96, 64, 40, 24)
"""Cells along the longest side; the next coarser grid where thinning left a hole."""
MOST_THINNED = 64
"""Triangles of which one is left, at most: with fewer a coarser grid is as good."""


def collision_shape(surface: Triangles, count: int, warp: Warp | None = None) -> Triangles:
    """A watertight mesh of at most so many triangles around a surface.

    Args:
        surface: of any kind; it may have holes.
        count: triangles, at most.
        warp: makes cells smaller near its middle than far away; all have one size when None.

    Raises:
        SplatkitError: so few triangles do not enclose it.
    """
    low, high = surface.vertices.amin(0), surface.vertices.amax(0)
    if warp is None:
        warp = Warp(torch.zeros(3), float(high.abs().max() + low.abs().max()) * 10)
    places = warp.forward(surface.vertices)
    low, high = places.amin(0), places.amax(0)
    finest = math.inf
    for cells in CELLS:
        if CELLS[-1] < cells > finest:
            continue
        voxel = float((high - low).max()) / cells
        if voxel <= 0:
            break
        whole = Triangles(*extract(_solid(surface, voxel, warp)))
        if cells > CELLS[-1] and len(whole) > MOST_THINNED * count:
            # Triangles are as many as the square of the cells along a side.
            finest = cells * math.sqrt(MOST_THINNED * count / len(whole))
            continue
        for share in SHARES:
            thin = decimated(whole, round(share * count), warp)
            shape = manifold(unpinched(thin, GAP * voxel))
            if not (0 < len(shape) <= count and is_watertight(shape)):
                continue
            placed = warp.forward(shape.vertices)
            ends = torch.stack((placed.amin(0) - low, placed.amax(0) - high))
            if float(ends.abs().max()) < MOST_MOVED * cells * voxel:
                return shape
    raise SplatkitError(
        f"--collision: expected a closed shape of {count} triangles, but so few do not enclose the "
        "surface; allow more"
    )


def unpinched(triangles: Triangles, gap: float) -> Triangles:
    """The same solids where they touch along an edge or at a corner: ``gap`` apart.

    Thinning out makes such edges, with four triangles. Each side gets vertices of its own, which
    move inwards.
    """
    faces = triangles.faces.long()
    _, at, number = edges_of(faces)
    # Side s of a face runs from its corner s to the next one. Two faces meet at a simple edge: the
    # corners of both at each of its ends are one vertex.
    sides = at.reshape(-1).argsort(stable=True)[(number == 2).repeat_interleave(number)]
    face, side = sides.view(-1, 2) // 3, sides.view(-1, 2) % 3
    ends = torch.stack((3 * face + side, 3 * face + (side + 1) % 3), -1)
    same = faces.reshape(-1)[ends[:, 0, 0]] == faces.reshape(-1)[ends[:, 1, 0]]
    ends[:, 1] = torch.where(same[:, None], ends[:, 1], ends[:, 1].flip(-1))
    pairs = ends.permute(0, 2, 1).reshape(-1, 2)
    label = components(pairs[:, (0, 1, 1)], 3 * len(faces))
    roots, mine = label.unique(return_inverse=True)
    source = faces.reshape(-1)[roots]
    apart = Triangles(triangles.vertices[source], mine.view(-1, 3).int())
    copies = source.bincount(minlength=len(triangles.vertices))[source] > 1
    inwards = torch.where(copies[:, None], -gap * apart.vertex_normals, 0)
    return Triangles(apart.vertices + inwards, apart.faces)


def is_watertight(triangles: Triangles) -> bool:
    """Whether exactly two triangles meet at every edge."""
    _, _, number = edges_of(triangles.faces)
    return len(number) > 0 and bool((number == 2).all())


def _solid(surface: Triangles, voxel: float, warp: Warp) -> Grid:
    """Blurred cells of a surface as distances: negative inside."""
    margin = 3
    places = (warp.forward(_samples(surface, voxel)) / voxel).round().long()
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
