"""Every pair of formats with glTF, OpenUSD or CSV in it: nothing is lost on the way."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatkit.core import Gaussians
from splatkit.io import read_gaussians, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, scene

OURS = ("glb", "gltf", "csv", "usdc", "usda", "usdz")
EXACT = (*OURS, "ply", "npz")
OTHERS = ("spz", "sog", "compressed.ply", "splat")


def needs(suffix: str) -> None:
    if suffix.startswith("usd"):
        pytest.importorskip("pxr", reason="usd-core is not installed: pip install 'splatkit[usd]'")


def passed_on(gaussians: Gaussians, path) -> Gaussians:
    with warnings.catch_warnings():
        # What a format cannot hold is no news here.
        warnings.simplefilter("ignore")
        write_gaussians(gaussians, path)
    return read_gaussians(path)


def same(read: Gaussians, written: Gaussians) -> None:
    """Equal to what float32 loses when a scene turns and its logits become opacities."""
    assert len(read) == len(written)
    close(read.means, written.means, 1e-5)
    close(read.log_scales, written.log_scales, 1e-5)
    close(read.opacities, written.opacities, 1e-6)
    same_rotations(read.quats, written.quats, 1e-5)
    close(read.sh, written.sh[:, : read.sh.shape[1]], 1e-5)


def rounds(suffixes: tuple[str, str]) -> int:
    """Each OpenUSD file is read by a process of its own, which takes its time."""
    return 2 if any(suffix.startswith("usd") for suffix in suffixes) else 8


QUICK = {"glb", "csv", "usdc", "ply", "npz"}
PAIRS = [
    # The other spellings of a format share its code: their pairs take their time elsewhere.
    pytest.param((a, b), marks=() if {a, b} <= QUICK else pytest.mark.long, id=f"{a}-{b}")
    for a in OURS
    for b in EXACT
    if a != b and not (b in OURS and b < a)
]


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_of_exact_formats(tmp_path, pair):
    for suffix in pair:
        needs(suffix)

    @settings(max_examples=rounds(pair), deadline=None, database=None, derandomize=True)
    @given(seed=st.integers(0, 2**31), count=st.integers(0, 30), degree=st.integers(0, 3))
    def there_and_back(seed, count, degree):
        written = scene(count, degree, seed)
        first = passed_on(written, tmp_path / f"a.{pair[0]}")
        second = passed_on(first, tmp_path / f"b.{pair[1]}")
        same(second, written)
        same(passed_on(second, tmp_path / f"c.{pair[0]}"), written)
        # glTF has no empty accessors, and so no degree of nothing.
        assert second.sh_degree == (degree if count else second.sh_degree)

    there_and_back()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("ours", ["glb", "csv", "usdc"])
def test_pairs_with_rounding_formats(tmp_path, ours, other):
    needs(ours)

    @settings(max_examples=rounds((ours, other)), deadline=None, database=None, derandomize=True)
    @given(seed=st.integers(0, 2**31), count=st.integers(1, 30), degree=st.integers(0, 3))
    def there_and_back(seed, count, degree):
        written = scene(count, degree, seed)
        # What such a format rounded once comes through ours unchanged.
        rounded = passed_on(written, tmp_path / f"a.{other}")
        through = passed_on(rounded, tmp_path / f"b.{ours}")
        same(through, rounded)
        # And ours before it changes no more than its rounding does.
        direct = passed_on(passed_on(written, tmp_path / f"c.{ours}"), tmp_path / f"d.{other}")
        order = order_of(rounded, direct)
        close(direct.means, rounded.means[order], 0.01)
        close(direct.opacities, rounded.opacities[order], 1.5 / 255)

    there_and_back()


@pytest.mark.parametrize("suffix", ["glb", "gltf", "csv", "usdc"])
def test_extremes_are_kept_or_left_out(tmp_path, suffix):
    needs(suffix)
    wild = scene(8, 1)
    means = wild.means.clone()
    means[0], means[1, 0] = 1e30, torch.nan
    logits = wild.logit_opacities.clone()
    logits[2], logits[3] = 60.0, -60.0
    log_scales = wild.log_scales.clone()
    log_scales[4] = -90.0
    wild = replace(wild, means=means, logit_opacities=logits, log_scales=log_scales)
    with pytest.warns(UserWarning, match="1 of 8 Gaussians"):
        write_gaussians(wild, tmp_path / f"a.{suffix}")
    read = read_gaussians(tmp_path / f"a.{suffix}")
    assert len(read) == 7
    assert float(read.means[0, 0]) == pytest.approx(1e30)
    assert read.opacities[1:3].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert float(read.scales[3].max()) < 1e-12
