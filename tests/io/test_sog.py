"""SOG: layout, codebooks and palette, hostile archives."""

from __future__ import annotations

import io
import json
import math
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from splatkit.core import SplatkitError
from splatkit.io import _codebook, info, read_gaussians, sog, write_gaussians
from tests.io.format_cases import close, order_of, same_rotations, scene, survives


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 80), degree=st.integers(0, 3))
def test_round_trip_is_within_the_bits(tmp_path, seed, count, degree):
    written = scene(count, degree, seed, antialiased=seed % 2 == 1)
    path = tmp_path / "a.sog"
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert (len(read), read.sh_degree, read.antialiased) == (count, degree, seed % 2 == 1)
    if count == 0:
        return
    written = written[order_of(written, read)]
    logs = written.means.double().abs().log1p() * written.means.double().sign()
    step = 0.5 * (logs.amax(0) - logs.amin(0)) / 65535
    close(read.means, written.means, 1.01 * step * (1 + written.means.abs()))
    close(read.opacities, written.opacities, 0.5 / 255)
    same_rotations(read.quats, written.quats, 0.02)
    close(read.log_scales, written.log_scales, 0.03)
    close(read.sh[:, 0], written.sh[:, 0], 0.02)
    close(read.sh[:, 1:], written.sh[:, 1:], 0.05)


def test_a_second_round_trip_changes_nothing_but_rounding(tmp_path):
    sog.write(scene(500), tmp_path / "a.sog")
    once = sog.read(tmp_path / "a.sog")
    sog.write(once, tmp_path / "b.sog")
    twice = sog.read(tmp_path / "b.sog")
    assert torch.equal(twice.log_scales, once.log_scales)
    assert torch.equal(twice.sh, once.sh)
    assert torch.equal(twice.opacities, once.opacities)
    close(twice.means, once.means, 1e-5)


def test_layout_is_the_written_one(tmp_path):
    half = math.sqrt(0.5)
    three = replace(
        scene(3, 1),
        means=torch.tensor([[0.0, 0, 0], [math.e - 1, 0, 0], [1 - math.e**2, 1, 0]]),
        quats=torch.tensor([[1.0, 0, 0, 0], [0, 0, -half, half], [0, 0, 0, 2]]),
        log_scales=torch.tensor([[-5.0, -4, -3]] * 3),
        logit_opacities=torch.tensor([0.0, -100, 100]),
        sh=torch.zeros(3, 4, 3),
        antialiased=True,
    )
    path = tmp_path / "a.sog"
    sog.write(three, path)
    files = members(path)
    meta = json.loads(files["meta.json"])
    assert (meta["version"], meta["count"], meta["antialias"]) == (2, 3, True)
    assert meta["means"]["mins"] == pytest.approx([-2, 0, 0])
    assert meta["means"]["maxs"] == pytest.approx([1, math.log(2), 0])
    assert meta["scales"]["codebook"] == [-5, -4, -3]
    assert meta["shN"]["bands"] == 1
    pictures = {
        name: np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
        for name, data in files.items()
        if name.endswith(".webp")
    }
    low, high = (pictures[f"means_{part}.webp"].reshape(-1, 4)[:3, 0] for part in "lu")
    words = sorted((low.astype(int) + 256 * high.astype(int)).tolist())
    assert words == [0, round(65535 * 2 / 3), 65535]
    quats = {tuple(pixel) for pixel in pictures["quats.webp"].reshape(-1, 4)[:3].tolist()}
    # Numpy rounds 127.5 to the even 128; y of the second is made positive, so z is -sqrt(1/2).
    assert quats == {(128, 128, 128, 252), (128, 128, 0, 254), (128, 128, 128, 255)}
    assert pictures["scales.webp"].reshape(-1, 4)[0, :3].tolist() == [0, 1, 2]
    assert set(pictures["sh0.webp"].reshape(-1, 4)[:3, 3].tolist()) == {0, 128, 255}
    assert pictures["shN_centroids.webp"].shape == (1, 64 * 3, 4)


def test_colours_survive_where_opacity_is_zero(tmp_path):
    clear = scene(40, 0)
    clear.logit_opacities[:] = -100.0
    sog.write(clear, tmp_path / "a.sog")
    read = sog.read(tmp_path / "a.sog")
    close(read.sh, clear.sh[order_of(clear, read)], 0.02)


def test_the_marks_of_other_programs_are_read(tmp_path):
    path = tmp_path / "a.sog"
    sog.write(scene(5, 0), path)
    files = members(path)
    meta = json.loads(files["meta.json"])
    del meta["antialias"]
    meta["model"] = "antialiased"
    rewrite(path, files | {"meta.json": json.dumps(meta)})
    assert sog.read(path).antialiased
    assert info(path)["producer"] == "splatkit"


def test_a_codebook_keeps_common_and_extreme_values():
    generator = np.random.default_rng(0)
    values = generator.normal(-3, 0.5, 20000).astype(np.float32)
    values[0] = 4.0
    book = _codebook.codebook(values)
    errors = np.abs(book[_codebook.nearest_entries(values, book)] - values)
    assert len(book) == 256
    assert float(np.sqrt((errors**2).mean())) < 0.008
    assert errors[0] < 0.02
    few = values[:256]
    exact = _codebook.codebook(few)
    assert np.array_equal(exact[_codebook.nearest_entries(few, exact)], few)


def test_a_palette_stands_for_clusters():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(700, 9, generator=generator)
    which = torch.randint(700, (6000,), generator=generator)
    vectors = truth[which] + 0.01 * torch.randn(6000, 9, generator=generator)
    entries, labels = _codebook.palette(vectors, 2048)
    assert len(entries) <= 2048
    error = (entries[torch.from_numpy(labels)] - vectors).square().mean().sqrt()
    assert float(error) < 0.05
    again, _ = _codebook.palette(vectors, 2048)
    assert torch.equal(again, entries)


def test_a_palette_of_few_different_vectors_is_exact():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(500, 24, generator=generator)
    vectors = truth[torch.randint(500, (9000,), generator=generator)]
    entries, labels = _codebook.palette(vectors, 512)
    assert len(entries) == 500
    assert torch.equal(entries[torch.from_numpy(labels)], vectors)


def broken_meta(**changes):
    def change(files):
        meta = json.loads(files["meta.json"])
        for key, value in changes.items():
            part, _, name = key.partition("__")
            if name:
                meta[part][name] = value
            else:
                meta[part] = value
        return files | {"meta.json": json.dumps(meta)}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {n: d for n, d in f.items() if n != "meta.json"}, "without 'meta.json'"),
        (lambda f: {n: d for n, d in f.items() if n != "quats.webp"}, "without 'quats.webp'"),
        (lambda f: f | {"meta.json": b"{"}, "not JSON"),
        (lambda f: f | {"meta.json": b"[" * 100000}, "not JSON"),
        (lambda f: f | {"quats.webp": b"RIFF"}, "no picture"),
        (broken_meta(version=3), "version 1 or 2, got 3"),
        (broken_meta(count=-1), "count is -1"),
        (broken_meta(count=10**7), "expected 10000000 pixels"),
        (broken_meta(count=True), "count is True"),
        (broken_meta(means=[]), "no means"),
        (broken_meta(means__mins=[0, 0]), "means.mins"),
        (broken_meta(means__maxs=[1e999, 0, 0]), "not finite"),
        (broken_meta(scales__codebook=[None] * 256), "scales.codebook"),
        (broken_meta(scales__codebook=[1.0]), "beyond its codebook"),
        (broken_meta(quats__files=["../../etc/passwd"]), "without '../../etc/passwd'"),
        (broken_meta(shN__bands=9), "bands is 9"),
        (broken_meta(shN__bands=3), "pixels wide"),
    ],
)
def test_hostile_archives(tmp_path, change, message):
    path = tmp_path / "a.sog"
    sog.write(scene(9, 1), path)
    rewrite(path, change(members(path)))
    with pytest.raises(SplatkitError, match=message):
        sog.read(path)


def test_a_picture_that_unpacks_to_a_gigabyte_is_refused(tmp_path):
    path = tmp_path / "a.sog"
    sog.write(scene(9, 0), path)
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 200_000
    rewrite(path, members(path) | {"means_l.webp": bomb.getvalue()})
    with pytest.raises(SplatkitError, match="claims 324000000"):
        sog.read(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "a.sog"
    sog.write(scene(9, 0), path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * (1 << 23))
    with pytest.raises(SplatkitError, match="claims 8388608 bytes"):
        sog.read(path)


def test_mutated_files(tmp_path):
    path = tmp_path / "a.sog"
    sog.write(scene(30, 1), path)
    good, files = path.read_bytes(), members(path)
    assert survives(sog.read, path, good, 300) > 100
    # Faults that the archive's checksums do not catch.

    def repack(place):
        rewrite(place, files | {"meta.json": place.read_bytes()})
        return sog.read(place)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert survives(repack, path, files["meta.json"], 300) > 50
