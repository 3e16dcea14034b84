from __future__ import annotations

import json
import shlex
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
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    again = f"splatkit {shlex.join(command)} --resume"
    assert rest.splitlines()[-1] == f"saved, resume with: {again}"
    answer = splatkit("train", photos, "-o", run, "-i", 12, *TINY, "--resume")
    assert answer.code == 0, answer.err
    assert "going on at step" in answer.err


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
