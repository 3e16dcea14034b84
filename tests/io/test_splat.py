"""The 32-byte records: layout, order, what is lost, hostile files."""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit import _native
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


@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "logit_opacities", "sh"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_cannot_be_used_are_left_out(tmp_path, name, value):
    # Row 999 lies beyond whole blocks of rows, where the last numbers are read apart.
    whole = scene(1000, 0)
    broken = replace(whole, **{name: getattr(whole, name).clone()})
    getattr(broken, name).view(1000, -1)[[0, 700, 999], -1] = value
    good = torch.ones(1000, dtype=torch.bool)
    good[[0, 700, 999]] = False
    with pytest.warns(UserWarning, match="3 of 1000 Gaussians"):
        splat.write(broken, tmp_path / "broken.splat")
    splat.write(whole[good], tmp_path / "good.splat")
    written = (tmp_path / "broken.splat").read_bytes()
    assert written == (tmp_path / "good.splat").read_bytes()


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


def plain_records(gaussians):
    """[N,32] bytes as the layout says, one attribute after another, unsorted."""
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)
    colors = rgb_from_sh(gaussians.sh[:, 0])
    numbers = torch.cat((255 * colors, 255 * gaussians.opacities[:, None], 128 * unit + 128), 1)
    floats = torch.cat((gaussians.means, gaussians.scales), 1).numpy()
    data = numbers.round().clamp(0, 255).to(torch.uint8).numpy()
    return np.concatenate((floats.view(np.uint8), data), 1)


def test_records_are_the_plain_ones_with_the_bulk_first(tmp_path):
    # More than one piece of the sorting, whose sums and last rows are odd.
    written = scene(70_001, 0)
    # Known again by where it is.
    written.means[:, 0] = torch.arange(len(written)).float()
    splat.write(written, tmp_path / "a.splat")
    records = np.fromfile(tmp_path / "a.splat", np.uint8).reshape(-1, 32)
    read = splat.read(tmp_path / "a.splat")
    order = read.means[:, 0].long()
    assert torch.equal(read.means, written.means[order])
    plain = plain_records(written)[order]
    ours, plainly = (torch.from_numpy(r[:, :24].copy().view("<f4")) for r in (records, plain))
    close(ours, plainly, 1e-6)
    # A number that lies between two bytes may be rounded either way.
    wrong = np.abs(records[:, 24:].astype(int) - plain[:, 24:])
    assert wrong.max() <= 1
    assert (wrong > 0).mean() < 1e-4
    written = written[order]
    bulk = written.scales.prod(1) * written.opacities
    assert bool((bulk[:-1] * 1.07 >= bulk[1:]).all())
    # What differs by less keeps its order.
    alike = bulk.numpy().view(np.int32) >> 19
    assert (np.diff(order)[np.diff(alike) == 0] > 0).mean() > 0.999


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_instruction_sets_write_the_same(tmp_path, threads):
    written = scene(66_000, 0)
    splat.write(written, tmp_path / "a.splat")
    expected = np.fromfile(tmp_path / "a.splat", np.uint8)
    before, isa = _native.num_threads(), _native.isa()
    try:
        _native.set_num_threads(threads)
        splat.write(written, tmp_path / "b.splat")
        assert np.array_equal(np.fromfile(tmp_path / "b.splat", np.uint8), expected)
        _native.set_isa("portable")
        portable = splat.read(tmp_path / "b.splat")
    finally:
        _native.set_num_threads(before)
        _native.set_isa(isa)
    for mine, theirs in zip(
        splat.read(tmp_path / "b.splat").parameters().values(),
        portable.parameters().values(),
        strict=True,
    ):
        close(mine, theirs, 1e-5)


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
