"""Textures of several sheets: squares below one another in one picture.

Engines refuse pictures beyond some size, so a large texture is several square pictures in a file.
In memory they are one, k times as high as it is wide, and no triangle reaches from one to another.
"""

from __future__ import annotations

from torch import Tensor

from splatkit.core.triangles import Triangles

_SLACK = 1e-6
"""Of a sheet: corners on its very border belong to it."""


def sheet_count(triangles: Triangles) -> int:
    """How many sheets the texture has; 1 for any other picture, and where there is none."""
    if triangles.texture is None or triangles.uvs is None or len(triangles) == 0:
        return 1
    height, width = triangles.texture.shape[:2]
    number = height // width
    if number < 2 or height != number * width:
        return 1
    rows = triangles.uvs[triangles.faces.long(), 1] * number
    home = sheet_of_faces(triangles, number)[:, None]
    inside = (rows >= home - _SLACK) & (rows <= home + 1 + _SLACK)
    return number if bool(inside.all()) else 1


def sheet_of_faces(triangles: Triangles, number: int) -> Tensor:
    """[T] int64 the sheet, of so many, that the middle of each triangle lies on."""
    assert triangles.uvs is not None
    middle = triangles.uvs[triangles.faces.long(), 1].mean(-1)
    return (middle * number).floor().long().clamp(0, number - 1)
