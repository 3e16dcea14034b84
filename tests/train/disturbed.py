"""Photos spoiled on purpose: exposure and white balance that vary, and somebody who walks by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from splatkit.core import Scene
from splatkit.io.images import read_image, write_image


def with_varied_exposure(scene: Scene, folder: Path, seed: int = 0) -> Scene:
    """Training photos with a gain of their own for each channel; the held-out ones stay.

    Gains are up to 1.35 (a stop in linear light is 1.37 in sRGB) and their geometric mean over the
    photos is 1, so that the scene's own look stays the one of the held-out photos.
    """
    count = len(scene.training_photos)
    gains = iter(varied_gains(count, seed))

    def spoil(pixels: np.ndarray) -> np.ndarray:
        return np.clip(np.round(pixels * next(gains)), 0, 255).astype(np.uint8)

    return _rewritten(scene, folder, [True] * count, spoil)


def varied_gains(count: int, seed: int = 0) -> np.ndarray:
    """[count,3] float32 factors of the channels of so many photos."""
    chance = np.random.default_rng(seed)
    logs = chance.uniform(-0.2, 0.2, (count, 1)) + chance.uniform(-0.1, 0.1, (count, 3))
    return np.exp(logs - logs.mean(0)).astype(np.float32)


def with_passer_by(scene: Scene, folder: Path, seed: int = 0) -> Scene:
    """A striped figure in every third training photo, each time in another place and colour."""
    chance = np.random.default_rng(seed)

    def spoil(pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        spoiled = pixels.copy()
        size = max(2, round(0.09 * width)), max(2, round(0.24 * height))
        place = (
            int(chance.integers(size[0], width - size[0])),
            int(chance.integers(size[1], height - size[1])),
        )
        figure = np.zeros((height, width), np.uint8)
        cv2.ellipse(figure, place, size, 0, 0, 360, 255, -1)
        colours = chance.integers(0, 256, (2, 3))
        stripes = (np.arange(height) // max(1, height // 12) % 2)[:, None, None]
        painted = np.where(stripes, colours[0], colours[1])
        return np.where(figure[..., None] > 0, painted, spoiled).astype(np.uint8)

    chosen = [index % 3 == 1 for index in range(len(scene.training_photos))]
    return _rewritten(scene, folder, chosen, spoil)


def _rewritten(scene: Scene, folder: Path, chosen: list[bool], spoil) -> Scene:
    wanted = iter(chosen)
    photos = []
    for photo in scene.photos:
        if not photo.held_out and next(wanted):
            path = folder / f"{len(photos):04d}.png"
            write_image(path, spoil(read_image(photo.path)[..., :3]))
            photo = replace(photo, path=path)
        photos.append(photo)
    return replace(scene, photos=photos)
