"""A ``Scene`` as a folder: ``scene.json``, ``points.npz`` and the undistorted photos.

``scene.json`` is written last and makes the folder complete: a folder without it is unfinished
work. Paths inside the folder are stored relative to it, so that it can be moved.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import Photo, Scene, SplatkitError
from splatkit.io.files import atomic_path, read_json, write_json

SCENE_FILE = "scene.json"
POINTS_FILE = "points.npz"
_FORMAT = "splatkit scene 1"


def save_scene(scene: Scene, folder: Path) -> Path:
    """Write a scene's description into a folder (its photos are already on the disk).

    Returns:
        The folder.
    """
    folder = Path(folder)
    with atomic_path(folder / POINTS_FILE) as temporary:
        np.savez(temporary, points=scene.points.numpy(), colors=scene.point_colors.numpy())
    write_json(
        folder / SCENE_FILE,
        {
            "format": _FORMAT,
            "photos": [_photo_to_json(photo, folder) for photo in scene.photos],
            "source_from_world": scene.source_from_world.tolist(),
            "missing": scene.missing,
            "missing_held_out": scene.missing_held_out,
            "background": scene.background,
            "metric": scene.metric,
            "enu_from_world": None
            if scene.enu_from_world is None
            else scene.enu_from_world.tolist(),
            "enu_origin": scene.enu_origin,
            "color_space": scene.color_space,
        },
    )
    return folder


def load_scene(folder: Path | str) -> Scene:
    """Read a scene's description and check it; pixels stay on the disk.

    Raises:
        SplatkitError: a file is missing or damaged, or a value makes no sense.
    """
    folder = Path(folder)
    path = folder / SCENE_FILE
    if not path.is_file():
        raise SplatkitError(f"{folder}: expected a scene folder with {SCENE_FILE}, found none")
    told = read_json(path)
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise SplatkitError(f"{path}: expected a scene of the format {_FORMAT!r}")
    try:
        photos = [_photo_from_json(photo, folder) for photo in told["photos"]]
        background = told["background"]
        # Scenes of earlier versions do not know of the globe.
        enu, origin = told.get("enu_from_world"), told.get("enu_origin")
        source_from_world = _matrix(told["source_from_world"], 4)
        scene_fields: dict[str, Any] = {
            "missing": {str(k): str(v) for k, v in told["missing"].items()},
            "missing_held_out": [str(name) for name in told["missing_held_out"]],
            "background": None if background is None else _three(background),
            "metric": bool(told["metric"]),
            "enu_from_world": None if enu is None else _matrix(enu, 4),
            "enu_origin": None if origin is None else _three(origin),
            "color_space": str(told["color_space"]),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SplatkitError(f"{path}: damaged ({type(error).__name__}: {error})") from error
    points, colors = _load_points(folder / POINTS_FILE)
    return Scene(photos, points, colors, source_from_world, **scene_fields)


def _photo_to_json(photo: Photo, folder: Path) -> dict[str, Any]:
    return {
        "name": photo.name,
        "path": _relative(photo.path, folder),
        "width": photo.width,
        "height": photo.height,
        "viewmat": photo.viewmat.tolist(),
        "K": photo.K.tolist(),
        "camera_id": photo.camera_id,
        "held_out": photo.held_out,
        "mask_path": None if photo.mask_path is None else _relative(photo.mask_path, folder),
        "exposure": photo.exposure,
        "gps": photo.gps,
    }


def _photo_from_json(told: dict[str, Any], folder: Path) -> Photo:
    mask, gps, exposure = told["mask_path"], told["gps"], told["exposure"]
    photo = Photo(
        name=str(told["name"]),
        path=folder / told["path"],
        width=int(told["width"]),
        height=int(told["height"]),
        viewmat=_matrix(told["viewmat"], 4),
        K=_matrix(told["K"], 3),
        camera_id=int(told["camera_id"]),
        held_out=bool(told["held_out"]),
        mask_path=None if mask is None else folder / mask,
        exposure=None if exposure is None else float(exposure),
        gps=None if gps is None else _three(gps),
    )
    if photo.width < 1 or photo.height < 1 or float(photo.K.diagonal().min()) <= 0:
        raise ValueError(f"photo {photo.name}: size and focal length must be positive")
    rotation = photo.viewmat[:3, :3]
    if not torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64), atol=1e-6):
        raise ValueError(f"photo {photo.name}: viewmat is not rigid")
    for path in (photo.path, photo.mask_path):
        if path is not None and not path.is_file():
            raise SplatkitError(f"{path}: no such file, but the scene needs it; run ingest again")
    return photo


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    if not all(map(math.isfinite, (first, second, third))):
        raise ValueError(f"expected finite numbers, got {values}")
    return first, second, third


def _matrix(rows: Any, size: int) -> Tensor:
    matrix = torch.tensor(rows, dtype=torch.float64)
    if matrix.shape != (size, size) or not torch.isfinite(matrix).all():
        raise ValueError(f"expected a finite {size}x{size} matrix, got {rows}")
    return matrix


def _load_points(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as data:
            points, colors = data["points"], data["colors"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SplatkitError(f"{path}: cannot be read ({error}); run ingest again") from error
    if points.ndim != 2 or points.shape[1:] != (3,) or points.shape != colors.shape:
        raise SplatkitError(f"{path}: expected points and colors [P,3], got {points.shape}")
    return torch.from_numpy(points.astype(np.float32)), torch.from_numpy(colors.astype(np.float32))
