"""Places on a texture for the triangles of a surface, by xatlas (the extra ``mesh``)."""

from __future__ import annotations

import math

import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import HINT
from splatkit.mesh.warp import Warp

GUTTER = 2
"""Texels that charts keep from one another: linear filters then mix no two of them."""


SHEET = 4096
"""Texels a side beyond which a texture becomes several sheets: engines and phones take no more."""
FILLED = 0.6
"""Of a sheet, which charts fill about; the rest is between them."""


def unwrapped(
    triangles: Triangles, side: int, warp: Warp | None = None, sheet: int = SHEET
) -> Triangles:
    """The same triangles with a place on a grey texture of about ``side`` x ``side`` for each.

    Vertices along the seams of charts are doubled; nothing moves, and faces stay in their order. A
    texture larger than a sheet
    becomes several of them, below one another (``splatkit.core.sheets``).

    Args:
        triangles: vertices and faces.
        side: texels of the texture, as if it were one square.
        warp: makes what is far, of which photos show less, smaller on the texture, too.
        sheet: texels of a side of a sheet, at most.

    Raises:
        SplatkitError: the library is missing.
    """
    try:
        import xatlas
    except ImportError as error:
        raise SplatkitError(f"mesh: expected the package xatlas; {HINT}") from error
    atlas = xatlas.Atlas()
    places = triangles.vertices if warp is None else warp.forward(triangles.vertices)
    atlas.add_mesh(places.numpy(), triangles.faces.numpy().astype("uint32"))
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
    sources, faces, uvs = atlas[0]
    at = torch.from_numpy(uvs.astype("float32")).clamp(0, 1)
    width, height = atlas.width, atlas.height
    number = atlas.atlas_count
    if number > 1:
        home = torch.from_numpy(atlas.get_mesh_vertex_assignment(0)[0].astype("int64"))
        # Sheets are squares: what the library leaves out at their ends stays empty.
        scale = torch.tensor([width, height]) / max(width, height)
        width = height = max(width, height)
        at = at * scale
        at[:, 1] = (at[:, 1] + home) / number
    return Triangles(
        triangles.vertices[torch.from_numpy(sources.astype("int64"))],
        torch.from_numpy(faces.astype("int32")),
        uvs=at,
        texture=torch.full((number * height, width, 3), 0.5),
    )
