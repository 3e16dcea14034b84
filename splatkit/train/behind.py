"""What stands behind a scene in training, and so in every picture of it."""

from __future__ import annotations

from dataclasses import replace

from splatkit.core import Scene
from splatkit.io.scene import load_scene
from splatkit.train.config import TrainConfig, config_of
from splatkit.train.run_folder import RunFolder

BEHIND_MASKS = (1.0, 1.0, 1.0)
"""sRGB colour behind photos that masks make transparent."""


def as_configured(scene: Scene, config: TrainConfig) -> Scene:
    """The scene before the background that the options ask for, or that cut-out photos need."""
    if config.given_background is not None:
        return replace(scene, background=config.given_background)
    cut_out = config.masks == "transparent" and any(p.mask_path for p in scene.photos)
    if not cut_out or scene.background is not None:
        return scene
    return replace(scene, background=BEHIND_MASKS)


def trained_scene(folder: RunFolder) -> tuple[Scene, TrainConfig]:
    """A finished run's photos and cameras before the background that training had, and how it took
    the photos.

    Raises:
        SplatkitError: the folder tells neither.
    """
    config = config_of(folder.options())
    return as_configured(load_scene(folder.scene), config), config
