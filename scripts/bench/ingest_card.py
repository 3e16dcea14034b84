"""Figures of finding cameras: real photo sets, the same made harder, a flight, a video, kills.

Every set is one call of ``splatkit ingest`` without options, in a process of its own. Its folder
stays, and a set that has its ``card.json`` is read instead of repeated, so that a stopped
scorecard goes on where it was.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from figure import figure
from terrain import fly

from splatkit.core import UsageError
from splatkit.ingest.alignment import (
    angle_between,
    camera_centers,
    moved_pose,
    residuals,
    similarity_of_points,
)
from splatkit.io.colmap import read_model
from splatkit.io.images import list_images, read_image
from splatkit.io.scene import load_scene
from splatkit.io.transforms import read_frames
from splatkit.io.video import write_video

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "ingest"))
from harder import CHANGES, with_strangers  # noqa: E402  needs the line above
from real_sets import FEWEST, WRONG_IN_THE_REFERENCE  # noqa: E402

DISTANCE_GOAL, ANGLE_GOAL = 0.01, 2.0
FOX_SECONDS, DRONE_MINUTES, DRONE_BYTES = 90.0, 40.0, 2e9
DRONE_ROWS, DRONE_COLUMNS = 20, 40
VIDEO_FPS = 10
SUITES = {
    "killed at random 50 times": ("tests/ingest/test_kill.py", "-m", "long"),
    "models that are wrong, photos left out": ("tests/ingest/test_judge.py",),
}

Known = dict[str, np.ndarray]
"""Photo name -> [4,4] camera_from_reference."""


def ingest_figures(runs: Path, only: str) -> list[dict[str, Any]]:
    """All figures whose name contains ``only``."""
    found: list[dict[str, Any]] = []
    for name, measure in _measures(runs).items():
        if only in name:
            found += measure()
    return found


def _measures(runs: Path) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    measures: dict[str, Callable[[], list[dict[str, Any]]]] = {}
    for name in FEWEST:
        measures[name] = lambda name=name: _set_figures(runs, name)
    measures["sample"] = lambda: _sample_figures(runs)
    for name in FEWEST:
        for change in (*CHANGES, "another scene"):
            measures[f"{name}, {change}"] = lambda name=name, change=change: _harder_figures(
                runs, name, change
            )
    measures["drone"] = lambda: _drone_figures(runs)
    measures["video of the sample"] = lambda: _video_figures(runs)
    for name, words in SUITES.items():
        measures[name] = lambda name=name, words=words: _suite_figures(name, words)
    measures["damaged images and camera files"] = _fuzz_figures
    return measures


def _data(name: str) -> Path:
    folder = Path(os.environ.get("SPLATKIT_DATA", ""), name)
    if "SPLATKIT_DATA" not in os.environ or not folder.is_dir():
        raise UsageError(
            f"ingest: the photo set {name} is missing: set SPLATKIT_DATA (see data/README.md)"
        )
    return folder


def _run(photos: Path, out: Path) -> dict[str, Any]:
    """Ingest in a process of its own: seconds, peak bytes of it and its child, expected seconds."""
    card = out / "card.json"
    if card.is_file():
        return json.loads(card.read_text())
    command = [sys.executable, "-m", "splatkit", "ingest", photos, "-o", out]
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
        while process.poll() is None:
            peak = max(peak, bytes_held(process.pid))
            time.sleep(0.1)
        seconds = time.monotonic() - start
        told.seek(0)
        lines = told.read()
    expected = re.search(r"Expected: about (\d+) (min|s),", lines)
    unit = {"min": 60, "s": 1}
    result = {
        "failed": process.returncode != 0,
        "seconds": seconds,
        "peak_bytes": peak,
        "expected_seconds": int(expected[1]) * unit[expected[2]] if expected else None,
        "said": lines.strip().splitlines()[-1:],
    }
    if not result["failed"]:
        card.write_text(json.dumps(result))
    return result


def bytes_held(pid: int) -> int:
    """Memory of a process and all that it started, as Linux counts it now."""
    try:
        held = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        started = Path(f"/proc/{pid}/task").glob("*/children")
        return held + sum(
            bytes_held(int(child)) for c in started for child in c.read_text().split()
        )
    except OSError:
        return 0


def errors_against(folder: Path, known: Known) -> dict[str, tuple[float, float]]:
    """Distance over the extent, and degrees, of each photo after the best similarity."""
    found = {photo.name: photo.viewmat.numpy() for photo in load_scene(folder).photos}
    names = sorted(set(found) & set(known))
    ours, theirs = (np.stack([poses[name] for name in names]) for poses in (found, known))
    centers = camera_centers(theirs)
    similarity = similarity_of_points(camera_centers(ours), centers)
    extent = np.linalg.norm(centers - centers.mean(0), axis=1).max()
    distances = residuals(similarity, camera_centers(ours), centers) / extent
    moved = np.stack([moved_pose(similarity, pose) for pose in ours])
    angles = np.degrees(angle_between(moved[:, :3, :3], theirs[:, :3, :3]))
    return {n: (float(d), float(a)) for n, d, a in zip(names, distances, angles, strict=True)}


def _placed_figures(
    title: str, run: dict[str, Any], out: Path, known: Known, fewest: int, skip: set[str]
) -> list[dict[str, Any]]:
    how = "splatkit ingest PHOTOS"
    if run["failed"]:
        return [figure(f"{title}: photos placed", None, "photos", fewest, " ".join(run["said"]))]
    errors = {n: e for n, e in errors_against(out, known).items() if n not in skip}
    distance, angle = np.array(list(errors.values())).max(0)
    return [
        figure(f"{title}: photos placed", len(load_scene(out).photos), "photos", fewest, how),
        figure(f"{title}: worst centre", 100 * float(distance), "% of the extent",
               100 * DISTANCE_GOAL, how, -1),
        figure(f"{title}: worst rotation", float(angle), "degrees", ANGLE_GOAL, how, -1),
    ]  # fmt: skip


def _reference(name: str) -> Known:
    model = read_model(_data(name) / "sparse_ref" / "0")
    return {image.name: image.camera_from_world for image in model.images}


def _set_figures(runs: Path, name: str) -> list[dict[str, Any]]:
    out = runs / "ingest" / name
    run = _run(_data(name) / "images", out)
    skip = WRONG_IN_THE_REFERENCE.get(name, set())
    found = _placed_figures(name, run, out, _reference(name), FEWEST[name], skip)
    if name == "fox" and not run["failed"]:
        frames, _ = read_frames(_data(name))
        published = {Path(f.name).name: f.camera_from_world for f in frames}
        middle = np.median(np.array(list(errors_against(out, published).values())), 0)
        how = "median over its 50 photos, against its transforms.json"
        found += [
            figure("fox: centre against its poses", 100 * float(middle[0]), "%", 0.5, how, -1),
            figure("fox: rotation against its poses", float(middle[1]), "degrees", 1.0, how, -1),
            figure("fox: time", run["seconds"], "s", FOX_SECONDS, "two quiet cores", -1),
        ]
    return found


def _truth() -> Known:
    told = json.loads((ROOT / "data" / "sample" / "truth" / "cameras.json").read_text())
    return {frame["name"]: np.array(frame["viewmat"]) for frame in told["frames"]}


def _sample_figures(runs: Path) -> list[dict[str, Any]]:
    out = runs / "ingest" / "sample"
    run = _run(ROOT / "data" / "sample" / "photos", out)
    if run["failed"]:
        return [figure("sample: photos placed", None, "photos", 40, " ".join(run["said"]))]
    worst = max(error[0] for error in errors_against(out, _truth()).values())
    return [
        figure("sample: photos placed", len(load_scene(out).photos), "photos", 40, "no option"),
        figure("sample: worst centre", 100 * worst, "% of the extent", 0.2, "its truth", -1),
    ]


def _harder_figures(runs: Path, name: str, change: str) -> list[dict[str, Any]]:
    """Photos beyond use may stay without a place; strangers must."""
    photos, out = (runs / "ingest" / f"{name}, {change}" / part for part in ("photos", "out"))
    origin_file = photos.with_suffix(".json")
    if not origin_file.is_file():
        if change == "another scene":
            other = _data("sceaux" if name == "banana" else "banana") / "images"
            made = with_strangers([read_image(other / n) for n in list_images(other)[2:9:3]])
        else:
            made = CHANGES[change]
        origin_file.parent.mkdir(parents=True, exist_ok=True)
        origin_file.write_text(json.dumps(made(_data(name) / "images", photos)))
    origin: dict[str, str] = json.loads(origin_file.read_text())
    run = _run(photos, out)
    reference = _reference(name)
    known = {new: reference[old] for new, old in origin.items() if old in reference}
    wrong = WRONG_IN_THE_REFERENCE.get(name, set())
    skip = {new for new, old in origin.items() if old in wrong}
    fewest = FEWEST[name] - (5 if change == "five blurred" else 0)
    found = _placed_figures(f"{name}, {change}", run, out, known, fewest, skip)
    strange = {new for new, old in origin.items() if not old}
    if strange and not run["failed"]:
        named = len(strange & set(load_scene(out).missing))
        found.append(
            figure(f"{name}, {change}: strangers named", named, "photos", len(strange), "missing")
        )
    return found


def _drone_figures(runs: Path) -> list[dict[str, Any]]:
    folder, count = runs / "ingest" / "drone", DRONE_ROWS * DRONE_COLUMNS
    poses_file = folder / "poses.json"
    if not poses_file.is_file():
        made = fly(folder / "photos", DRONE_ROWS, DRONE_COLUMNS)
        poses_file.write_text(json.dumps({name: pose.tolist() for name, pose in made.items()}))
    known = {n: np.array(pose) for n, pose in json.loads(poses_file.read_text()).items()}
    run = _run(folder / "photos", folder / "out")
    found = _placed_figures("drone", run, folder / "out", known, round(0.98 * count), set())
    if run["failed"]:
        return found
    scene = load_scene(folder / "out")
    minutes, expected = run["seconds"] / 60, run["expected_seconds"] / 60
    how = f"{count} photos of 480x360 with GPS"
    return [
        *found,
        figure("drone: metres by GPS", float(scene.metric), "", 1, how),
        figure("drone: time", minutes, "min", DRONE_MINUTES, how, -1),
        figure("drone: peak memory", run["peak_bytes"], "bytes", DRONE_BYTES, how, -1),
        figure("drone: estimate off by", 100 * abs(expected / minutes - 1), "%", 30, how, -1),
    ]


def _video_figures(runs: Path) -> list[dict[str, Any]]:
    """A walk along the sample's photos, which stand 6 degrees apart, as a slide show."""
    folder = runs / "ingest" / "video"
    folder.mkdir(parents=True, exist_ok=True)
    film = folder / "walk.mp4"
    names = sorted(_truth())[:36]
    if not film.is_file():
        photos = [read_image(ROOT / "data" / "sample" / "photos" / name) for name in names]
        height, width = photos[0].shape[:2]
        with write_video(film, width, height, VIDEO_FPS) as add:
            for photo in photos:
                for _ in range(3):
                    add(photo)
    run = _run(film, folder / "out")
    how = "36 stands, 3 frames each; no further step"
    if run["failed"]:
        return [figure("video: frames placed", None, "%", 95, " ".join(run["said"]))]
    scene = load_scene(folder / "out")
    share = len(scene.photos) / (len(scene.photos) + len(scene.missing))
    return [figure("video: frames placed", 100 * share, "%", 95, how)]


def _suite_figures(name: str, words: tuple[str, ...]) -> list[dict[str, Any]]:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", done.stdout)
    how = f"pytest {' '.join(words)}, {time.monotonic() - start:.0f} s"
    value = int(passed[1]) if passed and done.returncode == 0 else None
    return [figure(name, value, "tests", 1, how)]


def _fuzz_figures() -> list[dict[str, Any]]:
    how = "scripts/fuzz.py --count 20000 --without splat"
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fuzz.py", "--count", "20000", "--without", "splat",
         "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    findings = len(json.loads(done.stdout)["findings"]) if done.stdout else None
    return [figure("damaged images and camera files: findings", findings, "", 0, how, -1)]
