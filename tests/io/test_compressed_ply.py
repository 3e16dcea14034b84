"""The compressed PLY: layout, chunks, hostile headers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import SplatkitError
from splatkit.core.sh import rgb_from_sh
from splatkit.io import compressed_ply, info, read_gaussians, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, scene, survives


def steps_of(written: torch.Tensor, bits: tuple[int, ...]) -> torch.Tensor:
    """[3] half a step of values that share one range."""
    span = written.amax(0) - written.amin(0)
    return 0.5 * span / (2.0 ** torch.tensor(bits) - 1)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 256), degree=st.integers(0, 3))
def test_round_trip_of_one_chunk_is_within_the_bits(tmp_path, seed, count, degree):
    written = scene(count, degree, seed, antialiased=seed % 2 == 1)
    path = tmp_path / "a.compressed.ply"
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert info(path)["format"] == "compressed PLY"
    assert (len(read), read.sh_degree, read.antialiased) == (count, degree, seed % 2 == 1)
    if count == 0:
        return
    written = written[order_of(written, read)]
    close(read.means, written.means, steps_of(written.means, (11, 10, 11)))
    close(read.log_scales, written.log_scales, steps_of(written.log_scales, (11, 10, 11)))
    close(read.opacities, written.opacities, 0.5 / 255)
    same_rotations(read.quats, written.quats, 0.006)
    colors = rgb_from_sh(written.sh[:, 0])
    close(rgb_from_sh(read.sh[:, 0]), colors, steps_of(colors, (8, 8, 8)))
    close(read.sh[:, 1:], written.sh[:, 1:], 1 / 64 + 1e-3)


def test_harmonics_of_nothing_lean_to_no_side(tmp_path):
    written = scene(2000, 3)
    written.sh[:, 1:] = 0
    write_gaussians(written, tmp_path / "a.compressed.ply")
    rest = read_gaussians(tmp_path / "a.compressed.ply").sh[:, 1:]
    # No step of the format is 0: half of them are one half step above it, half of them below.
    assert rest.abs().unique().tolist() == [1 / 64]
    assert float(rest.mean(0).abs().max()) < 0.2 / 64


def test_chunks_are_neighbours_in_space(tmp_path):
    written = scene(2000, 1)
    path = tmp_path / "a.compressed.ply"
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert len(read) == 2000
    order = torch.cdist(written.means, read.means).argmin(1)
    close(read.means[order], written.means, steps_of(written.means, (11, 10, 11)))
    spans = [
        (read.means[i : i + 256].amax(0) - read.means[i : i + 256].amin(0)).prod()
        for i in range(0, 1792, 256)
    ]
    whole = (read.means.amax(0) - read.means.amin(0)).prod()
    assert float(torch.stack(spans).mean() / whole) < 0.5


def test_layout_is_the_known_one(tmp_path):
    half = math.sqrt(0.5)
    two = replace(
        scene(2, 1),
        means=torch.tensor([[0.0, 0, 0], [1, 2, 4]]),
        quats=torch.tensor([[1.0, 0, 0, 0], [0, 0, -half, half]]),
        log_scales=torch.tensor([[-5.0, -4, -3], [-5, -4, -3]]),
        logit_opacities=torch.tensor([0.0, 100.0]),
        sh=torch.tensor([0, 0.51, 0.51, 0.51]).view(1, 4, 1).repeat(2, 1, 3),
    )
    path = tmp_path / "a.compressed.ply"
    compressed_ply.write(two, path)
    head, body = path.read_bytes().split(b"end_header\n", 1)
    assert b"element chunk 1\n" in head
    assert b"element vertex 2\n" in head
    assert b"element sh 2\n" in head
    chunk = np.frombuffer(body, "<f4", 18)
    assert chunk.tolist() == [0, 0, 0, 1, 2, 4, -5, -4, -3, -5, -4, -3] + [0.5] * 6
    words = np.frombuffer(body, "<u4", 8, 72).reshape(2, 4)
    assert words[:, 0].tolist() == [0, 0xFFFFFFFF]
    assert words[0, 1] == 512 << 20 | 512 << 10 | 512
    # The largest is y (place 2) made positive, so z = -sqrt(1/2) is stored as 0.
    assert words[1, 1] == 2 << 30 | 512 << 20 | 512 << 10
    assert words[:, 2].tolist() == [0, 0]
    assert words[:, 3].tolist() == [128, 255]
    assert body[72 + 32 :] == bytes([144] * 18)


def test_older_files_without_colour_ranges(tmp_path):
    path = tmp_path / "a.compressed.ply"
    colored = scene(3, 0)
    colored.sh[:] = torch.linspace(-1.7, 1.7, 9).view(3, 1, 3)
    compressed_ply.write(colored, path)
    head, body = path.read_bytes().split(b"end_header\n", 1)
    lines = [line for line in head.split(b"\n") if line[-2:] not in (b"_r", b"_g", b"_b")]
    words = np.frombuffer(body, "<u4", 12, 72).copy()
    words[3::4] = 0x4080FF80
    path.write_bytes(b"\n".join(lines) + b"end_header\n" + body[:48] + words.tobytes())
    colors = rgb_from_sh(read_gaussians(path).sh[:, 0])
    close(colors, torch.tensor([0x40, 0x80, 0xFF]).expand(3, 3) / 255, 1e-6)


def test_what_is_lost_is_said(tmp_path):
    with pytest.warns(UserWarning, match="harmonics above degree 3"):
        compressed_ply.write(scene(3, 4), tmp_path / "a.compressed.ply")
    assert read_gaussians(tmp_path / "a.compressed.ply").sh_degree == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ply\n", b"pla\n", "complete PLY header"),
        (b"binary_little_endian", b"ascii", "little-endian"),
        (b"element vertex 5", b"element vertex 999999999", "element vertex, got"),
        (b"element vertex 5", b"element vertex many", "the line"),
        (b"element chunk 1", b"element chunk 0", "a chunk per 256"),
        (b"element sh 5", b"element sh 4", "another number"),
        (b"packed_scale", b"packed_color", "the columns of element vertex"),
        (b"packed_scale", b"packed_sca1e", "chunk and vertex columns"),
        (b"property uint packed_scale", b"property list packed_scale", "the columns"),
        (b"f_rest_8", b"f_rest_9", "f_rest columns"),
        (b"max_b", b"max_q", "colour ranges"),
    ],
)
def test_hostile_headers(tmp_path, old, new, message):
    path = tmp_path / "a.compressed.ply"
    compressed_ply.write(scene(5, 1), path)
    data = path.read_bytes()
    path.write_bytes(data.replace(old, new))
    assert path.read_bytes() != data
    with pytest.raises(SplatkitError, match=message):
        compressed_ply.read(path)


def test_mutated_files(tmp_path):
    path = tmp_path / "a.compressed.ply"
    compressed_ply.write(scene(20, 1), path)
    assert survives(compressed_ply.read, path, path.read_bytes(), 600) > 200
