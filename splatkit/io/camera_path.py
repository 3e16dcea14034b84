"""Camera paths as nerfstudio's viewer saves them (``camera_path.json``).

One JSON object: ``camera_path`` lists views, each with ``camera_to_world`` (16 numbers, row by
row, OpenGL axes: x right, y up, z backward) and ``fov`` (vertical, degrees); ``render_width``,
``render_height`` and ``fps`` hold for all. Positions are in the frame of the scene that the path
was made for, which is that of a PLY exported from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatkit.core import Cameras, SplatkitError, intrinsics
from splatkit.io.files import read_json

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
    return CameraPath(
        Cameras(
            torch.from_numpy(np.stack([matrix for matrix, _ in cameras])),
            torch.stack([intrinsics(focal, focal, width / 2, height / 2) for _, focal in cameras]),
            width,
            height,
        ),
        fps,
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
