"""A corner of a room with patterned walls, photographed by cameras whose places are known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from splatkit.core.transforms import look_at

SIZE = (400, 300)
FOCAL = 380.0
_PIXELS_PER_UNIT = 220


def cameras(count: int) -> np.ndarray:
    """[count,4,4] camera_from_room; the floor is z = 0 and the walls are x = 0 and y = 0."""
    angle = torch.linspace(0.25, 1.3, count, dtype=torch.float64)
    height = 1.6 + 0.3 * torch.sin(7 * angle)
    eyes = torch.stack((3.4 * torch.cos(angle), 3.4 * torch.sin(angle), height), 1)
    target = torch.tensor([0.7, 0.7, 0.6], dtype=torch.float64).expand_as(eyes)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand_as(eyes)
    return look_at(eyes, target, up).numpy()


def photograph(pose: np.ndarray, k1: float = 0.0) -> np.ndarray:
    """[H,W,3] uint8 photo by a camera of ``FOCAL`` pixels (SIMPLE_RADIAL when ``k1`` is set)."""
    width, height = SIZE
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = (u - width / 2) / FOCAL, (v - height / 2) / FOCAL
    if k1:
        bent_x, bent_y = x, y
        for _ in range(20):
            factor = 1 + k1 * (x * x + y * y)
            x, y = bent_x / factor, bent_y / factor
    rays = np.stack((x, y, np.ones_like(x)), -1) @ pose[:3, :3]
    eye = -pose[:3, :3].T @ pose[:3, 3]
    with np.errstate(divide="ignore"):
        distance = np.where(rays < 0, -eye / rays, np.inf)
    wall = distance.argmin(-1)
    hits = eye + rays * distance.min(-1)[..., None]
    image = np.zeros((height, width, 3), np.uint8)
    for axis in range(3):
        across, along = (hits[..., i].astype(np.float32) for i in range(3) if i != axis)
        seen = cv2.remap(
            pattern(axis), across * _PIXELS_PER_UNIT, along * _PIXELS_PER_UNIT, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        image[wall == axis] = seen[wall == axis]
    return image


def write_photos(folder: Path, count: int, k1: float = 0.0) -> np.ndarray:
    """Write JPEGs 00.jpg, 01.jpg, ...; returns the cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    poses = cameras(count)
    for i, pose in enumerate(poses):
        Image.fromarray(photograph(pose, k1)).save(folder / f"{i:02d}.jpg", quality=97)
    return poses


@cache
def pattern(seed: int) -> np.ndarray:
    """[1024,1024,3] noise of several sizes: much to detect, and no two places alike."""
    generator = np.random.default_rng(seed)
    total = np.zeros((1024, 1024, 3), np.float32)
    for cells in (16, 48, 128, 256):
        noise = generator.random((cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    return ((total - low) / (high - low) * 255).astype(np.uint8)
