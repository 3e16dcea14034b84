"""Figures of runs that meet trouble: kills, photos of varied exposure, passers-by, forecasts.

    scripts/scorecard.py train --only robust

Kills are those of ``tests/train/test_kill.py``; the spoiled photos are made by the tests' own code.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from figure import figure
from step import MEMORY_GOAL, MEMORY_STEPS, peak_memory

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from splatkit.core import Scene, drain  # noqa: E402
from splatkit.io.files import read_json, write_json  # noqa: E402
from splatkit.train.config import TrainConfig  # noqa: E402
from splatkit.train.evaluate import evaluate  # noqa: E402
from splatkit.train.photos import load_views  # noqa: E402
from splatkit.train.trainer import train  # noqa: E402
from tests.train.disturbed import with_passer_by, with_varied_exposure  # noqa: E402
from tests.train.sampled import sample_scene  # noqa: E402

MOST_LOST = 0.5
"""dB that spoiled photos may cost."""
KILL_TESTS = "tests/train/test_kill.py"
KILLS, KILLS_PER_TEST = 200, 10
FORECAST_FROM = 0.15
"""Share of the steps after which the remaining time has to be right."""
FORECAST_GOAL = 0.2
_LAST_SECONDS = 10.0
"""A few seconds before the end a share of what remains says nothing."""
SMALL = TrainConfig(iterations=1500, max_gaussians=8000, resize=200, sh_degree=2, threads=1)


def robust_figures(runs: Path) -> list[dict[str, Any]]:
    """Kills survived, and what spoiled photos cost; trainings that are done are not repeated."""
    return [kill_figure(runs / "kills"), *spoiled_figures(runs / "robust"), memory_figure()]


def kill_figure(runs: Path) -> dict[str, Any]:
    """How many SIGKILLs of training, ingest and export lost nothing.

    Each kind is one session of tests, whose count stays in ``runs`` and is not repeated.
    """
    survived = 0
    for kind in ("training", "finding_cameras", "exports"):
        told = runs / f"{kind}.json"
        if not told.is_file():
            words = ["-m", "pytest", "-q", "-m", "long", "-k", f"kills_of_{kind}", KILL_TESTS]
            done = subprocess.run(
                [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
            )
            print(done.stdout, file=sys.stderr)
            passed = re.search(r"(\d+) passed", done.stdout)
            if done.returncode or not passed:
                continue
            write_json(told, KILLS_PER_TEST * int(passed[1]))
        survived += read_json(told)
    how = f"pytest -m long {KILL_TESTS}; resumed runs equal unbroken ones bit for bit"
    return figure("kills that lose nothing", survived, "", KILLS, how)


def memory_figure() -> dict[str, Any]:
    """G14: peak memory of a process that takes training steps."""
    name, goal = "G14 memory of training", MEMORY_GOAL["pass"]
    how = f"{MEMORY_STEPS} steps at 500 x 368, 100k Gaussians, torch included"
    try:
        return figure(name, peak_memory("bench_100k", 2), "GB", goal, how, -1)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        return figure(name, None, "GB", goal, lines[-1] if lines else "it failed", -1)


def spoiled_figures(runs: Path) -> list[dict[str, Any]]:
    """dB that exposure and passers-by cost on the sample."""
    scene = sample_scene()
    varies = replace(SMALL, exposure="varies")
    clean = _reached(runs / "clean", scene, scene, SMALL)
    exposed = with_varied_exposure(scene, runs / "exposed" / "photos")
    passed = with_passer_by(scene, runs / "passed" / "photos")
    how = "the sample at 200 px, 1,500 steps, 8,000 Gaussians, true cameras; clean photos reach "
    figures = []
    for name, folder, spoiled, config in (
        ("varied exposure", "exposed", exposed, varies),
        ("a passer-by in a third of the photos", "passed", passed, SMALL),
    ):
        lost = clean - _reached(runs / folder, spoiled, scene, config)
        words = f"{how}{clean:.2f} dB"
        figures.append(figure(f"dB lost to {name}", lost, "dB", MOST_LOST, words, -1))
    return figures


def _reached(folder: Path, photos: Scene, truth: Scene, config: TrainConfig) -> float:
    """Mean PSNR in dB of the true scene's held-out photos after training on these."""
    told = folder / "psnr.json"
    if not told.is_file():
        gaussians = drain(train(photos, folder, config))
        views = drain(load_views(truth.held_out_photos, config.picture_size, None))
        results = drain(evaluate(gaussians, views))
        told.write_text(json.dumps(sum(r.psnr for r in results) / len(results)))
    return json.loads(told.read_text())


def forecast_figure(name: str, *logs: Path) -> dict[str, Any]:
    """The worst error of the remaining time that a run foresaw, from 15% of its time on; of several
    runs the median."""
    told = [worst_forecast(log) for log in logs]
    worst = [error for error, _ in told if error is not None]
    each = ", ".join(f"{error:.1%} of {seconds:.0f} s" for error, seconds in told if error)
    how = f"largest error from {FORECAST_FROM:.0%} of the time on: {each}"
    value = median(worst) if worst else None
    return figure(f"remaining time {name}", value, "of it", FORECAST_GOAL, how, -1)


def worst_forecast(log: Path) -> tuple[float | None, float]:
    """The largest error of a run's forecasts, as a share of the time left, and its seconds."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    start = max(i for i, record in enumerate(records) if record["event"] == "Started")
    steps = [record for record in records[start:] if record["event"] == "StepDone"]
    begin, end = (datetime.fromisoformat(r["time"]) for r in (records[start], steps[-1]))
    whole = (end - begin).total_seconds()
    errors = []
    for record in steps:
        left = (end - datetime.fromisoformat(record["time"])).total_seconds()
        if _LAST_SECONDS < left <= (1 - FORECAST_FROM) * whole:
            errors.append(abs(record["seconds_left"] / left - 1))
    return max(errors, default=None), whole
