"""The sample photo set as Gaussians: one for every few pixels of a photo, at its true depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import Gaussians
from splatkit.core.sh import sh_from_rgb
from tests.export.sign import DISTANCE

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
TRUTH = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
PHOTO = 20
STEP = 16
"""Pixels of the photo from one Gaussian to the next."""
SIZE = 0.45
"""Standard deviation as a share of that."""


def sample_cloud() -> Gaussians:
    """What one photo shows, seen from its camera at ``tests.export.sign.camera``'s place."""
    name = TRUTH["frames"][PHOTO]["name"]
    photo = Image.open(SAMPLE / "photos" / name).convert("RGB")
    depth_file = SAMPLE / "truth" / "depth" / Path(name).with_suffix(".png").name
    width, height = photo.width // STEP, photo.height // STEP
    depth = Image.open(depth_file).resize((width, height), Image.Resampling.NEAREST)
    z = torch.from_numpy(np.asarray(depth, np.float32) * TRUTH["depth"]["unit_metres"])
    colors = np.asarray(photo.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = ((columns + 0.5) * STEP - TRUTH["cx"]) / TRUTH["fx"] * z
    y = ((rows + 0.5) * STEP - TRUTH["cy"]) / TRUTH["fy"] * z
    seen = (z > 0).flatten()
    z = z.flatten()[seen]
    means = torch.stack((x.flatten()[seen], y.flatten()[seen], z - DISTANCE), 1)
    count = len(means)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=(SIZE * STEP / TRUTH["fx"] * z).log()[:, None].repeat(1, 3),
        logit_opacities=torch.full((count,), 4.0),
        sh=sh_from_rgb(torch.from_numpy(colors).view(-1, 1, 3)[seen]),
    )
