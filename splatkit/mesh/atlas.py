"""Places on a texture for the triangles of a surface, by xatlas (the extra ``mesh``)."""

from __future__ import annotations

import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import HINT

GUTTER = 2
"""Texels that charts keep from one another: linear filters then mix no two of them."""


def unwrapped(triangles: Triangles, side: int) -> Triangles:
    """The same triangles with a place on a grey texture of about ``side`` x ``side`` for each.

    Vertices along the seams of charts are doubled; nothing moves.

    Raises:
        SplatkitError: the library is missing.
    """
    try:
        import xatlas
    except ImportError as error:
        raise SplatkitError(f"mesh: expected the package xatlas; {HINT}") from error
    atlas = xatlas.Atlas()
    atlas.add_mesh(triangles.vertices.numpy(), triangles.faces.numpy().astype("uint32"))
    charts = xatlas.ChartOptions()
    charts.max_iterations = 1
    pack = xatlas.PackOptions()
    pack.resolution = side
    pack.padding = GUTTER
    pack.bilinear = True
    atlas.generate(charts, pack)
    sources, faces, uvs = atlas[0]
    return Triangles(
        triangles.vertices[torch.from_numpy(sources.astype("int64"))],
        torch.from_numpy(faces.astype("int32")),
        uvs=torch.from_numpy(uvs.astype("float32")).clamp(0, 1),
        texture=torch.full((atlas.height, atlas.width, 3), 0.5),
    )
