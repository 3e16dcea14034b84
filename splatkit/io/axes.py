"""Frames named by where their x, y and z axes point, as the formats' own documents do.

A name is three letters of R(ight) L(eft) U(p) D(own) F(orward) B(ack), one of each pair: the
world is RDF, glTF is LUF, SPZ is RUB. Names of left-handed frames (RUF, Unity's) are names too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import SplatkitError

_LETTERS = {"R": (1, 0, 0), "L": (-1, 0, 0), "D": (0, 1, 0), "U": (0, -1, 0),
            "F": (0, 0, 1), "B": (0, 0, -1)}  # fmt: skip


def world_from_axes(name: str) -> Tensor:
    """[3,3] float64 orthogonal matrix from a named frame to the world frame.

    Its determinant is -1 for left-handed frames.

    Raises:
        SplatkitError: the letters do not name three different axes.
    """
    matrix = torch.tensor([_LETTERS.get(letter, (0, 0, 0)) for letter in name]).double().mT
    if matrix.shape != (3, 3) or float(torch.linalg.det(matrix).abs()) != 1:
        raise SplatkitError(f"axes: expected three letters such as RDF or LUF, got {name!r}")
    return matrix
