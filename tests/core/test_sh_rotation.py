"""Turning coefficients equals looking from turned directions; Gaussians move as wholes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import basis
from splatkit.core.sh_rotation import rotate_sh, sh_rotation
from splatkit.core.similarity import transformed
from splatkit.core.transforms import covariance_from_scale_rotation, rotation_from_quat

DTYPE = torch.float64
seeds = st.integers(0, 2**31)


def random_rotation(seed: int, mirror: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rotation = rotation_from_quat(torch.randn(4, generator=generator, dtype=DTYPE))
    return -rotation if mirror else rotation


def random_gaussians(seed: int, count: int = 5, degree: int = 4) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=DTYPE)

    return Gaussians(
        normal(count, 3),
        normal(count, 4),
        normal(count, 3),
        normal(count),
        normal(count, (degree + 1) ** 2, 3),
    )


@settings(max_examples=60, deadline=None)
@given(seed=seeds, degree=st.integers(0, 4), mirror=st.booleans())
def test_rotated_coefficients_at_rotated_directions(seed: int, degree: int, mirror: bool) -> None:
    rotation = random_rotation(seed, mirror)
    generator = torch.Generator().manual_seed(seed + 1)
    sh = torch.randn(7, (degree + 1) ** 2, 3, generator=generator, dtype=DTYPE)
    directions = torch.randn(11, 3, generator=generator, dtype=DTYPE)
    directions /= directions.norm(dim=-1, keepdim=True)
    before = torch.einsum("dk,nkc->ndc", basis(degree, directions), sh)
    turned = rotate_sh(sh, rotation)
    after = torch.einsum("dk,nkc->ndc", basis(degree, directions @ rotation.mT), turned)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-11)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_rotations_form_a_group(seed: int) -> None:
    first, second = random_rotation(seed), random_rotation(seed + 1)
    both = sh_rotation(4, second) @ sh_rotation(4, first)
    torch.testing.assert_close(sh_rotation(4, second @ first), both, rtol=0, atol=1e-11)
    identity = torch.eye(25, dtype=DTYPE)
    torch.testing.assert_close(both @ both.mT, identity, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("diagonal", "flips"),
    [
        # About z by 180 degrees the odd m change sign.
        ((-1, -1, 1), lambda band, m: m % 2 == 1),
        # About x by 180 degrees: y and z change sign.
        ((1, -1, -1), lambda band, m: (band + (m if m >= 0 else m + 1)) % 2 == 1),
    ],
)
def test_half_turns_are_exact_sign_changes(diagonal, flips) -> None:
    matrix = sh_rotation(4, torch.diag(torch.tensor(diagonal, dtype=DTYPE)))
    signs = [-1.0 if flips(band, m) else 1.0 for band in range(5) for m in range(-band, band + 1)]
    assert torch.equal(matrix, torch.diag(torch.tensor(signs, dtype=DTYPE)))


def test_the_fit_matches_the_textbook_at_degree_one() -> None:
    rotation = random_rotation(3)
    order = torch.tensor([1, 2, 0])  # the basis is -y, z, -x
    signs = torch.tensor([-1.0, 1.0, -1.0], dtype=DTYPE)
    expected = signs[:, None] * rotation[order][:, order] * signs
    torch.testing.assert_close(sh_rotation(1, rotation)[1:, 1:], expected, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, mirror=st.booleans(), scale=st.floats(1e-2, 1e2))
def test_gaussians_move_as_wholes(seed: int, mirror: bool, scale: float) -> None:
    gaussians = random_gaussians(seed)
    rotation, shift = random_rotation(seed, mirror), torch.tensor([1.0, -2.0, 3.0], dtype=DTYPE)
    moved = transformed(gaussians, rotation, scale, shift)
    expected = scale * gaussians.means @ rotation.mT + shift
    torch.testing.assert_close(moved.means, expected)
    before = covariance_from_scale_rotation(gaussians.scales, gaussians.quats)
    after = covariance_from_scale_rotation(moved.scales, moved.quats)
    torch.testing.assert_close(after, scale**2 * rotation @ before @ rotation.mT)


def test_what_is_no_rotation_is_refused() -> None:
    with pytest.raises(SplatkitError, match="orthogonal"):
        rotate_sh(torch.zeros(1, 4, 3), torch.diag(torch.tensor([1.0, 2.0, 1.0])))
    with pytest.raises(SplatkitError, match="positive"):
        transformed(random_gaussians(0), scale=0.0)
