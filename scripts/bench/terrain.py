"""A flight over hills that never were: a drone's photos with GPS, their cameras known."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (480, 360)
FOCAL = 400.0
HEIGHT = 60.0
"""Of the flight over the ground, metres."""
GPS_NOISE = 1.5
"""Metres, standard deviation across; twice that in height."""
LATITUDE, LONGITUDE, GROUND = 47.42, 10.98, 820.0
_PIXELS_PER_METRE = 8.0
_SIDE = 6144
"""Pixels after which the land repeats itself: more than a flight of 40 columns sees, because
no mapper can tell two places apart that look the same."""
_HILLS = 8.0
_STEPS = 12


def fly(folder: Path, rows: int, columns: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Write ``rows * columns`` JPEGs that overlap by about three quarters.

    Returns:
        Photo name -> [4,4] camera_from_world; the world is east, north, up in metres.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    step = np.array([SIZE[0], SIZE[1]]) * HEIGHT / FOCAL * (0.22, 0.28)
    poses = {}
    for row in range(rows):
        for k in range(columns):
            # There and back, as pilots fly.
            column = k if row % 2 == 0 else columns - 1 - k
            place = np.array([column * step[0], row * step[1], HEIGHT]) + chance.normal(0, 0.6, 3)
            name = f"DJI_{row * columns + k:04d}.jpg"
            tilt = chance.normal(0, math.radians(4), 3)
            tilt[0] += math.radians(12)
            pose = _camera(place, tilt)
            poses[name] = pose
            noisy = place + chance.normal(0, GPS_NOISE, 3) * (1, 1, 2)
            Image.fromarray(photograph(pose)).save(folder / name, quality=90, exif=_exif(noisy))
    return poses


def photograph(pose: np.ndarray) -> np.ndarray:
    """[H,W,3] uint8 photo of the hills by a camera_from_world [4,4]."""
    width, height = SIZE
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack(((u - width / 2) / FOCAL, (v - height / 2) / FOCAL, np.ones_like(u)), -1)
    rays = rays @ pose[:3, :3]
    eye = -pose[:3, :3].T @ pose[:3, 3]
    ground = np.zeros_like(u)
    for _ in range(_STEPS):
        hit = eye + rays * ((ground - eye[2]) / rays[..., 2])[..., None]
        # Half steps: hills are no steeper than the rays.
        ground = 0.5 * ground + 0.5 * _sample(_relief(), hit)
    return np.round(_sample(_cover(), hit)).astype(np.uint8)


def _camera(place: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    turns = [cv2.Rodrigues(np.eye(3)[axis] * tilt[axis])[0] for axis in range(3)]
    pose = np.eye(4)
    pose[:3, :3] = turns[0] @ turns[1] @ turns[2] @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = -pose[:3, :3] @ place
    return pose


def _sample(picture: np.ndarray, hit: np.ndarray) -> np.ndarray:
    at = (hit[..., :2] * _PIXELS_PER_METRE).astype(np.float32)
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _noise(seed: int, cells: tuple[int, ...], weights: tuple[float, ...], size: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for count, weight in zip(cells, weights, strict=True):
        values = chance.random((count, count)).astype(np.float32)
        # Wrapped at the borders, so that the land goes on for ever.
        wide = np.pad(values, 4, mode="wrap")
        margin = round(4 * size / count)
        large = cv2.resize(wide, (size + 2 * margin,) * 2, interpolation=cv2.INTER_CUBIC)
        total += weight * large[margin : margin + size, margin : margin + size]
    return (total - total.min()) / (total.max() - total.min())


@cache
def _relief() -> np.ndarray:
    return _HILLS * _noise(0, (24, 72), (1.0, 0.25), _SIDE)


@cache
def _cover() -> np.ndarray:
    """Fields, paths and stones."""
    channels = [
        _noise(seed, (96, 384, 1536, 3072), (1.0, 0.8, 0.8, 0.5), _SIDE) for seed in (1, 2, 3)
    ]
    return np.stack(channels, -1) * (220, 235, 190) + 15


def _exif(metres: np.ndarray) -> Image.Exif:
    latitude = LATITUDE + math.degrees(metres[1] / 6_370_000)
    longitude = LONGITUDE + math.degrees(metres[0] / (6_385_000 * math.cos(math.radians(LATITUDE))))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "splatkit", "virtual drone"
    equivalent = FOCAL * math.hypot(36, 24) / math.hypot(*SIZE)
    exif.get_ifd(0x8769)[0xA405] = round(equivalent)
    exif.get_ifd(0x8825).update(
        {1: "N", 2: _sexagesimal(latitude), 3: "E", 4: _sexagesimal(longitude), 5: b"\0",
         6: float(GROUND + metres[2])}
    )  # fmt: skip
    return exif


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    whole, rest = divmod(degrees * 60, 1)
    return whole // 60, whole % 60, round(rest * 60, 5)
