"""The .ksplat reader: files of the viewer's own library, buckets by hand, hostile files.

``data/level*.ksplat`` were made by the library (npm: @mkkellogg/gaussian-splats-3d 0.4.7) from
``data/ksplat_source.ply``, a random cloud.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.core import SplatkitError, UsageError
from splatkit.io import info, ksplat, read_gaussians, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, survives

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("level", [0, 1, 2])
def test_files_of_the_library(level):
    source = read_gaussians(DATA / "ksplat_source.ply")
    read = read_gaussians(DATA / f"level{level}.ksplat")
    assert (len(read), read.sh_degree) == (40, 2)
    source = source[order_of(source, read)]
    close(read.means, source.means, 1e-4 if level else 0)
    close(read.log_scales, source.log_scales, 1e-3)
    close(read.opacities, source.opacities, 1 / 255)
    same_rotations(read.quats, source.quats, 2e-3)
    close(read.sh[:, 0], source.sh[:, 0], 1 / 255 / 0.28)
    close(read.sh[:, 1:], source.sh[:, 1:], (0, 5e-4, 3 / 255)[level] + 1e-3)


def by_hand() -> bytes:
    """Two sections at level 1: two full buckets of 2 and two partial ones; then one of degree 1."""
    header = bytearray(4096)
    header[:2] = 0, 1
    struct.pack_into("<I", header, 4, 2)
    struct.pack_into("<I", header, 16, 8)
    struct.pack_into("<H", header, 20, 1)

    def section(count, room, size, buckets, full, partial, degree):
        out = bytearray(1024)
        struct.pack_into("<IIIIfHxxIIII", out, 0, count, room, size, buckets, 4.0, 12, 100, 0,
                         full, partial)  # fmt: skip
        struct.pack_into("<H", out, 40, degree)
        return bytes(out)

    def splat(x, rest=()):
        return b"".join(
            (
                np.array([x, 100, 200], "<u2").tobytes(),
                np.array([0.5, 1, 2], "<f2").tobytes(),
                np.array([1, 0, 0, 0], "<f2").tobytes(),
                bytes([255, 0, 128, 51]),
                np.array(rest, "<f2").tobytes(),
            )
        )

    first = (
        struct.pack("<II", 1, 2)
        + np.array([[0, 0, 0], [10, 0, 0], [20, 0, 0], [30, 0, 0]], "<f4").tobytes()
        + b"".join(splat(100) for _ in range(7))
        + bytes(24)
    )
    second = struct.pack("<I", 1) + np.array([40, 5, 0], "<f4").tobytes() + splat(150, range(9))
    return b"".join(
        (header, section(7, 8, 2, 4, 2, 2, 0), section(1, 1, 2, 1, 0, 1, 1), first, second)
    )


def test_buckets_and_sections(tmp_path):
    path = tmp_path / "a.ksplat"
    path.write_bytes(by_hand())
    read = ksplat.read(path)
    x = [0.0, 0, 10, 10, 20, 30, 30, 41]
    expected = torch.tensor([[v, 0, 2] for v in x])
    expected[7, 1] = 5
    close(read.means, expected, 1e-6)
    close(read.log_scales, torch.tensor([0.5, 1, 2]).log().expand(8, 3), 1e-6)
    close(read.opacities, torch.full((8,), 0.2), 1e-5)
    assert read.sh_degree == 1
    assert not read.sh[:7, 1:].any()
    # Red first: coefficients 0 1 2, then green and blue.
    assert read.sh[7, 1:].mT.flatten().tolist() == list(range(9))
    assert info(path)["version"] == "0.1"


def test_it_is_only_read(tmp_path):
    scene = ksplat.read(DATA / "level0.ksplat")
    with pytest.raises(UsageError, match=r"ending in \.compressed\.ply, \.ply, \.spz"):
        write_gaussians(scene, tmp_path / "a.ksplat")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, b"\x01", "version 1.1"),
        (20, b"\x03", "level 3"),
        (4, b"\xff\xff\xff\xff", "section headers"),
        (16, b"\xff\xff\xff\xff", "expected 4294967295 Gaussians"),
        (4096, b"\xff\xff\xff\xff", "of 8 Gaussians"),
        (4100, b"\xff\xff\xff\xff", "needs"),
        (4096 + 12, b"\x02", "outside its buckets"),
        (4096 + 36, b"\xff\xff\xff\xff", "needs"),
        (4096 + 40, b"\x03", "degree 3"),
    ],
)
def test_hostile_headers(tmp_path, place, value, message):
    data = bytearray(by_hand())
    data[place : place + len(value)] = value
    path = tmp_path / "a.ksplat"
    path.write_bytes(data)
    with pytest.raises(SplatkitError, match=message):
        ksplat.read(path)


def test_mutated_files(tmp_path):
    path = tmp_path / "a.ksplat"
    good = by_hand()
    assert survives(ksplat.read, path, good, 150) > 25
    # Faults where the numbers stand, not in the empty parts of the headers.
    numbers = good[:44] + good[4096:4140] + good[5120:5164] + good[6144:]

    def spread(place):
        short = place.read_bytes()
        parts = (short[:44].ljust(4096, b"\0"), short[44:88].ljust(1024, b"\0"),
                 short[88:132].ljust(1024, b"\0"), short[132:])  # fmt: skip
        place.write_bytes(b"".join(parts))
        return ksplat.read(place)

    assert survives(spread, path, numbers, 250) > 100
