"""Properties that fix the basis: orthonormal, right order, right signs."""

import math

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.core.sh import basis, count_from_degree, degree_from_count, rgb_from_sh, sh_from_rgb


def _sphere_quadrature(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions [n * 2n, 3] and weights that integrate polynomials on the sphere exactly."""
    import numpy as np

    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(n))
    phi = torch.arange(2 * n, dtype=torch.float64) * (math.pi / n)
    radius = (1 - nodes**2).sqrt()
    directions = torch.stack(
        (
            radius[:, None] * phi.cos(),
            radius[:, None] * phi.sin(),
            nodes[:, None].expand(-1, 2 * n),
        ),
        -1,
    )
    return directions.flatten(0, 1), (weights[:, None] * (math.pi / n)).expand(-1, 2 * n).flatten()


def test_basis_is_orthonormal_up_to_degree_4():
    directions, weights = _sphere_quadrature()
    values = basis(4, directions)
    gram = (values * weights[:, None]).mT @ values
    torch.testing.assert_close(gram, torch.eye(25, dtype=torch.float64), atol=1e-12, rtol=0)


def test_lower_degrees_are_prefixes():
    directions, _ = _sphere_quadrature(4)
    full = basis(4, directions)
    for degree in range(5):
        part = basis(degree, directions)
        assert part.shape[-1] == count_from_degree(degree)
        torch.testing.assert_close(part, full[:, : part.shape[-1]], rtol=0, atol=0)


def test_sectoral_signs_follow_condon_shortley():
    """Y_l,m for m > 0 starts as (-1)^m cos(m phi) on the equator, Y_l,-m as (-1)^m sin(m phi)."""
    phi = torch.tensor(0.3, dtype=torch.float64)
    on_equator = torch.stack((phi.cos(), phi.sin(), torch.zeros_like(phi)))
    values = basis(4, on_equator)
    for degree in range(1, 5):
        sign = (-1) ** degree
        sine, cosine = values[degree**2], values[degree**2 + 2 * degree]
        assert math.copysign(1, sine) == sign * math.copysign(1, math.sin(degree * phi))
        assert math.copysign(1, cosine) == sign * math.copysign(1, math.cos(degree * phi))


def test_zonal_terms_are_positive_at_the_pole():
    values = basis(4, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    for degree in range(5):
        expected = math.sqrt((2 * degree + 1) / (4 * math.pi))
        assert values[degree**2 + degree].item() == pytest.approx(expected, abs=1e-12)


def test_dc_round_trip_and_bad_count():
    rgb = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(rgb_from_sh(sh_from_rgb(rgb)), rgb)
    with pytest.raises(SplatkitError, match="expected 1, 4, 9, 16 or 25 coefficients, got 5"):
        degree_from_count(5)
