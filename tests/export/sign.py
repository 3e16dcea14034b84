"""A sign of Gaussians: letters that read from left to right, red at the left, blue at the right."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.core.transforms import look_at
from splatkit.render import render
from splatkit.render.backends import Backend

WIDTH, HEIGHT = 320, 240
FOV = 50.0
"""Vertical, degrees."""
DISTANCE = 3.0
WORD = "LEFT"


def sign(degree: int = 1) -> Gaussians:
    """The word upright in the world's plane z = 0, about 2 wide, read by who looks along +z."""
    picture = Image.new("L", (64, 24))
    ImageDraw.Draw(picture).text((6, 1), WORD, font=ImageFont.load_default(20), fill=255)
    rows, columns = np.nonzero(np.asarray(picture) > 128)
    right = torch.from_numpy((columns - 31.5) / 32)
    down = torch.from_numpy((rows - 11.5) / 32)
    means = torch.stack((right, down, torch.zeros_like(right)), 1).float()
    share = ((means[:, :1] + 1) / 2).clamp(0, 1)
    ends = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.2, 0.9]])
    colors = ends[0] * (1 - share) + ends[1] * share
    count = len(means)
    sh = torch.zeros(count, (degree + 1) ** 2, 3)
    sh[:, 0] = sh_from_rgb(colors)
    if degree:
        # Less green seen from the front than from behind: harmonics that are misread show.
        sh[:, 2, 1] = -0.3
    log_scales = torch.tensor([0.02, 0.02, 0.005]).log().repeat(count, 1)
    # A quarter turn about the view turns nothing but the order of the scales.
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1)
    return Gaussians(means, quats, log_scales, torch.full((count,), 3.0), sh)


def camera() -> Cameras:
    """In front of the sign, upright, looking along +z."""
    focal = 0.5 * HEIGHT / math.tan(math.radians(FOV) / 2)
    eye = torch.tensor([[0.0, 0, -DISTANCE]], dtype=torch.float64)
    up = torch.tensor([[0.0, -1, 0]], dtype=torch.float64)
    viewmats = look_at(eye, torch.zeros_like(eye), up)
    K = intrinsics(focal, focal, WIDTH / 2, HEIGHT / 2)
    return Cameras(viewmats, K[None], WIDTH, HEIGHT).to(torch.float32)


def picture_of(gaussians: Gaussians, backend: str | Backend = "auto") -> np.ndarray:
    """[H,W,3] 0..1 of what our rasterizer shows."""
    with torch.no_grad():
        return render(gaussians, camera(), backend=backend).rgb[0].clamp(0, 1).numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels between two pictures of values 0..1."""
    return float(-10 * np.log10(np.mean((a - b) ** 2)))
