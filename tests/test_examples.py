"""The examples run as they are printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.scenes import write_photos

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *words: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_short_and_tested() -> None:
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert scripts == [
        "01_render.py",
        "02_gradients.py",
        "03_train_from_scene.py",
        "04_train_render_evaluate.py",
    ]
    for script in scripts:
        assert len((EXAMPLES / script).read_text().splitlines()) < 100


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help_says_what_an_example_takes(script: str) -> None:
    assert run(script, "--help").startswith(f"usage: {script}")


def test_render(tmp_path: Path) -> None:
    assert "2000 Gaussians cover" in run("01_render.py", tmp_path)
    colours = np.asarray(Image.open(tmp_path / "helix-rgb.png"))
    assert colours.shape == (480, 640, 3)
    assert colours.max() > 200
    assert (tmp_path / "helix-depth.png").exists()
    assert (tmp_path / "helix.ply").exists()


def test_gradients(tmp_path: Path) -> None:
    last_line = run("02_gradients.py", tmp_path, 60).splitlines()[-1]
    before, after = (float(word) for word in last_line.split() if word[0].isdigit() and "." in word)
    assert after < 0.5 * before


def test_train_from_scene(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", count=10)
    told = run("03_train_from_scene.py", photos, tmp_path / "run", 100)
    assert "step 100" in told
    assert "held-out photos: " in told
    assert (tmp_path / "run" / "exports" / "scene.ply").exists()


def test_train_render_evaluate(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", count=10)
    told = run("04_train_render_evaluate.py", photos, tmp_path, 30).splitlines()
    assert [line.split(":")[0] for line in told[1:]] == ["all", "half"]
    assert np.asarray(Image.open(tmp_path / "depth.png")).shape == (64, 96, 3)
    assert (tmp_path / "run" / "report.html").exists()
