"""Whole edits, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Gaussians, UsageError, drain
from splatkit.edit import saving
from splatkit.edit.floaters import NONE
from splatkit.edit.recipe import Recipe, Step, edit
from splatkit.edit.saving import save_edited
from splatkit.export import open_scene
from splatkit.io import read_gaussians, read_json, write_gaussians
from splatkit.render import render
from tests.scenes import ball_over_floor, write_run


def test_everything_in_order() -> None:
    scene = ball_over_floor()
    scene.logit_opacities[:5] = -6.0
    recipe = Recipe(
        crop=(-2, -2, -2, 2, 2, 2),
        cut=(0.7, 0, 0, 0.75),
        floaters=replace(NONE, opacity=0.05),
        max_gaussians=60,
        up="neg-y",
        floor=True,
        measured=(0, 0, 0, 1, 0, 0, 10),
        scale=0.5,
    )
    events = []

    def heard():
        result = yield from edit(scene, recipe, [])
        events.append(result)

    steps = [event for event in heard() if isinstance(event, Step)]
    bench = events[0]
    told = {
        step.words: step.count for step in steps if not step.words.startswith(("turn", "level"))
    }
    assert told == {
        "crop": 0,
        "cut": 40,
        "too faint": 5,
        "floaters": 5,
        "those that show least": 15,
        "scale by 10": 0,
        "scale by 0.5": 0,
    }
    assert [step.left for step in steps][-1] == len(bench.result()) == 60
    assert bench.state.placed.scale == pytest.approx(5)
    floor = bench.result().means[:, 1].max()
    assert float(floor) == pytest.approx(0, abs=0.05)


def test_a_new_run_has_the_photos_and_shows_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path / "old")
    old = open_scene(run)
    bench = drain(edit(old.gaussians, Recipe(up="z", scale=3.0), old.photos))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    new = save_edited(bench.result(), tmp_path / "new", bench.steps(), bench.state.placed, run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    opened = open_scene(new)
    assert [photo.name for photo in opened.photos] == [photo.name for photo in old.photos]
    assert [photo.held_out for photo in opened.photos] == [photo.held_out for photo in old.photos]
    ours, theirs = (
        render(scene.gaussians, scene.cameras(48, 32).to(torch.float32)[:2]).rgb
        for scene in (opened, old)
    )
    torch.testing.assert_close(ours, theirs, atol=3e-3, rtol=0)
    assert read_json(new / "edit.json")["steps"] == ["turn upright (z)", "scale by 3"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "old")
    scene = open_scene(run).gaussians
    for taken in (run, run / "exports" / "scene.ply"):
        with pytest.raises(UsageError, match="expected a new name"):
            save_edited(scene, taken, [])
    with pytest.raises(UsageError, match="expected a file name ending in"):
        save_edited(scene, tmp_path / "a.exe", [])
    file = save_edited(scene, tmp_path / "a.splat", ["crop"])
    assert len(read_gaussians(file)) == 120
    assert read_json(tmp_path / "a.splat.edit.json")["num_gaussians"] == 120


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": (1, 2)}, "--crop: expected 6 numbers"),
        ({"cut": (0, 0, 0, -1)}, "--cut: expected a radius above 0"),
        ({"max_gaussians": 0}, "--max-gaussians: expected 1 or more"),
        ({"up": "sideways"}, "--up: expected one of photos"),
        ({"measured": (1,)}, "--measured: expected 7 numbers"),
        ({"scale": 0.0}, "--scale: expected a positive number"),
        ({"scale": 1e30}, "--scale: expected a positive number from 1e-06 to"),
    ],
)
def test_wrong_options(wrong: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**wrong)


def test_a_step_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--crop: this would leave none"):
        drain(edit(ball_over_floor(), Recipe(crop=(99, 99, 99, 1)), []))


def test_a_folder_that_another_command_makes_meanwhile_is_kept(tmp_path: Path, monkeypatch) -> None:
    scene, target = open_scene(write_run(tmp_path / "old")).gaussians, tmp_path / "new"

    def slowly(gaussians: Gaussians, path: Path) -> None:
        write_gaussians(gaussians, path)
        target.mkdir()
        (target / "theirs").touch()

    monkeypatch.setattr(saving, "write_gaussians", slowly)
    with pytest.raises(UsageError, match="expected a new name"):
        save_edited(scene, target, [])
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
