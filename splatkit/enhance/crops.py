"""A picture of the same detail by every mode, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from splatkit.enhance.bench import USUAL, BenchOptions, Subject
from splatkit.export import OpenScene
from splatkit.io.files import atomic_path
from splatkit.render import get_backend
from splatkit.render.paths import circle
from splatkit.render.pictures import to_bytes
from splatkit.train.metrics import psnr

SIDE, MAGNIFIED = 96, 2
"""Pixels of a detail, and how often each is repeated."""
LABEL = 18
"""Height of the words below, pixels."""


def write_crops(scenes: Sequence[OpenScene], options: BenchOptions, path: Path) -> None:
    """Write one row a scene, at the largest ratio: the plain render, then every mode.

    The detail is the one where plain bicubic enlargement is furthest from the plain render.
    """
    ratio = max(options.ratios)
    modes = [USUAL, *options.modes]
    cell = SIDE * MAGNIFIED
    sheet = Image.new("RGB", (cell * (len(modes) + 1), (cell + LABEL) * len(scenes)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, scene in enumerate(scenes):
        backend = get_backend(options.backend)
        gaussians = scene.gaussians.to(backend.device)
        background = gaussians.means.new_tensor(scene.background)
        subject = Subject(gaussians, background, backend, options.network)
        views = scene.cameras(options.width, options.height)
        if views is None:
            views = circle(scene.gaussians, 12, options.width, options.height)
        camera = views[len(views) // 2 :][:1].to(torch.float32).to(backend.device)
        truth = subject.plain(camera)
        pictures = {mode: subject.upscaled(mode, ratio)(camera).clone() for mode in modes}
        y, x = _hardest(pictures[USUAL], truth)
        for column, (name, picture) in enumerate({"plain render": truth, **pictures}.items()):
            piece = picture[y : y + SIDE, x : x + SIDE]
            detail = Image.fromarray(to_bytes(piece).cpu().numpy())
            place = (column * cell, row * (cell + LABEL))
            sheet.paste(detail.resize((cell, cell), Image.Resampling.NEAREST), place)
            score = "" if column == 0 else f" {psnr(picture.clamp(0, 1), truth.clamp(0, 1)):.1f} dB"
            pen.text((place[0] + 3, place[1] + cell + 2), f"{name}{score}", "black", font)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _hardest(picture: Tensor, truth: Tensor) -> tuple[int, int]:
    """Corner (y, x) of the detail with the largest error."""
    error = (picture - truth).square().sum(-1).cpu()
    sums = torch.nn.functional.avg_pool2d(error[None, None], SIDE, stride=SIDE // 2)[0, 0]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(y) * SIDE // 2, int(x) * SIDE // 2
