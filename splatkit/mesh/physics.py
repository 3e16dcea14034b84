"""What physics needs of a surface, in one file: a closed shape, and the convex pieces of it.

The file is a GLB of the mesh ``collision`` and, where asked for, of ``UCX_collision_00`` and so on:
Unreal's names for convex pieces, which ``splatkit.io.mesh_glb`` knows.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatkit.core import Event, Note, Triangles
from splatkit.io import mesh_glb
from splatkit.mesh.collision import collision_shape, is_watertight
from splatkit.mesh.convex import convex_pieces, is_convex
from splatkit.mesh.warp import Warp

NAME = "collision"


@dataclass(frozen=True)
class Collision:
    """Shapes for physics."""

    closed: Triangles
    """Closed, and as hollow as the surface."""
    pieces: tuple[Triangles, ...] = ()
    """Convex and closed; together they cover the shape. None unless asked for."""

    def write(self, path: Path) -> None:
        """Write both atomically."""
        mesh_glb.write(self.closed, path, name=NAME, shapes=named("UCX_" + NAME, self.pieces))

    def facts(self, path: Path) -> dict[str, Any]:
        """Counts, and whether the shapes are what physics engines ask for."""
        every = (self.closed, *self.pieces)
        return {
            "file": path.name,
            "triangles": len(self.closed),
            "watertight": all(is_watertight(shape) for shape in every),
            "pieces": len(self.pieces),
            "convex": all(is_convex(piece) for piece in self.pieces),
        }


def make_collision(
    surface: Triangles, triangles: int, pieces: int = 0, seed: int = 0, warp: Warp | None = None
) -> Generator[Event, None, Collision]:
    """Close a surface, and divide what is closed.

    Args:
        surface: of any kind; it may have holes.
        triangles: of the closed shape, at most.
        pieces: convex ones, at most; none when 0.
        seed: of the search for places to cut at.
        warp: where the shape should be finer than elsewhere, if anywhere.

    Raises:
        SplatkitError: so few triangles do not enclose the surface, or a library is missing.
    """
    yield Note("Closing a shape for physics")
    closed = collision_shape(surface, triangles, warp)
    if not pieces:
        return Collision(closed)
    yield Note(f"Dividing it into at most {pieces} convex pieces")
    return Collision(closed, tuple(convex_pieces(closed, pieces, seed)))


def read_collision(path: Path) -> Collision:
    """Shapes that ``Collision.write`` wrote, in the world frame.

    Raises:
        SplatkitError: the file is missing or damaged.
    """
    return Collision(mesh_glb.read(path), tuple(mesh_glb.read_shapes(path).values()))


def named(stem: str, pieces: tuple[Triangles, ...], end: str = "") -> dict[str, Triangles]:
    """Pieces by their names: STEM_00, STEM_01, and so on, each with the same end."""
    return {f"{stem}_{index:02d}{end}": piece for index, piece in enumerate(pieces)}
