"""``splatkit export`` as a command: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splatkit.cli import main
from splatkit.io import info

SCENE = Path(__file__).parents[1] / "io" / "data" / "ksplat_source.ply"


def test_a_scene_in_another_format(tmp_path, capsys):
    target = tmp_path / "a.spz"
    assert main(["export", str(SCENE), str(target), "--no-check", "--sh-degree", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{target}: 40 Gaussians, degree 1, ")
    assert printed.endswith("\nnot compared with the scene\n")
    assert info(target)["sh_degree"] == 1


def test_turned_and_cropped_as_json(tmp_path, capsys):
    target = tmp_path / "a.npz"
    words = ["--no-check", "--crop", "-50", "-50", "-50", "50", "0", "50", "--up", "neg-z"]
    assert main(["export", str(SCENE), str(target), "--json", "--scale", "2", *words]) == 0
    done = json.loads(capsys.readouterr().out)
    before, after = info(SCENE)["bounds"], info(target)["bounds"]
    assert done["path"] == str(target)
    assert done["num_gaussians"] == info(target)["num_gaussians"] < 40
    # -z up becomes -y up: z is now down, as y was.
    assert after["max"][1] == pytest.approx(2 * before["max"][2], rel=1e-5)


def test_for_a_program_inside_a_ball(tmp_path, capsys):
    words = ["--target", "three", "--crop", "0", "0", "0", "12", "--max-gaussians", "8"]
    assert main(["export", str(SCENE), str(tmp_path / "a"), *words]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'a.spz'}: 8 Gaussians, degree 2" in printed
    assert "left and right as they were" in printed
    assert "in three.js with Spark: new SplatMesh({url}), nothing to turn" in printed
    assert (tmp_path / "a.spz.check.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.obj"], "expected a file name ending in .compressed.ply, .ply"),
        (["a.ksplat"], "expected a file name ending in"),
        (["a.ply", "--spz-version", "3"], "--spz-version: .ply files have no such choice"),
        (["a.spz", "--target", "unity"], "expected an ending that Unity"),
        (["a.ply", "--crop", "1", "1", "1", "0", "0", "0"], "--crop: expected low x y z below"),
    ],
)
def test_bad_use(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(SCENE), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
