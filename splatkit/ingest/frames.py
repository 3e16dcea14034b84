"""A video as a folder of photos: frames chosen by how far the camera moved, and by sharpness.

Frames at even times pile up where the camera rested and miss what it passed quickly. Here the
picture's motion is followed through the video; the path is cut into pieces of equal motion, and of
each piece the sharpest frame is taken.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from splatkit.core import Event, Note, Progress, SplatkitError
from splatkit.ingest.look import look_at_photo
from splatkit.io.files import read_json, write_json
from splatkit.io.images import write_image
from splatkit.io.video_frames import VideoFrame, read_video, read_video_info

STEP = 0.06
"""Motion between two frames that are taken, as a share of the picture's long side."""
FEWEST, MOST = 24, 200
"""Frames of one video, where it has as many."""
CHOICE_FILE = "frames.json"
_LONG_SIDE = 640
_QUALITY = 95
_CORNERS = 120


@dataclass(frozen=True)
class _Glance:
    """What a quick look at one frame says."""

    moved: float
    """Since the frame before, as a share of the long side."""
    blur: float


def extract_frames(
    videos: list[Path], out: Path, wanted: int | None
) -> Generator[Event, None, list[str]]:
    """Choose frames of videos and write them as JPEG files.

    What an earlier call with the same videos wrote is used again.

    Args:
        videos: the files.
        out: folder for the frames and the list of them.
        wanted: number of frames of each video; None lets the motion decide.

    Returns:
        The frames' names in ``out``, sorted.

    Raises:
        SplatkitError: a video cannot be read, or has no frames.
    """
    state = {"videos": [_identity(path) for path in videos], "wanted": wanted}
    listed = out / CHOICE_FILE
    if listed.is_file():
        told = read_json(listed)
        if told["state"] == state and all((out / name).is_file() for name in told["names"]):
            return list(told["names"])
    names: list[str] = []
    for number, path in enumerate(videos):
        prefix = f"{path.stem}_" if len(videos) > 1 else ""
        names += yield from _extract(path, out, f"{prefix}frame_", number, wanted)
    write_json(listed, {"state": state, "names": sorted(names)})
    return sorted(names)


def choose_frames(moved: np.ndarray, blur: np.ndarray, wanted: int | None) -> list[int]:
    """Indices of the frames to take.

    Args:
        moved: [F] motion since the frame before, as a share of the picture's long side.
        blur: [F] blur of each frame.
        wanted: how many; None lets the motion decide.
    """
    count = len(moved)
    path = np.cumsum(moved)
    total = float(path[-1]) if count else 0.0
    pieces = wanted or int(np.clip(round(total / STEP), FEWEST, MOST))
    if count <= pieces:
        return list(range(count))
    if total <= 0:
        return np.unique(np.linspace(0, count - 1, pieces).round().astype(int)).tolist()
    # A little of the time is mixed in, so that a piece without motion is not without frames.
    share = 0.9 * path / total + 0.1 * np.arange(1, count + 1) / count
    piece = np.minimum((share * pieces).astype(int), pieces - 1)
    return [int(i) for i in _sharpest(piece, blur)]


def _sharpest(piece: np.ndarray, blur: np.ndarray) -> list[int]:
    """The least blurred frame of each piece, preferring its middle among equals."""
    chosen = []
    for k in np.unique(piece):
        mine = np.flatnonzero(piece == k)
        off = np.abs(mine - mine.mean()) / max(len(mine), 1)
        chosen.append(int(mine[(blur[mine] + 0.05 * off).argmin()]))
    return chosen


def _extract(
    path: Path, out: Path, prefix: str, number: int, wanted: int | None
) -> Generator[Event, None, list[str]]:
    info = read_video_info(path)
    moved, blur = [], []
    before: np.ndarray | None = None
    for frame in read_video(path, long_side=_LONG_SIDE):
        glance = _glance(frame, before)
        before = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
        moved.append(glance.moved)
        blur.append(glance.blur)
        if len(moved) % 10 == 0:
            yield Progress("Looking at the video", len(moved), info.frames or None, path.name)
    chosen = set(choose_frames(np.array(moved), np.array(blur), wanted))
    if not chosen:
        raise SplatkitError(f"{path}: expected a video, got a file without frames")
    kind = ", HDR made standard" if info.hdr else ""
    yield Note(
        f"{path.name}: {len(moved)} frames of {info.width}x{info.height}{kind}; the {len(chosen)} "
        "sharpest along the camera's way are taken"
    )
    names = []
    for frame in read_video(path, keep=lambda index: index in chosen):
        name = f"{prefix}{frame.index:06d}.jpg"
        if not (out / name).is_file():
            write_image(out / name, frame.pixels, _QUALITY)
        names.append(name)
        yield Progress("Taking frames", len(names), len(chosen), name)
    return names


def _glance(frame: VideoFrame, before: np.ndarray | None) -> _Glance:
    look = look_at_photo(frame.pixels)
    moved = 0.0
    if before is not None:
        gray = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
        moved = _motion(before, gray) / max(gray.shape)
    return _Glance(moved, look.blur)


def _motion(before: np.ndarray, after: np.ndarray) -> float:
    """Median distance in pixels that corners moved (pyramidal Lucas-Kanade)."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, 8)
    if corners is None or before.shape != after.shape:
        return 0.0
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)  # type: ignore[call-overload]
    good = status.ravel() > 0
    if good.sum() < 8:
        # Nothing could be followed: the picture changed altogether.
        return 0.5 * max(before.shape)
    return float(np.median(np.linalg.norm((found - corners).reshape(-1, 2)[good], axis=1)))


def _identity(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"name": path.name, "bytes": stat.st_size, "modified": stat.st_mtime_ns}
