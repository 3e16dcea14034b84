"""Any scene through any two formats: what arrives is what the first one held."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.io.registry import Format
from tests.export.clouds import few_formats

WRITTEN = few_formats()
QUICK = [known for known in WRITTEN if known.name != "usdc"]
"""OpenUSD is read by a process of its own, which takes a second to start."""
COMPACT = {"compressed-ply", "spz", "sog", "splat", "html"}
# Largest errors of compact formats: centres within +-6, log scales, opacities, rotation matrices.
TOLERANCES = (0.02, 0.04, 1 / 255, 0.04)
HARMONICS = {"compressed-ply": 1 / 32, "spz": 4 / 128 + 0.001, "html": 0.05, "sog": 0.08}
"""Largest errors of coefficients above degree 0, within +-0.5."""
COLORS = 0.04
"""Of base coefficients within +-1."""


def scene(seed: int, count: int, degree: int, antialiased: bool) -> Gaussians:
    """Gaussians on different places of a grid, so that they can be told apart in any order."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(12**3, generator=generator)[:count]
    grid = torch.stack((cells // 144, cells // 12 % 12, cells % 12), 1) - 5.5

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=grid + 0.3 * torch.rand(count, 3, generator=generator),
        quats=normal(count, 4) * 3,
        log_scales=(normal(count, 3) * 2 - 4).clamp(-9.5, 2),
        logit_opacities=(normal(count) * 3).clamp(-5, 5),
        sh=torch.cat(
            (
                torch.rand(count, 1, 3, generator=generator) * 2 - 1,
                (normal(count, (degree + 1) ** 2 - 1, 3) * 0.1).clamp(-0.5, 0.5),
            ),
            1,
        ),
        antialiased=antialiased,
    )


def through(gaussians: Gaussians, known: Format, folder: Path) -> Gaussians:
    """Written and read again."""
    assert known.write is not None
    path = folder / f"a{known.suffix}"
    known.write(gaussians, path)
    return known.read(path)


def compare(before: Gaussians, after: Gaussians, known: Format) -> None:
    """What was read, against what was written, within what the format can hold."""
    assert len(after) == len(before)
    if len(before) == 0:
        # glTF has no empty accessors, and so no degree of nothing.
        return
    degree = min(before.sh_degree, known.max_degree)
    assert after.sh_degree == degree
    order = torch.cdist(after.means, before.means).argmin(1)
    assert len(order.unique()) == len(before)
    before = before[order]
    loose = known.name in COMPACT
    places, sizes, opacities, turns = TOLERANCES if loose else (1e-4, 1e-4, 1e-5, 1e-5)
    rotations = [rotation_from_quat(g.quats.double()) for g in (after, before)]
    for name, a, b, most in (
        ("means", after.means, before.means, places),
        ("log_scales", after.log_scales, before.log_scales, sizes),
        ("opacities", after.opacities, before.opacities, opacities),
        ("rotations", *rotations, turns),
        ("colours", after.sh[:, 0], before.sh[:, 0], COLORS if loose else 1e-5),
    ):
        error = float((a - b).abs().max())
        assert error <= most, f"{known.name}: {name} off by {error}"
    if degree:
        error = float((after.sh[:, 1:] - before.sh[:, 1 : after.sh.shape[1]]).abs().max())
        most = HARMONICS.get(known.name, 1e-5)
        assert error <= most, f"{known.name}: harmonics off by {error}"


def pairs(count: int):
    """The same property with so many examples for each first format."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


def check_pair(first: Format, second: Format, drawn: Gaussians) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = through(drawn, first, Path(folder))
        compare(drawn, held, first)
        compare(held, through(held, second, Path(folder)), second)


SCENES = st.builds(
    scene, st.integers(0, 1 << 30), st.integers(0, 40), st.integers(0, 4), st.booleans()
)


@pytest.mark.parametrize("first", QUICK, ids=lambda known: known.name)
@pairs(4)
@given(second=st.sampled_from(QUICK), drawn=SCENES)
def test_a_few_scenes(first, second, drawn):
    check_pair(first, second, drawn)


@pytest.mark.long
@pytest.mark.parametrize("second", WRITTEN, ids=lambda known: known.name)
@pytest.mark.parametrize("first", WRITTEN, ids=lambda known: known.name)
def test_every_pair(first, second):
    pairs(20 if first in QUICK and second in QUICK else 3)(
        given(drawn=SCENES)(lambda drawn: check_pair(first, second, drawn))
    )()
