"""Opening what a user points at: a run folder or a scene file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from splatkit.core import Cameras, Gaussians, Photo, SplatkitError, UsageError, camera_of
from splatkit.io import read_gaussians
from splatkit.io.scene import SCENE_FILE, load_scene
from splatkit.io.sog import META_NAME
from splatkit.train.behind import trained_scene
from splatkit.train.run_folder import RunFolder


@dataclass(frozen=True)
class OpenScene:
    """A scene ready to be shown, and the photos that it was made from, where they are known."""

    name: str
    file: Path
    """The file that the Gaussians were read from."""
    gaussians: Gaussians
    photos: list[Photo] = field(default_factory=list)
    """Sorted by name; empty for a scene file alone."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """sRGB behind the scene."""
    run: Path | None = None
    """The run folder, or None for a scene file alone."""

    def cameras(self, width: int, height: int) -> Cameras | None:
        """The photos' cameras as one float64 batch of that size; None where there are none."""
        if not self.photos:
            return None
        views = [camera_of(photo, width, height) for photo in self.photos]
        return Cameras(
            torch.cat([view.viewmats for view in views]),
            torch.cat([view.Ks for view in views]),
            width,
            height,
        )


def open_scene(path: Path | str) -> OpenScene:
    """Read a scene from a run folder, a scene file, or a folder of SOG pictures.

    Raises:
        UsageError: there is nothing at that path.
        SplatkitError: it holds no trained scene, or a damaged one.
    """
    path = Path(path)
    file = scene_file(path)
    gaussians = read_gaussians(file)
    name = path.resolve().name if path.is_dir() else path.stem
    folder = RunFolder(path)
    if file != folder.ply:
        return OpenScene(name, file, gaussians)
    if not (folder.scene / SCENE_FILE).is_file():
        return OpenScene(name, file, gaussians, run=path)
    known = folder.told_options() is not None
    scene = trained_scene(folder)[0] if known else load_scene(folder.scene)
    background = scene.background or (0.0, 0.0, 0.0)
    return OpenScene(name, file, gaussians, scene.photos, background, path)


def scene_file(path: Path) -> Path:
    """The file that holds the Gaussians of a run folder, a folder of SOG pictures, or itself.

    Raises:
        UsageError: there is nothing at that path.
        SplatkitError: a folder holds no trained scene.
    """
    if not path.exists():
        raise UsageError(f"{path}: expected a run folder or a scene file, found nothing there")
    if not path.is_dir():
        return path
    folder = RunFolder(path)
    described = path / META_NAME
    if described.is_file() and not folder.ply.is_file():
        return described
    if not folder.ply.is_file():
        has_state = folder.checkpoints.is_dir() and any(folder.checkpoints.iterdir())
        hint = (
            f"finish it with: splatkit train --resume -o {path}"
            if has_state
            else "make one with: splatkit train PHOTOS -o RUN"
        )
        raise SplatkitError(
            f"{path}: expected a run folder with exports/{folder.ply.name}, found none; {hint}"
        )
    return folder.ply


def load(path: Path | str) -> Gaussians:
    """The Gaussians of a run folder or a scene file, in the world frame; see ``open_scene``."""
    return open_scene(path).gaussians
