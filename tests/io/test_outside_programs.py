"""Another program reads what we write, and we read what it writes, number by number.

The program is splat-transform of PlayCanvas (npm: @playcanvas/splat-transform 3.7.0, MIT);
``SPLATKIT_SPLAT_TRANSFORM`` is the path of its ``bin/cli.mjs``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Gaussians
from splatkit.core.similarity import transformed
from splatkit.io import read_gaussians, spz, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, scene

pytestmark = pytest.mark.long

WORLD_FROM_RUB = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
SUFFIXES = (".ply", ".compressed.ply", ".spz", ".sog", ".splat")
WRITTEN_BY_IT = (".ply", ".compressed.ply", ".spz", ".sog")


@pytest.fixture(scope="module")
def convert():
    cli, node = os.environ.get("SPLATKIT_SPLAT_TRANSFORM"), shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not cli or not Path(cli).is_file():
        pytest.skip("SPLATKIT_SPLAT_TRANSFORM does not name the cli.mjs of splat-transform")

    def run(source: Path, target: Path, *options: str) -> Gaussians:
        command = [node, cli, "-q", "-w", "-g", "cpu", *options, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return as_it_sees(read_gaussians(target), target)

    return run


def as_it_sees(gaussians: Gaussians, path: Path) -> Gaussians:
    """It takes the numbers of an SPZ file as they are, where the world frame is turned."""
    if path.suffix != ".spz":
        return gaussians
    return transformed(gaussians, WORLD_FROM_RUB)


def equal(ours: Gaussians, its: Gaussians, tolerance: float = 1e-5) -> None:
    assert len(ours) == len(its)
    assert ours.sh_degree == its.sh_degree
    close(its.means, ours.means, tolerance * 4)
    close(its.log_scales, ours.log_scales, tolerance)
    close(its.opacities, ours.opacities, tolerance)
    close(its.sh, ours.sh, tolerance)
    same_rotations(its.quats, ours.quats, 0.04 if tolerance > 1e-3 else 1e-4)


def limited(gaussians: Gaussians, suffix: str) -> Gaussians:
    """Colours within what .splat can hold."""
    if suffix != ".splat":
        return gaussians
    return replace(gaussians, sh=gaussians.sh[:, :1].clamp(-1.7, 1.7))


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_reads_what_we_write(convert, tmp_path, suffix, degree):
    written = limited(scene(700, degree, antialiased=suffix != ".splat"), suffix)
    ours = tmp_path / f"ours{suffix}"
    write_gaussians(written, ours)
    its = convert(ours, tmp_path / "its.ply")
    read = as_it_sees(read_gaussians(ours), ours)
    # .splat: it takes quaternion bytes as q * 127.5 + 127.5, a difference below their rounding.
    if suffix == ".splat":
        same_rotations(its.quats, read.quats, 0.02)
        its = replace(its, quats=read.quats)
    equal(read, its)
    assert its.antialiased == read.antialiased == written.antialiased


def test_it_reads_version_3_of_spz(convert, tmp_path):
    spz.write(scene(700), tmp_path / "ours.spz", version=3)
    its = convert(tmp_path / "ours.spz", tmp_path / "its.ply")
    equal(as_it_sees(spz.read(tmp_path / "ours.spz"), tmp_path / "ours.spz"), its)


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("suffix", WRITTEN_BY_IT)
def test_we_read_what_it_writes(convert, tmp_path, suffix, degree):
    original = scene(700, degree)
    write_gaussians(original, tmp_path / "ours.ply")
    ours = convert(tmp_path / "ours.ply", tmp_path / f"its{suffix}")
    its = convert(tmp_path / f"its{suffix}", tmp_path / "back.ply")
    equal(ours, its)
    # And it is the scene that went in, not only the same misreading of it.
    order = order_of(original, ours)
    close(ours.means, original.means[order], 0.02)
    close(ours.log_scales, original.log_scales[order], 0.04)
    close(ours.opacities, original.opacities[order], 0.01)
    same_rotations(ours.quats, original.quats[order], 0.03)
    # Its SOG codebooks round single extremes far, its palette stands for several views each.
    errors = (ours.sh - original.sh[order]).square().mean((0, 2)).sqrt()
    assert float(errors[0]) < 0.05
    assert float(errors.max()) < (0.15 if suffix == ".sog" else 0.05)


def test_we_read_its_version_3_of_spz(convert, tmp_path):
    write_gaussians(scene(700), tmp_path / "ours.ply")
    ours = convert(tmp_path / "ours.ply", tmp_path / "its.spz", "--spz-version", "3")
    assert (tmp_path / "its.spz").read_bytes().startswith(spz.GZIP_MAGIC)
    equal(ours, convert(tmp_path / "its.spz", tmp_path / "back.ply"))
