"""``splatkit export``: every pair of formats, what is left behind, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from splatkit.core import Note, SplatkitError, UsageError
from splatkit.export.convert import export_scene
from splatkit.export.prepare import ExportOptions
from splatkit.io import read_gaussians, spz, write_gaussians
from tests.export.clouds import cloud, export, few_formats
from tests.scenes import write_run

pytestmark = pytest.mark.usefixtures("small_pictures")

WRITTEN = [known.suffix for known in few_formats()]
QUICK = [suffix for suffix in WRITTEN if suffix != ".usdc"]
"""OpenUSD is read by a process of its own, which takes a second to start."""


@pytest.mark.parametrize("end", WRITTEN)
def test_every_pair_of_formats_shows_the_same(tmp_path, end):
    write_gaussians(cloud(degree=4), tmp_path / "first.ply")
    middle = tmp_path / f"middle{end}"
    done = export(tmp_path / "first.ply", middle)
    assert done.num_gaussians == 60
    assert done.sh_degree == read_gaussians(middle).sh_degree
    assert done.proof is not None
    assert done.proof.faults == []
    # The way from this format to each of the others: places and opacities stay what they were.
    before = cloud()
    for last in QUICK:
        target = tmp_path / f"last{last}"
        assert export(middle, target, check=False).num_gaussians == 60
        after = read_gaussians(target)
        distances, nearest = torch.cdist(after.means, before.means).min(1)
        assert float(distances.max()) < 0.02
        assert len(nearest.unique()) == 60
        assert float((after.opacities - before.opacities[nearest]).abs().max()) < 0.02


def test_what_the_check_found_lies_beside_the_file(tmp_path):
    write_gaussians(cloud(), tmp_path / "a.ply")
    done = export(tmp_path / "a.ply", tmp_path / "b.spz")
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"a.ply", "b.spz", "b.spz.check.json"}
    told = json.loads((tmp_path / "b.spz.check.json").read_text())
    assert told["psnr"] == done.proof.psnr > 38
    assert told["handedness"] == "kept"
    assert (told["num_gaussians"], told["bytes"]) == (60, (tmp_path / "b.spz").stat().st_size)
    assert told["faults"] == []


def test_a_file_that_fails_does_not_get_its_name(tmp_path):
    # SPZ holds base colours up to 1.44 only.
    glowing = cloud(degree=0)
    glowing = replace(glowing, sh=glowing.sh + 8, logit_opacities=glowing.logit_opacities - 4)
    write_gaussians(glowing, tmp_path / "a.ply")
    (tmp_path / "b.spz").write_bytes(b"what was there")
    with pytest.raises(SplatkitError, match=r"b\.spz: not kept, .* dB \(expected 38\)"):
        export(tmp_path / "a.ply", tmp_path / "b.spz")
    assert (tmp_path / "b.spz").read_bytes() == b"what was there"
    assert {file.name for file in tmp_path.iterdir()} == {"a.ply", "b.spz"}
    assert export(tmp_path / "a.ply", tmp_path / "b.spz", check=False).proof is None
    # The colours that .splat clamps are no fault of its writer; a warning names them.
    done = export(tmp_path / "a.ply", tmp_path / "b.splat")
    assert done.proof.psnr > 40


def test_a_rough_file_is_written_again_with_more_precision(tmp_path, monkeypatch):
    # Scenes of a few steps of training are too much for the usual bits; this one is for fewer.
    monkeypatch.setitem(spz.PRECISIONS, "normal", (16, 32))
    write_gaussians(cloud(degree=4), tmp_path / "a.ply")
    work = export_scene(tmp_path / "a.ply", tmp_path / "b.spz", ExportOptions())
    notes = [event.text for event in work if isinstance(event, Note)]
    assert any("written again with --precision high" in text for text in notes)
    told = json.loads((tmp_path / "b.spz.check.json").read_text())
    assert (told["faults"], told["psnr"] > 38) == ([], True)
    # Who chooses a precision gets it, and hears of the other one.
    with pytest.raises(SplatkitError, match=r"dB \(expected 38\); add --precision high, choose"):
        export(tmp_path / "a.ply", tmp_path / "c.spz", precision="low")


def test_folders_that_are_missing_come_and_go_with_the_file(tmp_path):
    write_gaussians(cloud(), tmp_path / "a.ply")
    export(tmp_path / "a.ply", tmp_path / "new" / "er" / "b.ply", check=False)
    assert len(read_gaussians(tmp_path / "new" / "er" / "b.ply")) == 60
    glowing = cloud(degree=0)
    glowing = replace(glowing, sh=glowing.sh + 8, logit_opacities=glowing.logit_opacities - 4)
    write_gaussians(glowing, tmp_path / "a.ply")
    with pytest.raises(SplatkitError, match="not kept"):
        export(tmp_path / "a.ply", tmp_path / "other" / "b.spz")
    assert not (tmp_path / "other").exists()
    with pytest.raises(SplatkitError, match="a file has the name of its folder"):
        export(tmp_path / "a.ply", tmp_path / "a.ply" / "b.ply")


def test_warnings_name_the_file_and_not_the_temporary(tmp_path):
    write_gaussians(cloud(), tmp_path / "a.ply")
    events = list(export_scene(tmp_path / "a.ply", tmp_path / "b.splat", ExportOptions()))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert f"{tmp_path / 'b.splat'}: .splat does not hold harmonics above degree 0" in notes


def test_a_stopped_export_leaves_nothing(tmp_path):
    write_gaussians(cloud(), tmp_path / "a.ply")
    work = export_scene(tmp_path / "a.ply", tmp_path / "b.ply", ExportOptions())
    for _ in range(4):
        next(work)
    work.close()
    assert [file.name for file in tmp_path.iterdir()] == ["a.ply"]


def test_precision_and_versions_of_spz(tmp_path):
    write_gaussians(cloud(400, 3), tmp_path / "a.ply")
    sizes, decibels = [], []
    for precision in ("low", "normal", "high"):
        done = export(tmp_path / "a.ply", tmp_path / "b.spz", precision=precision, check=False)
        sizes.append(done.bytes)
        error = read_gaussians(tmp_path / "b.spz").sh - cloud(400, 3).sh
        decibels.append(float(error[:, 1:].square().mean()))
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels, reverse=True)
    export(tmp_path / "a.ply", tmp_path / "b.spz", spz_version=3, check=False)
    assert (tmp_path / "b.spz").read_bytes()[:2] == b"\x1f\x8b"
    export(tmp_path / "a.ply", tmp_path / "b.spz", check=False)
    assert (tmp_path / "b.spz").read_bytes()[:4] == b"NGSP"


def test_an_empty_scene_is_written(tmp_path):
    write_gaussians(cloud(0), tmp_path / "a.ply")
    done = export(tmp_path / "a.ply", tmp_path / "b.spz")
    assert (done.num_gaussians, done.proof.psnr) == (0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up": "w"}, "--up: expected one of x, neg-x"),
        ({"sh_degree": 5}, "--sh-degree: expected 0 to 4, got 5"),
        ({"max_gaussians": 0}, "--max-gaussians: expected 1 or more, got 0"),
        ({"scale": -1.0}, "--scale: expected a positive number"),
        ({"rotate": (math.nan, 0, 0)}, "--rotate"),
        ({"crop": (1.0, 0, 0, 0, 1, 1)}, "--crop: expected low x y z below"),
        ({"crop": (1.0, 0, 0, -1)}, "--crop: expected a radius above 0, got -1"),
        ({"crop": (1.0, 0)}, "--crop: expected 6 numbers"),
        ({"target": "maya"}, "--target: expected one of blender, unreal"),
        ({"spz_version": 3}, r"--spz-version: \.ply files have no such choice"),
        ({"precision": "high"}, r"--precision: \.ply files have no such choice"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        export(tmp_path / "absent.ply", tmp_path / "b.ply", **options)


def test_a_target_of_no_format_is_refused_before_reading(tmp_path):
    with pytest.raises(UsageError, match=r"b\.obj: expected a file name ending in"):
        export(tmp_path / "absent.ply", tmp_path / "b.obj")
    with pytest.raises(UsageError, match="expected the name of a file to write, got a folder"):
        export(tmp_path / "absent.ply", tmp_path)


@pytest.mark.usefixtures("small_pictures")
def test_a_run_is_measured_from_its_photos(tmp_path):
    run = write_run(tmp_path / "run")
    done = export(run, tmp_path / "a.ply", max_gaussians=50)
    assert done.num_gaussians == 50
    # Four views of the photos and four around the scene were compared.
    assert len(done.proof.views) == 8
    assert done.proof.psnr is None
