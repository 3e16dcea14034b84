"""SPZ: every version against the written specification, the frame, hostile files."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.core.similarity import transformed
from splatkit.io import info, read_gaussians, spz, write_gaussians
from splatkit.io.axes import world_from_axes
from tests.io.format_cases import close, same_rotations, scene, survives

RUB = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 50),
    degree=st.integers(0, 4),
    version=st.sampled_from((3, 4)),
)
def test_round_trip_is_within_the_bits(tmp_path, seed, count, degree, version):
    written = scene(count, degree, seed, antialiased=seed % 2 == 1)
    path = tmp_path / "a.spz"
    spz.write(written, path, version=version)
    read = read_gaussians(path)
    assert (len(read), read.sh_degree, read.antialiased) == (count, degree, seed % 2 == 1)
    bits = int(info(path)["quantization"].split("2^-")[1].split(";")[0])
    assert bits >= 12
    close(read.means, written.means, 0.5 * 2.0**-bits + 1e-6)
    close(read.log_scales, written.log_scales, 1 / 32)
    close(read.opacities, written.opacities, 0.5 / 255)
    same_rotations(read.quats, written.quats, 0.01)
    in_range = written.sh[:, 0].clamp(-0.5 / 0.15, 0.5 / 0.15)
    close(read.sh[:, 0], in_range, 0.5 / 255 / 0.15)
    close(read.sh[:, 1:4], written.sh[:, 1:4].clamp(-1, 1), 4 / 128)
    close(read.sh[:, 4:], written.sh[:, 4:].clamp(-1, 1), 8 / 128 + 1 / 128)


def test_a_second_round_trip_changes_nothing(tmp_path):
    spz.write(scene(200), tmp_path / "a.spz")
    once = spz.read(tmp_path / "a.spz")
    spz.write(once, tmp_path / "b.spz")
    twice = spz.read(tmp_path / "b.spz")
    close(twice.means, once.means, 0)
    close(twice.sh, once.sh, 0)
    close(twice.log_scales, once.log_scales, 0)
    same_rotations(twice.quats, once.quats, 0.003)


def by_the_specification(version: int, bits: int = 10, extension: bytes = b"") -> bytes:
    """Two Gaussians of degree 1 put together from the specification's own words."""
    if version == 1:
        positions = np.array([1, 2, 3, -4, 5, -6], "<f2").tobytes()
    else:
        fixed = [round(v * 2**bits) for v in (1, 2, 3, -4, 5, -6)]
        positions = b"".join((v & 0xFFFFFF).to_bytes(3, "little") for v in fixed)
    alphas = bytes([51, 255])
    colors = bytes([0, 255, 128] * 2)
    scales = bytes([160, 176, 144] * 2)
    if version >= 3:
        # The largest is w (place 3), the others x = sqrt(1/2), y = 0, z = 0; then w alone.
        words = (3 << 30) | (511 << 20), 3 << 30
        rotations = struct.pack("<2I", *words)
    else:
        x = round((math.sqrt(0.5) + 1) * 127.5)
        rotations = bytes([x, 128, 128, 128, 128, 128])
    sh = bytes([128 + 64, 128, 128, 128, 128 - 64, 128, 128, 128, 128 + 32] * 2)
    streams = (positions, alphas, colors, scales, rotations, sh)
    flags = 1 | (2 if extension else 0)
    if version < 4:
        head = struct.pack("<4sIIBBBB", b"NGSP", version, 2, 1, bits, flags, 0)
        return gzip.compress(head + b"".join(streams) + extension)
    packed = [zstandard.compress(s) for s in streams]
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 2, 1, bits, flags, 6, 32 + len(extension))
    table = [struct.pack("<QQ", len(p), len(s)) for p, s in zip(packed, streams, strict=True)]
    return b"".join((head, extension, *table, *packed))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_is_read_by_the_specification(tmp_path, version):
    path = tmp_path / "a.spz"
    path.write_bytes(by_the_specification(version))
    read = read_gaussians(path)
    assert info(path)["version"] == version
    assert info(path)["coordinates"] == "RUB"
    assert read.antialiased
    # From x right, y up, z back to x right, y down, z forward.
    close(read.means, torch.tensor([[1.0, -2, -3], [-4, -5, 6]]), 1e-3)
    close(read.opacities, torch.tensor([0.2, 1.0]), 1e-5)
    close(read.log_scales, torch.tensor([[0.0, 1, -1]] * 2), 0)
    close(read.sh[0, 0], torch.tensor([-0.5 / 0.15, 0.5 / 0.15, 0.5 / 255 / 0.15]), 1e-5)
    # Degree 1 is -y, z, -x: the first two change sign with y and z.
    expected = torch.tensor([[-0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.25]])
    close(read.sh[0, 1:], expected, 1e-6)
    quarter_about_x = torch.tensor([[math.sqrt(0.5), math.sqrt(0.5), 0, 0]])
    turned = transformed(replace(read[:1], quats=quarter_about_x), RUB)
    same_rotations(read.quats[:1], turned.quats, 0.02)


@pytest.mark.parametrize("version", [3, 4])
def test_the_named_frame_is_honoured_and_other_extensions_passed_over(tmp_path, version):
    extension = struct.pack("<III", 0xADBE0002, 4, 7) + struct.pack("<III", 0xADBE0003, 4, 6)
    path = tmp_path / "a.spz"
    path.write_bytes(by_the_specification(version, extension=extension))
    assert info(path)["coordinates"] == "RDF"
    close(read_gaussians(path).means[0], torch.tensor([1.0, 2, 3]), 1e-6)


def test_a_left_handed_frame_mirrors_all_of_it(tmp_path):
    path = tmp_path / "a.spz"
    path.write_bytes(by_the_specification(4, extension=struct.pack("<III", 0xADBE0003, 4, 8)))
    read = read_gaussians(path)
    close(read.means[0], torch.tensor([1.0, -2, 3]), 1e-6)
    close(read.sh[0, 1:], torch.tensor([[-0.5, 0, 0], [0, -0.5, 0], [0, 0, 0.25]]), 1e-6)


def test_precision_follows_the_scene(tmp_path):
    path = tmp_path / "a.spz"
    small, large = scene(50, 0), scene(50, 0)
    small = transformed(small, scale=1e-3)
    write_gaussians(small, path)
    close(read_gaussians(path).means, small.means, 0.5 * 2.0**-16)
    large.means[0, 0] = 1e6
    write_gaussians(large, path)
    assert float(read_gaussians(path).means[0, 0]) == 1e6
    large.means[0, 0] = 1e8
    with pytest.raises(SplatkitError, match="scale the scene down"):
        write_gaussians(large, path)


def test_only_known_versions_are_written(tmp_path):
    with pytest.raises(UsageError, match="3 or 4, got 2"):
        spz.write(scene(1), tmp_path / "a.spz", version=2)


@pytest.mark.parametrize("number", [1, 5, 7, 9, 12, 16])
def test_every_named_frame_turns_colours_too(tmp_path, number):
    """Numbers above 8 are frames whose y and z change places."""

    def read_as(named: int) -> Gaussians:
        extension = struct.pack("<III", 0xADBE0003, 4, named)
        (tmp_path / "a.spz").write_bytes(by_the_specification(4, extension=extension))
        return spz.read(tmp_path / "a.spz")

    as_it_stands = read_as(spz._SYSTEMS.index("RDF"))
    turned = transformed(as_it_stands, world_from_axes(spz._SYSTEMS[number]))
    read = read_as(number)
    close(read.means, turned.means, 1e-6)
    close(read.sh, turned.sh, 1e-6)
    same_rotations(read.quats, turned.quats, 1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:10], "header"),
        (lambda d: d[:4] + b"\x09" + d[5:], "version"),
        (lambda d: d[:8] + b"\xff\xff\xff\xff" + d[12:], "claims"),
        (lambda d: d[:8] + b"\x03\x00\x00\x00" + d[12:], "wrong size"),
        (lambda d: d[:12] + b"\x07" + d[13:], "degree"),
        (lambda d: d[:16] + b"\xff\xff\xff\x7f" + d[20:], "table"),
        (lambda d: d[:-3], "wrong size"),
    ],
)
def test_hostile_headers(tmp_path, change, message):
    path = tmp_path / "a.spz"
    path.write_bytes(change(by_the_specification(4)))
    with pytest.raises(SplatkitError, match=message):
        spz.read(path)


def test_a_bomb_is_refused_unopened(tmp_path):
    path = tmp_path / "a.spz"
    head = struct.pack("<4sIIBBBB", b"NGSP", 3, 10**8, 4, 12, 0, 0)
    path.write_bytes(gzip.compress(head + bytes(1 << 20)))
    with pytest.raises(SplatkitError, match="claims"):
        spz.read(path)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_mutated_files(tmp_path, version):
    path = tmp_path / "a.spz"
    good = by_the_specification(version)
    if version < 4:
        # Faults inside the stream, not only in its gzip wrapping, which a checksum guards.
        raw = gzip.decompress(good)
        assert survives(lambda p: spz.read(repacked(p)), path, raw, 200) > 20
    assert survives(spz.read, path, good, 300) > 100


def repacked(path):
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path
