"""Structure from motion as the rest of splatkit sees it: photos in, trusted cameras out."""

from __future__ import annotations

import json
import os
import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import Event, Note, Progress, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.judge import Pair, Verdict, judge, without
from splatkit.ingest.sources import Cameras, Posed
from splatkit.io.colmap import ColmapModel, read_model
from splatkit.io.files import link_or_copy, write_json
from splatkit.io.images import (
    PhotoInfo,
    fit_within,
    read_image,
    read_info,
    resize_area,
    write_image,
)

_DEFAULT_FOCAL = 1.2
"""Focal length over the long side where EXIF says nothing: what phones have."""
_MANY_PHOTOS = 150
_FEW_LOST = 0.05
"""Share of a large set that may be lost before all of it is searched again."""
_MAPPER = Path(__file__).with_name("_mapper.py")
_MAPPERS = ("incremental", "global")
_HEARTBEAT_SECONDS = 1.0
_FEWEST = 3
_SHOOT = (
    "take photos from many positions, each overlapping the last by two thirds, of a scene that "
    "holds still and has texture"
)


@dataclass(frozen=True)
class _Prepared:
    name: str
    copy: str
    """Name in the work folder."""
    info: PhotoInfo
    width: int
    """Of the copy."""
    height: int


def place_cameras(
    folder: Path, names: list[str], work: Path, config: IngestConfig
) -> Generator[Event, None, Cameras]:
    """Find the cameras of photos by structure from motion.

    Args:
        folder: where the photos are.
        names: the photos, relative to ``folder``, sorted.
        work: folder for what has to survive an interruption; made where missing.
        config: sizes, numbers of features, threads, seed.

    Returns:
        Cameras in the frame and scale that the reconstruction happened to choose.

    Raises:
        SplatkitError: too few photos, nothing placed, or the mapper ended unexpectedly.
    """
    missing: dict[str, str] = {}
    prepared = yield from _prepare(folder, names, work / "photos", config, missing)
    if len(prepared) < _FEWEST:
        raise SplatkitError(
            f"{folder}: expected at least {_FEWEST} readable photos of one scene, got "
            f"{len(prepared)}; 20 or more are needed for a good result: {_SHOOT}"
        )
    if len(prepared) > _MANY_PHOTOS:
        count = len(prepared) * (len(prepared) - 1) // 2
        yield Note(f"{len(prepared)} photos make {count} pairs to match: this takes its time")
    best = yield from _reconstruct(work / "plain", prepared, config, None)
    lost = len(prepared) - len(best.verdict.trusted) if best else len(prepared)
    if lost and (len(prepared) <= _MANY_PHOTOS or lost > _FEW_LOST * len(prepared)):
        yield Note(f"Photos without a sure place: {lost}; looking closer, which takes longer")
        best = yield from _reconstruct(work / "fine", prepared, config, best)
    if best is None or len(best.verdict.trusted) < _FEWEST:
        raise SplatkitError(
            f"none of the {len(prepared)} photos could be placed: they share too few details; "
            f"{_SHOOT}"
        )
    return _cameras(folder, prepared, best, missing)


@dataclass(frozen=True)
class _Candidate:
    """A reconstruction and what speaks for it."""

    model: ColmapModel
    verdict: Verdict
    pairs: list[Pair]


def _reconstruct(
    folder: Path, prepared: list[_Prepared], config: IngestConfig, best: _Candidate | None
) -> Generator[Event, None, _Candidate | None]:
    """One attempt, plain or fine as the folder is called; its best model if better than ``best``.

    Fine features (SIFT with affine shapes and pooled over scales) match across wider angles and
    take five times as long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "cameras": _groups(prepared),
        "max_features": config.max_features,
        "fine": folder.name == "fine",
        "threads": config.threads or os.cpu_count() or 1,
        "seed": config.seed,
    }
    write_json(folder / "job.json", job)
    yield from _run_child(folder)
    pairs = _read_pairs(folder / "database.db")
    report = []
    models = [found for name in _MAPPERS for found in sorted(folder.glob(f"{name}/*/images.bin"))]
    for images in models:
        model = read_model(images.parent)
        verdict = judge(model, pairs)
        yield Progress("Checking cameras", len(verdict.trusted), len(prepared), images.parts[-3])
        report.append(
            {
                "model": f"{images.parts[-3]}/{images.parts[-2]}",
                "photos": len(model.images),
                "trusted": len(verdict.trusted),
                "points": len(model.points),
                "mean_error_pixels": float(model.errors.mean()) if len(model.errors) else None,
                "agreeing_matches": verdict.agreeing,
                "doubted": verdict.doubted,
            }
        )
        # Of equals the first: the incremental mapper's errors are smaller.
        if best is None or len(verdict.trusted) > len(best.verdict.trusted):
            best = _Candidate(model, verdict, pairs)
    write_json(folder / "models.json", report)
    return best


def _prepare(
    folder: Path, names: list[str], copies: Path, config: IngestConfig, missing: dict[str, str]
) -> Generator[Event, None, list[_Prepared]]:
    """Upright 8-bit copies of a size for feature detection; ``missing`` collects the others."""
    copies.mkdir(parents=True, exist_ok=True)
    prepared = []

    def prepare(name: str) -> _Prepared | SplatkitError:
        try:
            return _copy(folder, name, copies, config.max_image_size)
        except _UnreadableError as error:
            return error

    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        try:
            for i, (name, result) in enumerate(zip(names, pool.map(prepare, names), strict=True)):
                if isinstance(result, _Prepared):
                    prepared.append(result)
                else:
                    missing[name] = "cannot be read"
                    yield Note(f"left out: {result}", warning=True)
                yield Progress("Reading photos", i + 1, len(names), name)
        finally:
            pool.shutdown(cancel_futures=True)
    return prepared


class _UnreadableError(SplatkitError):
    """One photo is at fault, not the work as a whole."""


def _copy(folder: Path, name: str, copies: Path, longest: int) -> _Prepared:
    source = folder / name
    try:
        info = read_info(source)
        width, height = fit_within(info.width, info.height, longest)
        same = info.plain and (width, height) == (info.width, info.height)
        copy = name if source.suffix.lower() in (".jpg", ".jpeg", ".png") else f"{name}.jpg"
        # The mapper's lists of pairs are separated by blanks.
        copy = copy.replace(" ", "%20")
        target = copies / copy
        # Reading every photo here finds the damaged ones before an hour of work.
        image = None if target.is_file() else read_image(source)
    except SplatkitError as error:
        raise _UnreadableError(str(error)) from error
    if image is not None:
        if same:
            link_or_copy(source, target)
        else:
            write_image(target, resize_area(_opaque(image), width, height))
    return _Prepared(name, copy, info, width, height)


def _opaque(image: np.ndarray) -> np.ndarray:
    """[H,W,3]: transparent pixels become white, whatever colour hides under them."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.round(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _groups(prepared: list[_Prepared]) -> list[dict[str, Any]]:
    """Photos of one lens and setting share a camera, as far as EXIF can tell."""
    groups: dict[tuple, dict[str, Any]] = {}
    for photo in prepared:
        info = photo.info
        known = info.focal is not None
        focal = (info.focal or 0) * photo.width / info.width
        key = (info.width, info.height, info.camera, round(focal, 1))
        group = groups.setdefault(
            key,
            {
                "width": photo.width,
                "height": photo.height,
                "focal": focal if known else _DEFAULT_FOCAL * max(photo.width, photo.height),
                "focal_known": known,
                "names": [],
            },
        )
        group["names"].append(photo.copy)
    return list(groups.values())


def _run_child(work: Path) -> Generator[Event, None, None]:
    """Run the mapper and pass its progress on, at least once in ``_HEARTBEAT_SECONDS``."""
    log = work / "mapper.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            # -P keeps the names of our modules out of the way of others.
            [sys.executable, "-P", str(_MAPPER), str(work / "job.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Ctrl-C in the terminal is ours alone to answer.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            yield from _listen(child)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
    if child.returncode != 0:
        raise SplatkitError(_obituary(child.returncode, work, log))


def _listen(child: subprocess.Popen[bytes]) -> Generator[Event, None, None]:
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def forward() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=forward, daemon=True).start()
    last: Progress | None = None
    since = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=_HEARTBEAT_SECONDS)
        except queue.Empty:
            if last is not None:
                waited = f"{time.monotonic() - since:.0f} s"
                yield Progress(last.stage, last.done, last.total, waited)
            continue
        if line is None:
            child.wait()
            return
        try:
            stage, done, total, detail = json.loads(line)
        except ValueError:
            continue  # a library printed something
        last, since = Progress(stage, done, total, detail), time.monotonic()
        yield last


def _obituary(code: int, work: Path, log: Path) -> str:
    if shutil.disk_usage(work).free < 1 << 24:
        return f"{work}: the disk is full; free some space and run the same command again"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = f": {lines[-1][-160:].strip()}" if lines else ""
    if code in (-9, 137):
        reason = ": it was killed, perhaps for want of memory (fewer --max-features help)"
    return (
        f"structure from motion ended unexpectedly (code {code}){reason}; the same command goes "
        f"on from the last finished stage, {log} has the details"
    )


def _read_pairs(database: Path) -> list[Pair]:
    """The verified matches that the mapper worked from, read without its library."""
    with sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True) as connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        points = {
            number: np.frombuffer(data, np.float32).reshape(rows, cols)[:, :2]
            for number, rows, cols, data in connection.execute(
                "SELECT image_id, rows, cols, data FROM keypoints WHERE rows > 0"
            )
        }
        pairs = []
        for number, rows, data in connection.execute(
            "SELECT pair_id, rows, data FROM two_view_geometries WHERE rows > 0"
        ):
            # COLMAP's numbering of pairs.
            first, second = divmod(number, 2147483647)
            matches = np.frombuffer(data, np.uint32).reshape(rows, 2)
            pairs.append(
                Pair(
                    names[first],
                    names[second],
                    points[first][matches[:, 0]],
                    points[second][matches[:, 1]],
                )
            )
    return pairs


def _cameras(
    folder: Path, prepared: list[_Prepared], best: _Candidate, missing: dict[str, str]
) -> Cameras:
    """Trusted photos at their own size; ``missing`` is completed with reasons."""
    model = without(best.model, best.verdict.doubted.keys())
    placed = {image.name: image for image in model.images}
    matched: dict[str, int] = {}
    for pair in best.pairs:
        for name in (pair.first, pair.second):
            matched[name] = matched.get(name, 0) + len(pair.xy_first)
    posed = []
    for photo in prepared:
        image = placed.get(photo.copy)
        if image is None:
            few = matched.get(photo.copy, 0) < 30
            reason = "too few matches with other photos" if few else "does not fit the others"
            missing[photo.name] = best.verdict.doubted.get(photo.copy, reason)
            continue
        lens = model.cameras[image.camera_id].resized(photo.info.width, photo.info.height)
        posed.append(
            Posed(photo.name, folder / photo.name, lens, image.camera_id, image.camera_from_world)
        )
    return Cameras(posed, model.points, model.colors, dict(sorted(missing.items())))
