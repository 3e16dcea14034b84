"""Camera paths as nerfstudio's viewer saves them (``camera_path.json``).

One JSON object: ``camera_path`` lists views, each with ``camera_to_world`` (16 numbers, row by
row, OpenGL axes: x right, y up, z backward) and ``fov`` (vertical, degrees); ``render_width``,
``render_height`` and ``fps`` hold for all. Positions are in the frame of the scene that the path
was made for, which is that of a PLY exported from there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatkit.core import Cameras, SplatkitError, intrinsics
from splatkit.io.files import read_json, write_text

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_MAX_VIEWS = 100_000
_MAX_SIDE = 32_768
_USUAL_FPS = 30.0


@dataclass(frozen=True)
class CameraPath:
    """A walk through a scene."""

    cameras: Cameras
    """float64, in the order of the walk."""
    fps: float
    """Views a second."""
    keyframes: Cameras | None = None
    """float64; the views that the walk was made from, where they are known."""
    loop: bool = False
    """Whether the walk goes on from its end to its beginning."""


def read_camera_path(path: Path) -> CameraPath:
    """Read a camera path.

    Raises:
        SplatkitError: the file is missing, damaged, or no camera path of perspective views.
    """
    told = read_json(path)
    views = told.get("camera_path") if isinstance(told, dict) else None
    if not isinstance(views, list) or not 0 < len(views) <= _MAX_VIEWS:
        raise SplatkitError(
            f"{path}: expected a camera path as nerfstudio saves it, with 1 to {_MAX_VIEWS} views "
            "in camera_path"
        )
    kind = told.get("camera_type", "perspective")
    if kind != "perspective":
        raise SplatkitError(f"{path}: expected perspective views, got {str(kind)[:40]!r}")
    try:
        width, height = (_side(told[name]) for name in ("render_width", "render_height"))
        fps = float(told.get("fps", _USUAL_FPS))
        cameras = [_view(view, width, height) for view in views]
    except (KeyError, TypeError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise SplatkitError(
            f"{path}: expected render_width, render_height and views of camera_to_world and fov "
            f"({type(error).__name__}: {str(error)[:100]})"
        ) from error
    if not (math.isfinite(fps) and fps > 0):
        raise SplatkitError(f"{path}: expected a positive fps, got {fps}")
    keyframes = _keyframes(path, told, width, height)
    whole = _batch(cameras, width, height)
    return CameraPath(whole, fps, keyframes, told.get("is_cycle") is True)


def write_camera_path(walk: CameraPath, path: Path) -> None:
    """Write a camera path as nerfstudio's viewer does; it opens there, too."""
    write_text(path, dumps(walk))


def dumps(walk: CameraPath) -> str:
    """The text of a camera path's file."""
    cameras = walk.cameras
    document = {
        "camera_type": "perspective",
        "render_width": cameras.width,
        "render_height": cameras.height,
        "fps": walk.fps,
        "seconds": len(cameras) / walk.fps,
        "is_cycle": walk.loop,
        "keyframes": [
            {"matrix": matrix, "fov": fov, "aspect": cameras.width / cameras.height}
            for matrix, fov in _told(walk.keyframes)
        ],
        "camera_path": [
            {"camera_to_world": matrix, "fov": fov, "aspect": cameras.width / cameras.height}
            for matrix, fov in _told(cameras)
        ],
    }
    return json.dumps(document)


def _told(cameras: Cameras | None) -> list[tuple[list[float], float]]:
    """camera_to_world row by row, OpenGL axes, and the vertical field of view in degrees."""
    if cameras is None:
        return []
    matrices = np.linalg.inv(cameras.viewmats.double().numpy()) @ _FLIP
    focals = cameras.Ks[:, 1, 1].double().numpy()
    fovs = np.degrees(2 * np.arctan(0.5 * cameras.height / focals))
    return [
        (matrix.flatten().tolist(), float(fov)) for matrix, fov in zip(matrices, fovs, strict=True)
    ]


def _keyframes(path: Path, told: dict[str, Any], width: int, height: int) -> Cameras | None:
    """The views that a walk was made from; None where the file has none."""
    views = told.get("keyframes")
    if not isinstance(views, list) or not views:
        return None
    fov = told.get("default_fov")
    try:
        found = [
            _view({"camera_to_world": view["matrix"], "fov": view.get("fov") or fov}, width, height)
            for view in views[:_MAX_VIEWS]
        ]
    except (KeyError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
        raise SplatkitError(
            f"{path}: expected keyframes of matrix and fov "
            f"({type(error).__name__}: {str(error)[:100]})"
        ) from error
    return _batch(found, width, height)


def _batch(views: list[tuple[np.ndarray, float]], width: int, height: int) -> Cameras:
    return Cameras(
        torch.from_numpy(np.stack([matrix for matrix, _ in views])),
        torch.stack([intrinsics(focal, focal, width / 2, height / 2) for _, focal in views]),
        width,
        height,
    )


def _side(value: Any) -> int:
    side = int(value)
    if not 1 <= side <= _MAX_SIDE:
        raise ValueError(f"a side of {side} pixels")
    return side


def _view(view: dict[str, Any], width: int, height: int) -> tuple[np.ndarray, float]:
    """camera_from_world [4,4] with OpenCV axes, and the focal length in pixels."""
    matrix = np.array(view["camera_to_world"], np.float64).reshape(4, 4)
    axes, fov = matrix[:3, :3], math.radians(float(view["fov"]))
    scale = np.cbrt(np.linalg.det(axes))
    rigid = np.abs(axes @ axes.T / scale**2 - np.eye(3)).max() < 1e-3 if scale > 1e-6 else False
    if not (np.isfinite(matrix).all() and rigid and 0 < fov < math.pi):
        raise ValueError("a view is no turned and moved camera with a fov of 0 to 180 degrees")
    # Viewers scale and round the axes; the nearest rotation is what is meant.
    left, _, right = np.linalg.svd(axes)
    world_from_camera = matrix.copy()
    world_from_camera[:3, :3], world_from_camera[3] = left @ right, (0, 0, 0, 1)
    return np.linalg.inv(world_from_camera @ _FLIP), height / 2 / math.tan(fov / 2)
