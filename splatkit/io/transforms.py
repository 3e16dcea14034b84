"""``transforms.json``: cameras as nerfstudio, instant-ngp and Blender exporters write them.

Each frame has a camera-to-world matrix with OpenGL camera axes (x right, y up, z backward).
Here they become camera_from_world with OpenCV axes, in the file's own world frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import SplatkitError
from splatkit.io.files import read_json
from splatkit.io.images import SUFFIXES, read_info
from splatkit.io.lenses import Lens

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_SPLITS = ("train", "test", "val")


@dataclass(frozen=True)
class Frame:
    """One photo with its camera."""

    name: str
    """Path relative to the file's folder, forward slashes."""
    path: Path
    mask_path: Path | None
    lens: Lens
    camera_from_world: np.ndarray
    """[4,4] float64, rigid, OpenCV axes."""
    split: str | None
    """"train", "test", "val", or None when the file makes no split."""


def find_transforms(path: Path) -> list[tuple[Path, str | None]]:
    """The transforms files of a folder (or the file itself) with the split each stands for."""
    if path.is_file():
        return [(path, _split_of(path))] if path.suffix.lower() == ".json" else []
    split = [(path / f"transforms_{name}.json", name) for name in _SPLITS]
    found: list[tuple[Path, str | None]] = [(file, name) for file, name in split if file.is_file()]
    whole = path / "transforms.json"
    # A whole file beside the parts would list their photos a second time.
    return found or ([(whole, None)] if whole.is_file() else [])


def read_frames(path: Path) -> tuple[list[Frame], list[str]]:
    """Read all frames of a folder or file.

    Where there is a test split, the val split is left out, as is the custom of this format.

    Returns:
        Frames sorted by name, and the names of frames whose photo does not exist.

    Raises:
        SplatkitError: a file is damaged or none of its photos exists.
    """
    files = find_transforms(path)
    if any(split == "test" for _, split in files):
        files = [(file, split) for file, split in files if split != "val"]
    frames: dict[str, Frame] = {}
    missing: list[str] = []
    for file, split in files:
        told = read_json(file)
        listed = told.get("frames") if isinstance(told, dict) else None
        if not isinstance(listed, list) or not listed:
            raise SplatkitError(f"{file}: expected a list of frames, got none")
        splits = _named_splits(told)
        for i, entry in enumerate(listed):
            try:
                photo = _photo_of(file.parent, str(entry["file_path"]))
                name = str(entry["file_path"]).removeprefix("./")
                if photo is None:
                    missing.append(name)
                    continue
                frame = _frame(file.parent, photo, {**told, **entry}, split or splits.get(name))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise SplatkitError(
                    f"{file}: frame {i}: expected file_path and a 4x4 transform_matrix "
                    f"({type(error).__name__}: {error})"
                ) from error
            except SplatkitError as error:
                raise SplatkitError(f"{file}: frame {i}: {error}") from error
            frames[frame.name] = frame
    if not frames:
        raise SplatkitError(
            f"{path}: expected photos beside the file, but none of the {len(missing)} frames has "
            "one; put the photos where file_path says"
        )
    return [frames[name] for name in sorted(frames)], sorted(set(missing))


def _split_of(file: Path) -> str | None:
    name = file.stem.removeprefix("transforms_")
    return name if name in _SPLITS else None


def _named_splits(told: dict[str, Any]) -> dict[str, str]:
    """nerfstudio's own lists of file names for each split."""
    splits = {}
    for split in _SPLITS:
        names = told.get(f"{split}_filenames") or []
        if not isinstance(names, list):
            raise SplatkitError(f"{split}_filenames: expected a list of file names")
        splits.update({str(name).removeprefix("./"): split for name in names})
    return splits


def _photo_of(folder: Path, file_path: str) -> Path | None:
    """The photo that ``file_path`` means: with or without its suffix, with / or \\."""
    if "\0" in file_path or len(file_path) > 4096:
        raise ValueError("file_path is not a path")
    path = folder / file_path.replace("\\", "/")
    try:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            return path
        for suffix in (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".webp", ".exr"):
            candidate = path.with_name(path.name + suffix)
            if candidate.is_file():
                return candidate
    except OSError as error:
        raise ValueError(f"file_path is not a path ({error.strerror})") from error
    return None


def _frame(folder: Path, photo: Path, told: dict[str, Any], split: str | None) -> Frame:
    mask = _photo_of(folder, str(told["mask_path"])) if told.get("mask_path") else None
    try:
        name = photo.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        name = photo.as_posix()
    matrix = np.array(told["transform_matrix"], np.float64)
    return Frame(name, photo, mask, _lens(told, photo), _camera_from_world(matrix), split)


def _camera_from_world(matrix: np.ndarray) -> np.ndarray:
    """Invert a camera-to-world matrix, its rotation made exact."""
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise ValueError("transform_matrix is not a finite 4x4 matrix")
    linear = matrix[:3, :3]
    length = abs(float(np.linalg.det(linear))) ** (1 / 3)
    if not (1e-6 < length < 1e6) or not np.isfinite(matrix[:3, 3]).all():
        raise ValueError("transform_matrix has no inverse")
    u, _, vt = np.linalg.svd(linear / length)
    rotation = u @ vt
    if np.abs(rotation - linear / length).max() > 0.01 or np.linalg.det(rotation) < 0:
        raise ValueError("transform_matrix is not a rotation")
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ matrix[:3, 3]
    return _FLIP @ pose


def _lens(told: dict[str, Any], photo: Path) -> Lens:
    size = told.get("w"), told.get("h")
    if None in size:
        info = read_info(photo)
        size = info.width, info.height
    width, height = int(float(size[0])), int(float(size[1]))  # type: ignore[arg-type]
    angle_x, angle_y = told.get("camera_angle_x"), told.get("camera_angle_y")
    fx = told.get("fl_x") or (angle_x and 0.5 * width / math.tan(0.5 * float(angle_x)))
    fy = told.get("fl_y") or (angle_y and 0.5 * height / math.tan(0.5 * float(angle_y))) or fx
    fx = fx or fy
    if not fx or not fy:
        raise SplatkitError("expected fl_x or camera_angle_x, got neither")
    center = told.get("cx", width / 2), told.get("cy", height / 2)
    base = tuple(map(float, (fx, fy, *center)))

    def given(*names: str) -> tuple[float, ...]:
        return tuple(float(told.get(name) or 0) for name in names)

    model = str(told.get("camera_model", "OPENCV"))
    if model in ("OPENCV_FISHEYE", "FISHEYE") or told.get("is_fisheye"):
        return Lens("OPENCV_FISHEYE", width, height, base + given("k1", "k2", "k3", "k4"))
    if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL",
                     "FULL_OPENCV", "PERSPECTIVE"):  # fmt: skip
        raise SplatkitError(f"expected a perspective or fisheye camera_model, got {model!r}")
    if any(given("k3", "k4", "k5", "k6")):
        k = given("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
        return Lens("FULL_OPENCV", width, height, base + k)
    return Lens("OPENCV", width, height, base + given("k1", "k2", "p1", "p2"))
