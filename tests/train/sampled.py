"""The sample photos with their true cameras, and points of the true surface, as a Scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import Photo, Scene, intrinsics
from splatkit.io.images import read_image

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def sample_scene(points: int = 3000) -> Scene:
    """All photos, every eighth held out, and points as structure from motion might find them."""
    truth = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
    K = intrinsics(truth["fx"], truth["fy"], truth["cx"], truth["cy"])
    size = truth["width"], truth["height"]
    photos = [
        Photo(
            frame["name"],
            SAMPLE / "photos" / frame["name"],
            *size,
            torch.tensor(frame["viewmat"], dtype=torch.float64),
            K,
            held_out=index % 8 == 0,
        )
        for index, frame in enumerate(truth["frames"])
    ]
    chance = np.random.default_rng(0)
    seen, colors = [], []
    for photo in photos[1::6]:
        depth = read_depth(photo.name)
        row = chance.integers(0, depth.shape[0], points // 6)
        column = chance.integers(0, depth.shape[1], points // 6)
        z = torch.tensor(depth[row, column])
        d = truth["depth"]["divisor"]
        pixels = torch.tensor(np.stack(((column + 0.5) * d, (row + 0.5) * d, row * 0 + 1.0), -1))
        local = z[:, None] * (pixels @ torch.linalg.inv(K).mT)
        linear, shift = photo.viewmat[:3, :3], photo.viewmat[:3, 3]
        seen.append((local - shift) @ linear)
        image = read_image(photo.path)
        colors.append(torch.tensor(image[row * d + d // 2, column * d + d // 2, :3]) / 255)
    return Scene(photos, torch.cat(seen).float(), torch.cat(colors).float())


def read_depth(name: str) -> np.ndarray:
    """[H/3,W/3] true depth of a photo in metres; 0 where nothing is."""
    path = SAMPLE / "truth" / "depth" / Path(name).with_suffix(".png").name
    return np.asarray(Image.open(path)).astype(float) / 1000.0
