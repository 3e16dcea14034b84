"""Places on a texture for the triangles of a surface, by xatlas (the extra ``mesh``)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import HINT, scale_to_size
from splatkit.mesh.warp import Warp

GUTTER = 2
"""Texels that charts keep from one another: linear filters then mix no two of them."""
SHEET = 4096
"""Texels a side beyond which a texture becomes several sheets: engines and phones take no more."""
FILLED = 0.6
"""Of a sheet, which charts fill about; the rest is between them."""
PART = 5_000
"""Faces of a surface are cut into charts so many at a time: the library's work grows with the
square of them, and seams are along the edges of thousands of charts anyway."""
COARSE = 0.25
"""Size on the texture of faces that will not be in the file."""


def unwrapped(
    triangles: Triangles,
    side: int,
    warp: Warp | None = None,
    sheet: int = SHEET,
    coarse: int = 0,
) -> Triangles:
    """The same triangles with a place on a grey texture of about ``side`` x ``side`` for each.

    Vertices along the seams of charts are doubled; nothing moves, and faces stay in their order. A
    texture larger than a sheet becomes several of them, below one another
    (``splatkit.core.sheets``).

    Args:
        triangles: vertices and faces.
        side: texels of the texture, as if it were one square.
        warp: makes what is far, of which photos show less, smaller on the texture, too.
        sheet: texels of a side of a sheet, at most.
        coarse: so many faces, the last ones, with vertices of their own, get few texels.

    Raises:
        SplatkitError: the library is missing.
    """
    try:
        import xatlas
    except ImportError as error:
        raise SplatkitError(f"mesh: expected the package xatlas; {HINT}") from error
    atlas = xatlas.Atlas()
    places = triangles.vertices if warp is None else warp.forward(triangles.vertices)
    if coarse:
        places = places.clone()
        places[triangles.faces[-coarse:].long().unique()] *= COARSE
    places = places * scale_to_size(places)
    parts = _parts(places[triangles.faces.long()].mean(1))
    used = []
    for rows in parts:
        vertices, faces = triangles.faces[rows].long().unique(return_inverse=True)
        used.append(vertices)
        atlas.add_mesh(places[vertices].numpy(), faces.numpy().astype("uint32"))
    charts = xatlas.ChartOptions()
    charts.max_iterations = 1
    pack = xatlas.PackOptions()
    pack.resolution = min(side, sheet)
    pack.padding = GUTTER
    pack.bilinear = True
    if side > sheet:
        # With the scale given, the library opens sheet after sheet until all charts have a place.
        area = max(float(Triangles(places, triangles.faces).areas.sum()), 1e-12)
        pack.texels_per_unit = math.sqrt(FILLED / area) * side
    atlas.generate(charts, pack)
    width, height, number = atlas.width, atlas.height, atlas.atlas_count
    over = max(width, height) / sheet
    if number == 1 and over > 1 and side > sheet // 4:
        # What the library makes is often larger than asked for.
        return unwrapped(triangles, int(0.98 * side / over), warp, sheet, coarse)
    sources, uvs = [], []
    faces = torch.empty_like(triangles.faces)
    count = 0
    for index, (rows, vertices) in enumerate(zip(parts, used, strict=True)):
        own, own_faces, own_uvs = atlas[index]
        faces[rows] = torch.from_numpy(own_faces.astype("int32")) + count
        count += len(own)
        sources.append(vertices[torch.from_numpy(own.astype("int64"))])
        at = torch.from_numpy(own_uvs.astype("float32")).clamp(0, 1)
        if number > 1:
            home = torch.from_numpy(atlas.get_mesh_vertex_assignment(index)[0].astype("int64"))
            # Sheets are squares: what the library leaves out at their ends stays empty.
            at = at * (torch.tensor([width, height]) / max(width, height))
            at[:, 1] = (at[:, 1] + home) / number
        uvs.append(at)
    if number > 1:
        width = height = max(width, height)
    return Triangles(
        triangles.vertices[torch.cat(sources)],
        faces,
        uvs=torch.cat(uvs),
        texture=torch.full((number * height, width, 3), 0.5),
    )


def _parts(middles: Tensor) -> list[Tensor]:
    """Rows of faces that lie together, at most ``PART`` each, by halving along the longer side."""
    found, left = [], [torch.arange(len(middles))]
    while left:
        rows = left.pop()
        if len(rows) <= PART:
            found.append(rows)
            continue
        places = middles[rows]
        axis = int((places.amax(0) - places.amin(0)).argmax())
        order = rows[places[:, axis].argsort(stable=True)]
        left += order.tensor_split(2)
    return found
