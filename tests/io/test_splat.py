"""The 32-byte records: layout, order, what is lost, hostile files."""

from __future__ import annotations

import struct
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import SplatkitError
from splatkit.core.sh import rgb_from_sh
from splatkit.io import info, read_gaussians, splat, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, scene, survives


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 60))
def test_round_trip_is_within_the_bytes(tmp_path, seed, count):
    written = scene(count, 0, seed)
    write_gaussians(written, tmp_path / "a.splat")
    read = read_gaussians(tmp_path / "a.splat")
    assert len(read) == count
    if count == 0:
        return
    written = written[order_of(written, read)]
    assert torch.equal(read.means, written.means)
    close(read.log_scales, written.log_scales, 1e-5)
    close(read.opacities, written.opacities, 0.5 / 255)
    shown = rgb_from_sh(written.sh[:, 0]).clamp(0, 1)
    close(rgb_from_sh(read.sh[:, 0]), shown, 0.5 / 255)
    same_rotations(read.quats, written.quats, 0.04)


def test_layout_is_the_known_one(tmp_path):
    one = replace(
        scene(1, 0),
        means=torch.tensor([[1.0, 2.0, 3.0]]),
        quats=torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.tensor([[0.5, 1.0, 2.0]]).log(),
        logit_opacities=torch.tensor([0.0]),
        sh=torch.zeros(1, 1, 3),
    )
    splat.write(one, tmp_path / "a.splat")
    record = struct.unpack("<6f8B", (tmp_path / "a.splat").read_bytes())
    assert record[:6] == pytest.approx((1, 2, 3, 0.5, 1, 2))
    assert record[6:] == (128, 128, 128, 128, 255, 128, 128, 128)


def test_the_bulk_comes_first(tmp_path):
    written = scene(500, 0)
    splat.write(written, tmp_path / "a.splat")
    written = written[order_of(written, splat.read(tmp_path / "a.splat"))]
    bulk = written.scales.prod(1) * written.opacities
    assert bool((bulk[:-1] * 1.001 >= bulk[1:]).all())


def test_what_is_lost_is_said(tmp_path):
    with pytest.warns(UserWarning, match="harmonics above degree 0"):
        splat.write(scene(3, 2), tmp_path / "a.splat")
    marked = scene(3, 0, antialiased=True)
    marked.extra["ids"] = torch.arange(3)
    with pytest.warns(UserWarning, match="the columns ids and the mark"):
        splat.write(marked, tmp_path / "a.splat")


def test_colours_that_no_byte_holds_are_said(tmp_path):
    glowing = scene(20, 0)
    glowing.sh[:5] = 9.0
    with pytest.warns(UserWarning, match="25% of the Gaussians have colours beyond"):
        splat.write(glowing, tmp_path / "a.splat")


def test_broken_rows_are_left_out_and_flat_ones_stay(tmp_path):
    splat.write(scene(4, 0), tmp_path / "a.splat")
    records = np.fromfile(tmp_path / "a.splat", "<f4").reshape(4, 8)
    records[0, 0] = np.nan
    records[1, 3] = -1.0
    records[2, 4] = 0.0
    records.tofile(tmp_path / "a.splat")
    with pytest.warns(UserWarning, match="2 of 4 Gaussians"):
        read = splat.read(tmp_path / "a.splat")
    assert len(read) == 2
    assert float(read.log_scales[0, 1]) == -30.0
    described = info(tmp_path / "a.splat")
    assert (described["num_gaussians"], described["not_finite"]) == (4, 2)


def test_hostile_files(tmp_path):
    path = tmp_path / "a.splat"
    with pytest.raises(SplatkitError, match="cannot be read"):
        read_gaussians(path)
    path.write_bytes(b"hello")
    with pytest.raises(SplatkitError, match="records of 32 bytes, got 5"):
        read_gaussians(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splat.write(scene(20, 0), path)
    assert survives(splat.read, path, path.read_bytes(), 300) > 30
