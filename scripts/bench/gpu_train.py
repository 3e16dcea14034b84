"""Trainings of the same scenes by this backend and by gsplat, and how long each takes to a PSNR."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figure import figure

from splatkit.render.backends.gsplat import gsplat_obstacle

ROOT = Path(__file__).parents[2]
PART_SECONDS = 480
"""A part ends within nine minutes; what is left is for starting and merging."""
TRAIN_SECONDS = 120
"""Training time of each scene and backend."""
SHORTER = (15, 30, 60)
"""Training times in which this backend may reach what gsplat reaches in ``TRAIN_SECONDS``."""
EQUAL_PSNR = 0.05
"""dB that count as nothing."""
UNFINISHED = 3
"""Exit code of a part that goes on when it is started again."""
Rows = Iterator[dict[str, Any]]


def places() -> list[Path]:
    """The sample's photos, and the sets in GPU_CHECK_SETS."""
    given = os.environ.get("GPU_CHECK_SETS", "").split(os.pathsep)
    return [ROOT / "data" / "sample" / "photos", *(Path(p) for p in given if p)]


def named(place: Path) -> str:
    """A set's name among the results."""
    return re.sub(r"\W+", "_", f"{place.parent.name}_{place.name}")


def prepare() -> Rows:
    """Scenes of all sets, so that a GPU need not wait for their cameras; needs no GPU itself."""
    for place in places():
        began = time.perf_counter()
        if place.exists():
            where = _scene_of(place)
            yield figure(named(place), time.perf_counter() - began, "s", None, str(where))
        else:
            yield figure(named(place), None, "s", None, f"{place} is missing")


def _scene_of(place: Path) -> Path:
    """The scene of a set, made once."""
    out = ROOT / "build" / "gpu_check" / "scenes" / named(place)
    if not (out / "report.html").exists():
        command = [sys.executable, "-m", "splatkit", "ingest", str(place), "-o", str(out)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return out


def train() -> Rows:
    """Held-out PSNR after the same training time, and the time to gsplat's PSNR (goal G1).

    A training that is done is not repeated; when the part's time is up, the next start goes on.
    """
    ends = time.monotonic() + PART_SECONDS
    for place in places():
        name = named(place)
        if not place.exists():
            yield figure(f"train {name}", None, "dB", None, f"{place} is missing")
            continue
        scene, psnr = _scene_of(place), {}
        for backend in ("cuda", *(["gsplat"] if gsplat_obstacle() is None else [])):
            stats = _trained(scene, f"{name}_{backend}", backend, TRAIN_SECONDS, ends)
            psnr[backend] = stats["mean"]["psnr"]
            how = f"{stats['iterations']} steps in {stats['seconds_train']:.0f} s on {backend}"
            yield figure(f"{name}_{backend}", psnr[backend], "dB", None, how)
        if "gsplat" in psnr:
            seconds = _seconds_to(psnr["gsplat"] - EQUAL_PSNR, scene, name, psnr["cuda"], ends)
            yield figure(
                f"G1 equal PSNR {name}",
                None if seconds is None else TRAIN_SECONDS / seconds,
                "x",
                3.5,
                f"{TRAIN_SECONDS} s of gsplat as backend of this trainer over the shortest of "
                f"{SHORTER} s and {TRAIN_SECONDS} s that reached {psnr['gsplat']:.2f} dB",
            )


def _seconds_to(goal: float, scene: Path, name: str, last: float, ends: float) -> int | None:
    """The shortest training that reaches a PSNR, where ``last`` is that of the longest."""
    for seconds in SHORTER:
        stats = _trained(scene, f"{name}_cuda_{seconds}", "cuda", seconds, ends)
        if stats["mean"]["psnr"] >= goal:
            return seconds
    return TRAIN_SECONDS if last >= goal else None


def _trained(scene: Path, name: str, backend: str, seconds: int, ends: float) -> dict[str, Any]:
    """Statistics of a training, which goes on where it stopped."""
    out = ROOT / "build" / "gpu_check" / "runs" / name
    told = out / "eval" / "stats.json"
    if not told.exists():
        left = ends - time.monotonic()
        if left < 1.5 * seconds:
            print(f"{name}: no time left in this part; start it again", file=sys.stderr)
            raise SystemExit(UNFINISHED)
        command = [sys.executable, "-m", "splatkit", "train", str(scene), "-o", str(out)]
        command += ["--backend", backend, "--time-limit", f"{seconds}s"]
        if (out / "config.json").is_file():
            command.append("--resume")
        try:
            subprocess.run(command, check=True, cwd=ROOT, timeout=left, stdout=sys.stderr)
        except subprocess.TimeoutExpired:
            print(f"{name}: not finished; start this part again", file=sys.stderr)
            raise SystemExit(UNFINISHED) from None
    return json.loads(told.read_text())
