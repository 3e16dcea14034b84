"""The one function that turns photos into a scene."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from splatkit.core import Event, Note, SplatkitError, UsageError
from splatkit.ingest.build import IMAGES, MASKS, build_scene
from splatkit.ingest.capture import Capture, examine
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.frames import extract_frames
from splatkit.ingest.mapping import place_cameras
from splatkit.ingest.metres import check_scale_options
from splatkit.ingest.placing import PLACING_FILE
from splatkit.ingest.report_part import REPORT_FILE, write_report
from splatkit.ingest.sources import Cameras, Source, find_source
from splatkit.ingest.split import choose_held_out
from splatkit.io.camera_files import write_cameras
from splatkit.io.files import LOCK_FILE, alone_at, read_json, remove_leftovers, write_json
from splatkit.io.scene import POINTS_FILE, SCENE_FILE, load_scene

STATE_FILE = "ingest.json"
WORK = "work"
FRAMES = "frames"
_COSTLY = ("model", "max_image_size", "max_features", "seed")
"""Settings that the cameras depend on; others leave what was computed in force."""


def ingest(
    source: Path | str, out: Path | str, config: IngestConfig | None = None
) -> Generator[Event, None, Path]:
    """Turn photos into a scene folder.

    Work that an earlier call with the same photos and settings finished is used again; a call
    that was stopped goes on at the stage where it stopped.

    Args:
        source: a folder of photos, a video, a COLMAP project, or a folder or file of
            transforms.json.
        out: the scene folder to make.
        config: what can be set.

    Returns:
        ``out``, for ``splatkit.io.scene.load_scene``.

    Raises:
        SplatkitError: the photos cannot become a scene; the message says what to do.
    """
    source, out, config = Path(source), Path(out), config or IngestConfig()
    try:
        found = find_source(source, config)
    except OSError as error:
        raise SplatkitError(f"{source}: cannot be read ({error.strerror})") from error
    _claim(out)
    with alone_at(out, out / LOCK_FILE):
        yield from _ingested(found, out, config)
    return out


def _ingested(found: Source, out: Path, config: IngestConfig) -> Generator[Event, None, None]:
    """A scene whose folder is its own."""
    if found.videos:
        found = yield from _frames(found, out, config)
    check_scale_options(config.scale_distance, config.marker, found.names)
    held_out = choose_held_out(found.names, config, found.held_out)
    state = _state(found, held_out, config)
    if _is_current(out, state):
        yield Note(f"{out}: the scene is there already and its photos have not changed")
        return
    yield Note(_what_was_found(found))
    cameras = found.cameras
    if cameras is None:
        cameras = yield from place_cameras(found, out / WORK, config)
    yield from build_scene(cameras, held_out, out, config)
    scene = load_scene(out)
    for name, reason in scene.missing.items():
        yield Note(f"not placed: {name} ({reason})", warning=True)
    if scene.missing_held_out:
        yield Note(
            f"{len(scene.missing_held_out)} of the {len(held_out)} photos held out for evaluation "
            "could not be placed and are not replaced by others",
            warning=True,
        )
    for path in write_cameras(scene, out, config.write_cameras):
        yield Note(f"Cameras written to {path}")
    write_report(out)  # the last file: with it the scene is finished
    yield Note(
        f"Scene: {len(scene.photos)} of {len(found.names)} photos, {len(scene.points)} points, "
        f"{len(scene.held_out_photos)} held out"
    )


def check(
    source: Path | str, config: IngestConfig | None = None, place: Path | str = "."
) -> Generator[Event, None, Capture]:
    """Look at photos and say what they are like, before any work is done on them.

    Args:
        source: what ``ingest`` would be given; of a video its chosen frames are looked at.
        config: what ``ingest`` would be told.
        place: where the scene would be written.

    Raises:
        SplatkitError: there are no photos at ``source``.
    """
    source, config = Path(source), config or IngestConfig()
    found = find_source(source, config)
    if not found.videos:
        return (yield from examine(found.folder, found.names, config, Path(place)))
    with tempfile.TemporaryDirectory(prefix="splatkit-frames-") as folder:
        names = yield from extract_frames(found.videos, Path(folder), config.frames)
        return (yield from examine(Path(folder), names, config, Path(place)))


def _frames(found: Source, out: Path, config: IngestConfig) -> Generator[Event, None, Source]:
    """The video as a source of photos: its chosen frames."""
    names = yield from extract_frames(found.videos, out / FRAMES, config.frames)
    return Source("video", out / FRAMES, names, videos=found.videos)


def _what_was_found(found: Source) -> str:
    words = [f"Found {len(found.names)} {'frames' if found.videos else 'photos'}"]
    if found.masks:
        words.append(f"with masks for {len(found.masks)} of them")
    if found.cameras is None:
        return f"{' '.join(words)}; where they were taken is computed"
    masked = sum(posed.mask_path is not None for posed in found.cameras.posed)
    words += [f"with masks for {masked} of them and"] if masked else ["with"]
    return f"{' '.join(words)} cameras from a {found.kind}"


def _claim(out: Path) -> None:
    """Make sure that ``out`` is new or ours, and ours from now on."""
    if (out / STATE_FILE).is_file():
        return
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: expected a new folder or one made by splatkit, got another one")
    write_json(out / STATE_FILE, {})


def _state(found: Source, held_out: frozenset[str], config: IngestConfig) -> dict[str, Any]:
    """All that the result depends on, in values that JSON can hold.

    Where the photos and the scene lie is not among it: folders may be moved.
    """
    files = []
    for name in (*found.names, *found.masks.values()):
        path = found.folder / name
        # A frame of transforms.json may be named outside the folder or not exist.
        stat = path.stat() if path.is_file() else None
        files.append([str(name), stat.st_size, stat.st_mtime_ns] if stat else [str(name)])
    settings = {
        name: str(value) if isinstance(value, Path | tuple) else value
        for name, value in dataclasses.asdict(config).items()
        if name not in ("threads", "split", "test_every", *_COSTLY)
    }
    return {
        "work": {
            "kind": found.kind,
            "photos": files,
            "cameras": _digest(found.cameras) if found.cameras is not None else None,
            "settings": {name: str(getattr(config, name)) for name in _COSTLY},
        },
        "held_out": sorted(held_out),
        "settings": settings,
    }


def _digest(cameras: Cameras) -> str:
    """What cameras that came with the photos say, in short."""
    digest = hashlib.sha256()
    for posed in cameras.posed:
        digest.update(repr((posed.name, posed.lens, posed.upright)).encode())
        digest.update(posed.camera_from_source.tobytes())
    digest.update(cameras.points.tobytes())
    return digest.hexdigest()


def _is_current(out: Path, state: dict[str, Any]) -> bool:
    """Whether ``out`` holds the finished scene; makes it ready for the work otherwise."""
    file = out / STATE_FILE
    before = read_json(file)
    if before == state:
        remove_leftovers(out)
        return (out / SCENE_FILE).is_file() and (out / REPORT_FILE).is_file()
    for name in (SCENE_FILE, POINTS_FILE, PLACING_FILE, REPORT_FILE):
        (out / name).unlink(missing_ok=True)
    same_work = before.get("work") == state["work"]
    for name in (IMAGES, MASKS) if same_work else (IMAGES, MASKS, WORK):
        shutil.rmtree(out / name, ignore_errors=True)
    write_json(file, state)
    return False
