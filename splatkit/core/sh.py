"""Real spherical harmonics, degrees 0 to 4, in the order and signs of the 3DGS PLY layout.

Basis functions Y_lm are ordered by l, then m = -l..l, with the Condon-Shortley phase,
evaluated at unit directions from the camera to the Gaussian in the world frame
(Sloan, "Stupid Spherical Harmonics Tricks", 2008; Kerbl et al. 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError

MAX_DEGREE = 4
C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792,
      0.5462742152960396)  # fmt: skip
C3 = (-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
      -0.4570457994644658, 1.445305721320277, -0.5900435899266435)  # fmt: skip
C4 = (2.5033429417967046, -1.7701307697799304, 0.9461746957575601, -0.6690465435572892,
      0.10578554691520431, -0.6690465435572892, 0.47308734787878004, -1.7701307697799304,
      0.6258357354491761)  # fmt: skip


def count_from_degree(degree: int) -> int:
    """Number of coefficients K = (degree + 1)^2."""
    return (degree + 1) ** 2


def degree_from_count(count: int) -> int:
    """Degree of K coefficients; K must be 1, 4, 9, 16 or 25."""
    for degree in range(MAX_DEGREE + 1):
        if count_from_degree(degree) == count:
            return degree
    raise SplatkitError(f"sh: expected 1, 4, 9, 16 or 25 coefficients, got {count}")


def sh_from_rgb(rgb: Tensor) -> Tensor:
    """DC coefficients [..., 3] that show an sRGB colour 0..1 [..., 3] from every side."""
    return (rgb - 0.5) / C0


def rgb_from_sh(dc: Tensor) -> Tensor:
    """sRGB colour [..., 3] of DC coefficients [..., 3]."""
    return dc * C0 + 0.5


def basis(degree: int, directions: Tensor) -> Tensor:
    """Values of the basis functions.

    Args:
        degree: 0 to 4.
        directions: [..., 3] unit vectors.

    Returns:
        [..., (degree + 1)^2].
    """
    x, y, z = directions.unbind(-1)
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    values = [torch.full_like(x, C0)]
    if degree >= 1:
        values += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        values += [C2[0] * xy, C2[1] * yz, C2[2] * (2 * zz - xx - yy), C2[3] * xz,
                   C2[4] * (xx - yy)]  # fmt: skip
    if degree >= 3:
        values += [C3[0] * y * (3 * xx - yy), C3[1] * xy * z, C3[2] * y * (4 * zz - xx - yy),
                   C3[3] * z * (2 * zz - 3 * xx - 3 * yy), C3[4] * x * (4 * zz - xx - yy),
                   C3[5] * z * (xx - yy), C3[6] * x * (xx - 3 * yy)]  # fmt: skip
    if degree >= 4:
        values += [C4[0] * xy * (xx - yy), C4[1] * yz * (3 * xx - yy), C4[2] * xy * (7 * zz - 1),
                   C4[3] * yz * (7 * zz - 3), C4[4] * (zz * (35 * zz - 30) + 3),
                   C4[5] * xz * (7 * zz - 3), C4[6] * (xx - yy) * (7 * zz - 1),
                   C4[7] * xz * (xx - 3 * yy),
                   C4[8] * (xx * (xx - 3 * yy) - yy * (3 * xx - yy))]  # fmt: skip
    return torch.stack(values, -1)
