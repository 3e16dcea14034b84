"""COLMAP models, text and binary: cameras, images and points in COLMAP's own frame.

A reader of our own, because a model is user input: sizes are checked against the file before
anything is allocated, and damage becomes a one-line error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splatkit.core import SplatkitError
from splatkit.io.lenses import MODELS, PARAMETER_NAMES, Lens

_MODEL_PLACES = ("sparse", "colmap/sparse", "distorted/sparse")
_NO_POINT = -1
_OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
_MAX_FILE_BYTES = 1 << 34


@dataclass(frozen=True)
class ColmapImage:
    """One registered photo."""

    name: str
    """As stored: relative to the photo folder, forward slashes."""
    camera_id: int
    camera_from_world: np.ndarray
    """[4,4] float64, rigid, OpenCV axes."""
    xys: np.ndarray
    """[M,2] float64 key points that see a point, pixels."""
    point_ids: np.ndarray
    """[M] int64 the points that they see."""


@dataclass(frozen=True)
class ColmapModel:
    """One reconstruction."""

    cameras: dict[int, Lens]
    images: list[ColmapImage]
    """Sorted by name."""
    point_ids: np.ndarray
    """[P] int64."""
    points: np.ndarray
    """[P,3] float64."""
    colors: np.ndarray
    """[P,3] uint8 sRGB."""
    errors: np.ndarray
    """[P] mean reprojection errors, pixels."""
    track_lengths: np.ndarray
    """[P] number of photos that see the point."""

    def errors_seen(self) -> dict[str, np.ndarray]:
        """Errors [S], pixels, of the points that each photo sees, by its name."""
        if not len(self.points):
            return {image.name: np.zeros(0) for image in self.images}
        order = np.argsort(self.point_ids)
        ids, errors = self.point_ids[order], self.errors[order]
        seen = {}
        for image in self.images:
            places = np.searchsorted(ids, image.point_ids).clip(max=len(ids) - 1)
            seen[image.name] = errors[places[ids[places] == image.point_ids]]
        return seen


def find_model(folder: Path) -> Path | None:
    """The folder with a COLMAP model at or below ``folder``, in the places that tools use.

    Of several (``sparse/0``, ``sparse/1``, ...) the one with the largest list of images.
    """
    for place in (folder, *(folder / sub for sub in _MODEL_PLACES)):
        found = [place] if _images_file(place) else []
        if place.is_dir():
            found += sorted(sub for sub in place.iterdir() if sub.is_dir() and _images_file(sub))
        if found:
            return max(found, key=lambda f: _images_file(f).stat().st_size)  # type: ignore[union-attr]
    return None


def read_model(folder: Path) -> ColmapModel:
    """Read the model in a folder (``cameras``, ``images``, ``points3D``; .bin or .txt).

    A model without points3D is read as one without points.

    Raises:
        SplatkitError: a file is missing, damaged, or inconsistent with the others.
    """
    binary = (folder / "images.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    try:
        cameras = (_cameras_bin if binary else _cameras_txt)(_bytes(folder / f"cameras{suffix}"))
        images = (_images_bin if binary else _images_txt)(_bytes(folder / f"images{suffix}"))
        points_file = folder / f"points3D{suffix}"
        data = _bytes(points_file) if points_file.is_file() else None
        points = _points([]) if data is None else (_points_bin if binary else _points_txt)(data)
    except (struct.error, ValueError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise SplatkitError(
            f"{folder}: expected a COLMAP model, got damaged {suffix} files ({error})"
        ) from error
    except SplatkitError as error:
        raise SplatkitError(f"{folder}: {error}") from error
    orphan = next((image for image in images if image.camera_id not in cameras), None)
    if orphan is not None:
        raise SplatkitError(f"{folder}: {orphan.name} names camera {orphan.camera_id}, not listed")
    if len({image.name for image in images}) != len(images):
        raise SplatkitError(f"{folder}: expected each photo once, got one listed twice")
    ids, xyz, colors, errors, lengths = points
    good = np.isfinite(xyz).all(1)
    return ColmapModel(
        cameras, sorted(images, key=lambda image: image.name),
        ids[good], xyz[good], colors[good], errors[good], lengths[good],
    )  # fmt: skip


def _images_file(folder: Path) -> Path | None:
    for suffix in (".bin", ".txt"):
        if (folder / f"images{suffix}").is_file() and (folder / f"cameras{suffix}").is_file():
            return folder / f"images{suffix}"
    return None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise SplatkitError(f"{path.name} is larger than {_MAX_FILE_BYTES >> 30} GiB")
        return path.read_bytes()
    except OSError as error:
        raise SplatkitError(f"{path.name} cannot be read ({error.strerror})") from error


def _image(
    name: str, camera_id: int, quat: np.ndarray, translation: np.ndarray, seen: np.ndarray
) -> ColmapImage:
    """``quat`` wxyz; ``seen`` holds rows of the ``_OBSERVATION`` type."""
    length = float(np.linalg.norm(quat))
    if not (1e-6 < length < 1e6) or not np.isfinite(translation).all() or not name:
        raise ValueError(f"the pose of photo {name[:80]!r} is not one")
    w, x, y, z = quat / length
    pose = np.eye(4)
    pose[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    pose[:3, 3] = translation
    seen = seen[seen["point"] != _NO_POINT]
    return ColmapImage(name, camera_id, pose, seen["xy"].copy(), seen["point"].copy())


class _Cursor:
    """Reads packed values one after another; running over the end is a struct.error."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def skip(self, count: int) -> int:
        """Step over ``count`` bytes and return where they began."""
        begin = self.at
        if count < 0 or begin + count > len(self.data):
            raise ValueError("a list is longer than the file")
        self.at += count
        return begin

    def count(self, least_bytes: int) -> int:
        """A number of records that take at least ``least_bytes`` each."""
        (number,) = self.take("Q")
        if number * least_bytes > len(self.data) - self.at:
            raise ValueError(f"expected {number} records, but the file is too short for them")
        return number


def _cameras_bin(data: bytes) -> dict[int, Lens]:
    cursor = _Cursor(data)
    cameras = {}
    for _ in range(cursor.count(24)):
        camera_id, model, width, height = cursor.take("IiQQ")
        if not 0 <= model < len(MODELS):
            raise ValueError(f"camera model number {model} is unknown")
        count = len(PARAMETER_NAMES[MODELS[model]].split())
        cameras[camera_id] = Lens(MODELS[model], width, height, cursor.take(f"{count}d"))
    return cameras


def _images_bin(data: bytes) -> list[ColmapImage]:
    cursor = _Cursor(data)
    images = []
    for _ in range(cursor.count(73)):
        values = cursor.take("I7dI")
        end = data.index(b"\0", cursor.at)
        name = data[cursor.skip(end + 1 - cursor.at) : end].decode()
        (observations,) = cursor.take("Q")
        begin = cursor.skip(observations * _OBSERVATION.itemsize)
        seen = np.frombuffer(data, _OBSERVATION, observations, begin)
        images.append(_image(name, values[8], np.array(values[1:5]), np.array(values[5:8]), seen))
    return images


_Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _points(rows: list[tuple]) -> _Points:
    """Columns of rows (id, x, y, z, r, g, b, error, track length)."""
    table = np.array([row[1:4] + row[7:8] for row in rows], np.float64).reshape(len(rows), 4)
    return (
        np.array([row[0] for row in rows], np.int64),
        table[:, :3],
        np.array([row[4:7] for row in rows], np.uint8).reshape(len(rows), 3),
        table[:, 3],
        np.array([row[8] for row in rows], np.int64),
    )


def _points_bin(data: bytes) -> _Points:
    cursor = _Cursor(data)
    rows = []
    for _ in range(cursor.count(51)):
        row = cursor.take("q3d3BdQ")
        cursor.skip(row[8] * 8)
        rows.append(row)
    return _points(rows)


def _lines(data: bytes) -> list[str]:
    return [line for line in data.decode("utf-8-sig").splitlines() if not line.startswith("#")]


def _cameras_txt(data: bytes) -> dict[int, Lens]:
    cameras = {}
    for line in _lines(data):
        words = line.split()
        if words:
            params = tuple(map(float, words[4:]))
            cameras[int(words[0])] = Lens(words[1], int(words[2]), int(words[3]), params)
    return cameras


def _images_txt(data: bytes) -> list[ColmapImage]:
    """Two lines a photo; the second one, with its key points, may be empty."""
    lines = _lines(data)
    while lines and not lines[0].strip():
        lines.pop(0)
    images = []
    for i in range(0, len(lines), 2):
        words = lines[i].split(maxsplit=9)
        if len(words) != 10:
            raise ValueError(f"expected 10 words about a photo, got {len(words)}")
        numbers = np.array(words[1:8], np.float64)
        points = np.array(lines[i + 1].split() if i + 1 < len(lines) else [], np.float64)
        table = points.reshape(-1, 3)
        seen = np.empty(len(table), _OBSERVATION)
        seen["xy"] = table[:, :2]
        with np.errstate(invalid="ignore"):
            seen["point"] = table[:, 2].astype(np.int64)
        images.append(_image(words[9].strip(), int(words[8]), numbers[:4], numbers[4:7], seen))
    return images


def _points_txt(data: bytes) -> _Points:
    rows = []
    for line in _lines(data):
        words = line.split()
        if words:
            color = tuple(min(255, max(0, int(word))) for word in words[4:7])
            xyz = tuple(map(float, words[1:4]))
            error, length = float(words[7]), (len(words) - 8) // 2
            rows.append((int(words[0]), *xyz, *color, error, length))
    return _points(rows)
