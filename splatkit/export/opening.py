"""Opening what a user points at: a run folder or a scene file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from splatkit.core import Cameras, Gaussians, Photo, SplatkitError, UsageError, camera_of
from splatkit.io import read_gaussians
from splatkit.io.scene import SCENE_FILE, load_scene
from splatkit.io.sog import META_NAME
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
    if not path.exists():
        raise UsageError(f"{path}: expected a run folder or a scene file, found nothing there")
    if not path.is_dir():
        return OpenScene(path.stem, path, read_gaussians(path))
    folder = RunFolder(path)
    described = path / META_NAME
    if described.is_file() and not folder.ply.is_file():
        return OpenScene(path.resolve().name, described, read_gaussians(described))
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
    gaussians = read_gaussians(folder.ply)
    name = path.resolve().name
    if not (folder.scene / SCENE_FILE).is_file():
        return OpenScene(name, folder.ply, gaussians, run=path)
    scene = load_scene(folder.scene)
    background = scene.background or (0.0, 0.0, 0.0)
    return OpenScene(name, folder.ply, gaussians, scene.photos, background, path)


def load(path: Path | str) -> Gaussians:
    """The Gaussians of a run folder or a scene file, in the world frame; see ``open_scene``."""
    return open_scene(path).gaussians
