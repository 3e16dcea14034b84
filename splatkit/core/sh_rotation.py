"""Rotation of spherical-harmonic coefficients, degrees 0 to 4.

A colour function f(d) = sum_k c_k Y_k(d) turned by an orthogonal matrix R is
f'(d) = f(R^T d): what showed in direction d now shows in direction R d. Each degree turns within
itself: c'_l = D_l(R) c_l with a real, orthogonal (2l+1) x (2l+1) matrix. D_l is found by fitting
the basis at a fixed set of directions, so that order and signs of the basis are those of
``core.sh`` by construction; mirrors (determinant -1) work the same way.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError
from splatkit.core.sh import basis, degree_from_count

_SAMPLES = 64
"""Directions of the fit: the 25 functions of degree 4 are told apart by far fewer."""


def sh_rotation(degree: int, rotation: Tensor) -> Tensor:
    """The matrix that turns all coefficients up to a degree.

    Args:
        degree: 0 to 4.
        rotation: [3,3] orthogonal matrix; determinant -1 mirrors.

    Returns:
        [K,K] float64 on the CPU, K = (degree + 1)^2, block-diagonal by degree; entries within
        1e-12 of a whole number are made whole, so that turns by 90 degrees lose nothing.

    Raises:
        SplatkitError: the matrix is not orthogonal.
    """
    turn = orthogonal(rotation)
    directions = _directions()
    turned = basis(degree, directions @ turn)
    out = torch.zeros((degree + 1) ** 2, (degree + 1) ** 2, dtype=torch.float64)
    for band in range(degree + 1):
        part = slice(band**2, (band + 1) ** 2)
        out[part, part] = _fit(band) @ turned[:, part]
    whole = out.round()
    return torch.where((out - whole).abs() < 1e-12, whole, out)


def rotate_sh(sh: Tensor, rotation: Tensor, out: Tensor | None = None) -> Tensor:
    """Coefficients of the turned colour function.

    Args:
        sh: [..., K, 3] coefficients, K = 1, 4, 9, 16 or 25.
        rotation: [3,3] orthogonal matrix.
        out: is filled and returned in place of a new tensor; may be ``sh`` itself.

    Returns:
        [..., K, 3] of the same dtype: evaluated at R d it equals ``sh`` evaluated at d.
    """
    check(sh=(sh, "... K 3"))
    degree = degree_from_count(sh.shape[-2])
    if degree == 0:
        return sh.clone() if out is None else out.copy_(sh)
    turn = sh_rotation(degree, rotation).to(sh)
    signs = turn.diagonal()
    # Half turns about an axis, which most formats need, only change signs: far faster so.
    if torch.equal(turn, signs.diag()):
        return torch.mul(sh, signs[:, None], out=out)
    return turn @ sh if out is None else out.copy_(turn @ sh)


def orthogonal(matrix: Tensor) -> Tensor:
    """The 3x3 matrix as float64 on the CPU, refused unless it is orthogonal to 1e-5."""
    matrix = matrix.detach().to("cpu", torch.float64)
    check(rotation=(matrix, "3 3"))
    error = float((matrix @ matrix.mT - torch.eye(3, dtype=torch.float64)).abs().max())
    if not error < 1e-5:
        raise SplatkitError(
            f"rotation: expected an orthogonal matrix, got one that is off by {error:.3g}"
        )
    return matrix


@lru_cache
def _directions() -> Tensor:
    """[_SAMPLES,3] unit vectors spread evenly (a Fibonacci spiral)."""
    index = torch.arange(_SAMPLES, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / _SAMPLES
    angle = index * math.pi * (3 - math.sqrt(5))
    radius = (1 - z * z).sqrt()
    return torch.stack((radius * angle.cos(), radius * angle.sin(), z), -1)


@lru_cache
def _fit(band: int) -> Tensor:
    """[2l+1,_SAMPLES] that finds a degree's coefficients from its values at the directions."""
    return torch.linalg.pinv(basis(band, _directions())[:, band**2 :])
