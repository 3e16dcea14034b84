"""Cameras of a scene for other programs: TUM trajectories, COLMAP text models, transforms.json.

All are in the scene's own frame (x right, y down, z forward), of the undistorted photos.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from splatkit.core import Photo, Scene, camera_of
from splatkit.core.transforms import quat_from_rotation
from splatkit.io.files import write_json, write_text

CameraForm = Literal["tum", "colmap", "transforms"]


def write_cameras(scene: Scene, folder: Path, forms: tuple[CameraForm, ...]) -> list[Path]:
    """Write ``cameras.tum.txt``, ``sparse/0`` or ``transforms.json`` into a scene's folder.

    Args:
        scene: the cameras; its photos should lie in ``folder`` or below it.
        folder: where to write; paths of photos are relative to it.
        forms: which files.

    Returns:
        What was written.
    """
    return [_WRITERS[form](scene, folder) for form in dict.fromkeys(forms)]


def _write_tum(scene: Scene, folder: Path) -> Path:
    """One line a photo: number, camera centre, world_from_camera quaternion as x y z w."""
    lines = ["# number tx ty tz qx qy qz qw"]
    for i, photo in enumerate(scene.photos):
        w, x, y, z = quat_from_rotation(photo.viewmat[:3, :3].mT).tolist()
        center = camera_of(photo).positions[0].tolist()
        lines.append(f"{i} " + " ".join(f"{value:.9f}" for value in (*center, x, y, z, w)))
    write_text(folder / "cameras.tum.txt", "\n".join(lines) + "\n")
    return folder / "cameras.tum.txt"


def _write_colmap(scene: Scene, folder: Path) -> Path:
    """A model as 3DGS trainers expect it; points have no tracks, which scenes do not keep."""
    lenses: dict[tuple, int] = {}
    images = []
    for i, photo in enumerate(scene.photos, 1):
        lens = (photo.width, photo.height, *_intrinsics(photo))
        number = lenses.setdefault(lens, len(lenses) + 1)
        quat = quat_from_rotation(photo.viewmat[:3, :3]).tolist()
        pose = " ".join(f"{value:.12g}" for value in (*quat, *photo.viewmat[:3, 3].tolist()))
        name = _relative(photo.path, folder / "images")
        images.append(f"{i} {pose} {number} {name}\n\n")
    cameras = [
        f"{number} PINHOLE {lens[0]} {lens[1]} {' '.join(f'{v:.12g}' for v in lens[2:])}\n"
        for lens, number in lenses.items()
    ]
    colors = (scene.point_colors * 255).round().to(torch.uint8).numpy()
    points = [
        f"{i} {x:.9g} {y:.9g} {z:.9g} {r} {g} {b} 0\n"
        for i, ((x, y, z), (r, g, b)) in enumerate(
            zip(scene.points.tolist(), colors.tolist(), strict=True), 1
        )
    ]
    place = folder / "sparse" / "0"
    write_text(place / "cameras.txt", "".join(cameras))
    write_text(place / "points3D.txt", "".join(points))
    write_text(place / "images.txt", "".join(images))
    return place


def _write_transforms(scene: Scene, folder: Path) -> Path:
    """nerfstudio's form: OpenGL camera axes, intrinsics of each frame."""
    frames: list[dict[str, Any]] = []
    for photo in scene.photos:
        fx, fy, cx, cy = _intrinsics(photo)
        matrix = np.linalg.inv(photo.viewmat.numpy()) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frame = {
            "file_path": _relative(photo.path, folder),
            "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": photo.width, "h": photo.height,
            "transform_matrix": matrix.tolist(),
        }  # fmt: skip
        if photo.mask_path is not None:
            frame["mask_path"] = _relative(photo.mask_path, folder)
        frames.append(frame)
    splits = {
        f"{split}_filenames": [
            _relative(photo.path, folder) for photo in scene.photos if photo.held_out == held_out
        ]
        for split, held_out in (("train", False), ("test", True))
    }
    write_json(folder / "transforms.json", {"camera_model": "PINHOLE", "frames": frames, **splits})
    return folder / "transforms.json"


_WRITERS: dict[CameraForm, Callable[[Scene, Path], Path]] = {
    "tum": _write_tum,
    "colmap": _write_colmap,
    "transforms": _write_transforms,
}


def _intrinsics(photo: Photo) -> tuple[float, float, float, float]:
    K = photo.K
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
