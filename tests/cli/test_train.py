from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from splatkit.cli.train import default_run
from tests.scenes import write_photos

TINY = ("--max-gaussians", "200", "--recipe.initialization.fill", "150")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "balls", 8)


def test_train_then_eval(splatkit, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    answer = splatkit("train", photos, "-o", run, "-i", 12, *TINY)
    assert answer.code == 0, answer.err
    assert f"scene            {run / 'exports' / 'scene.ply'}" in answer.out
    assert "on 1 of 1" in answer.out
    assert f"splatkit view {run}" in answer.out
    assert "Training  12/12 (100%)" in answer.err
    before = json.loads((run / "eval" / "stats.json").read_text())["mean"]["psnr"]
    again = json.loads(splatkit("eval", run, "--json").out)
    assert again["mean"]["psnr"] == pytest.approx(before, abs=1e-6)
    text = splatkit("eval", run).out
    assert text.splitlines()[0].startswith("000.png")
    assert f"{before:.2f} dB" in text
    out = tmp_path / "other"
    words = ("--scene", run / "exports" / "scene.ply", "--photos", run, "-o", out, "--json")
    other = json.loads(splatkit("eval", *words).out)
    assert other["mean"]["psnr"] == pytest.approx(before, abs=1e-6)
    assert (out / "eval" / "stats.json").exists()


def test_ingest(splatkit, photos: Path, tmp_path: Path) -> None:
    answer = splatkit("ingest", photos, "-o", tmp_path / "scene", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["photos"], found["held_out"], found["missing"]) == (8, 1, {})


def test_ctrl_c_saves_and_says_how_to_go_on(photos: Path, tmp_path: Path, splatkit) -> None:
    run = tmp_path / "run"
    command = ["train", str(photos), "-o", str(run), "-i", "50000", *TINY]
    process = subprocess.Popen(
        [sys.executable, "-m", "splatkit", *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Training  "):
            break
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=300) == 130
    assert rest.splitlines()[-1] == f"saved, resume with: splatkit train --resume -o {run}"
    answer = splatkit("train", "--resume", "-o", run, "-i", 2)
    assert answer.code == 0, answer.err
    assert "Changed: --iterations 2 (was 50000)" in answer.err
    assert "max-gaussians" not in answer.err
    assert "going on at step" in answer.err
    assert "steps are done already, of 2 asked for: none is added" in answer.err
    options = json.loads((run / "config.json").read_text())
    assert (options["iterations"], options["max_gaussians"]) == (2, 200)
    assert options["recipe"]["initialization"]["fill"] == 150


def test_a_finished_run_is_not_replaced(splatkit, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert splatkit("train", photos, "-o", run, "-i", 3, *TINY).code == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    again = splatkit("train", photos, "-o", run, "-i", 5, *TINY)
    assert again.code == 2
    assert "a finished run is there and is not replaced; go on with it" in again.err
    missing = splatkit("train", "--resume", "-o", run, "--start", tmp_path / "none.ply")
    assert missing.code == 2
    assert "--start: expected unset as this run began with" in missing.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_training_that_cannot_begin_leaves_nothing(
    splatkit, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for words in (
        (tmp_path / "none",),
        (tmp_path / "empty",),
        (photos, "--start", tmp_path / "none.ply"),
        (photos, "--backend", "none"),
    ):
        answer = splatkit("train", *words, "-o", tmp_path / "run", "-i", 3)
        assert answer.code in (1, 2)
        assert answer.err.count("error: ") == 1
        assert not (tmp_path / "run").exists()


def test_a_file_is_no_run_folder(splatkit, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "run"
    file.write_text("mine")
    for words in ((photos, "-o", file), ("--resume", "-o", file)):
        answer = splatkit("train", *words)
        assert answer.code == 2
        assert len(answer.err.splitlines()) == 1
        assert str(file) in answer.err
    assert file.read_text() == "mine"


def test_going_on_needs_a_run(splatkit, tmp_path: Path) -> None:
    answer = splatkit("train", "--resume", "-o", tmp_path / "none")
    assert answer.code == 2
    assert "expected a run to go on with, found none" in answer.err
    assert not (tmp_path / "none").exists()
    answer = splatkit("train", "--resume")
    assert (answer.code, answer.err.split(":")[0]) == (2, "error")
    assert "expected PHOTOS, or --resume -o RUN" in answer.err


@pytest.mark.parametrize(
    ("photos", "run"),
    [
        ("holiday", "runs/holiday"),
        ("holiday/images", "runs/holiday"),
        ("/data/holiday/input/", "runs/holiday"),
        ("holiday/transforms.json", "runs/holiday"),
        ("/", "runs/scene"),
    ],
)
def test_runs_are_called_like_their_photos(photos: str, run: str) -> None:
    assert default_run(Path(photos)) == Path(run)
