"""A closed shape in convex pieces, which physics engines test fastest, by CoACD (the extra
``mesh``; Wei et al. 2022).

Pieces are hulls: closed, convex, and together they cover the shape. The fewer there are, the more
of the air in hollows they cover, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.clean import HINT
from splatkit.mesh.collision import is_watertight

CONCAVITY = 0.05
"""Deepest hollow, in half lengths of the bounds, that is not divided while pieces are left."""
MOST_CORNERS = 64
"""Of a piece; Unity takes no convex shape of more than 255 triangles."""
FLATNESS = 1e-4
"""Of a piece's size: how far a vertex may be in front of one of its faces."""


def convex_pieces(shape: Triangles, most: int, seed: int = 0) -> list[Triangles]:
    """At most so many convex, closed pieces that together cover a closed shape.

    Raises:
        SplatkitError: the shape is not closed, or the library is missing.
    """
    if not is_watertight(shape):
        raise SplatkitError("--convex: expected a closed shape to divide, got one with open edges")
    try:
        import coacd
    except ImportError as error:
        raise SplatkitError(f"--convex: expected the package coacd; {HINT}") from error
    coacd.set_log_level("error")
    mesh = coacd.Mesh(shape.vertices.double().numpy(), shape.faces.numpy())
    found: list[Any] = coacd.run_coacd(
        mesh,
        threshold=CONCAVITY,
        max_convex_hull=most,
        preprocess_mode="off",
        # More looking ahead takes minutes and finds pieces that are hardly better.
        mcts_nodes=10,
        mcts_iterations=20,
        mcts_max_depth=2,
        decimate=True,
        max_ch_vertex=MOST_CORNERS,
        seed=seed,
    )
    pieces = [
        Triangles(
            torch.from_numpy(np.ascontiguousarray(points, np.float32)),
            torch.from_numpy(np.ascontiguousarray(faces, np.int32)),
        )
        for points, faces in found
    ]
    if not pieces or not all(is_watertight(piece) and is_convex(piece) for piece in pieces):
        raise SplatkitError(
            f"--convex: expected convex pieces of a shape of {len(shape)} triangles, but it could "
            "not be divided; ask for a closed shape instead"
        )
    return pieces


def is_convex(piece: Triangles) -> bool:
    """Whether no vertex is in front of any face, but for rounding."""
    corners, normals = piece.corners.double(), piece.normals.double()
    size = float((piece.vertices.amax(0) - piece.vertices.amin(0)).max())
    heights = piece.vertices.double() @ normals.mT - (corners[:, 0] * normals).sum(-1)
    return bool((heights <= FLATNESS * size).all())
