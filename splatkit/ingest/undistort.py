"""Photos as an ideal pinhole camera would have taken them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from splatkit.core import SplatkitError
from splatkit.io.lenses import Lens

_NEGLIGIBLE_PIXELS = 0.1
_WIDEST = math.tan(math.radians(60))
"""Pinholes are cut at 120 degrees; beyond it pixels only stretch."""
_LARGEST = 1.5
"""The pinhole photo is at most this many times as wide and high as the original."""
_NEWTON_STEPS = 30
_STILL = 1e-12
"""Moves that are no longer worth another step."""


@dataclass(frozen=True)
class Pinhole:
    """The target of an undistortion."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def K(self) -> np.ndarray:  # noqa: N802  the field's own name
        """[3,3] float64 intrinsics."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


class Undistortion:
    """Turns photos of one lens into pinhole photos of the same focal length.

    The pinhole's border is the largest upright rectangle inside the undistorted photo, so that
    every pixel shows something; where that cannot be had (``mask``), the blank ones are marked.
    """

    def __init__(self, lens: Lens) -> None:
        fx, fy, cx, cy = lens.focal_and_center
        self.lens = lens
        whole = Pinhole(lens.width, lens.height, fx, fy, cx, cy)
        self.needed = _displacement(lens, whole) > _NEGLIGIBLE_PIXELS
        """False where the photo is as good as a pinhole's already."""
        self.pinhole = _inner_rectangle(lens, whole) if self.needed else whole
        self.mask: np.ndarray | None = None
        """[H,W] uint8, 255 where the photo has a pixel; None where it has all."""
        if self.needed:
            u, v = _source_pixels(lens, self.pinhole)
            # Half a pixel of extrapolation at the border is invisible; more is blank.
            inside = (u > -0.5) & (u < lens.width + 0.5) & (v > -0.5) & (v < lens.height + 0.5)
            if not inside.any():
                raise SplatkitError(
                    f"camera {lens.model}: its distortion leaves nothing of the photo"
                )
            self.mask = None if inside.all() else np.where(inside, 255, 0).astype(np.uint8)
            # cv2 counts from the centre of the first pixel.
            self._maps = (u - 0.5).astype(np.float32), (v - 0.5).astype(np.float32)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The pinhole photo of [H,W,...] uint8."""
        if image.shape[:2] != (self.lens.height, self.lens.width):
            raise SplatkitError(
                f"expected a photo of {self.lens.width}x{self.lens.height} as its camera says, "
                f"got {image.shape[1]}x{image.shape[0]}"
            )
        if not self.needed:
            return image
        turned = cv2.remap(
            image, *self._maps, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        if self.mask is not None:
            turned[self.mask == 0] = 0
        return turned


def _source_pixels(lens: Lens, pinhole: Pinhole) -> tuple[np.ndarray, np.ndarray]:
    """[H,W] photo coordinates of the pinhole's pixel centres."""
    x = (np.arange(pinhole.width) + 0.5 - pinhole.cx) / pinhole.fx
    y = (np.arange(pinhole.height) + 0.5 - pinhole.cy) / pinhole.fy
    return lens.project(*np.meshgrid(x, y))


def _displacement(lens: Lens, pinhole: Pinhole) -> float:
    """Largest distance in pixels by which the lens bends a ray of the picture."""
    u, v = np.meshgrid(np.linspace(0, lens.width, 17), np.linspace(0, lens.height, 17))
    to_u, to_v = lens.project((u - pinhole.cx) / pinhole.fx, (v - pinhole.cy) / pinhole.fy)
    distance = np.hypot(to_u - u, to_v - v)
    return float(distance.max()) if np.isfinite(distance).all() else math.inf


def _inner_rectangle(lens: Lens, whole: Pinhole) -> Pinhole:
    """The pinhole of the same focal length that the photo's border just encloses."""
    w, h = float(lens.width), float(lens.height)
    along_x, along_y = np.linspace(0, w, 65), np.linspace(0, h, 65)
    left, _ = undistort_points(lens, np.zeros(65), along_y)
    right, _ = undistort_points(lens, np.full(65, w), along_y)
    _, top = undistort_points(lens, along_x, np.zeros(65))
    _, bottom = undistort_points(lens, along_x, np.full(65, h))
    limit_x = min(_WIDEST, _LARGEST * w / 2 / whole.fx)
    limit_y = min(_WIDEST, _LARGEST * h / 2 / whole.fy)
    x0, x1 = _limits(left, right, limit_x)
    y0, y1 = _limits(top, bottom, limit_y)
    if not (x1 - x0 > 0 and y1 - y0 > 0):
        return whole
    # Whole pixels, rounded inwards; a thousandth keeps exact borders exact.
    cx, cy = math.floor(-x0 * whole.fx + 1e-3), math.floor(-y0 * whole.fy + 1e-3)
    width = cx + math.floor(x1 * whole.fx + 1e-3)
    height = cy + math.floor(y1 * whole.fy + 1e-3)
    if width < 1 or height < 1:
        return whole
    return Pinhole(width, height, whole.fx, whole.fy, cx, cy)


def _limits(low: np.ndarray, high: np.ndarray, limit: float) -> tuple[float, float]:
    """The innermost of two borders; a border without a ray (fisheye) lies at the limit."""
    low = np.where(np.isfinite(low) & (low < 0), low, -limit)
    high = np.where(np.isfinite(high) & (high > 0), high, limit)
    return max(float(low.max()), -limit), min(float(high.min()), limit)


def undistort_points(lens: Lens, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rays (x, y, 1) of pixels by Newton's method; NaN where it finds none within 80 degrees."""
    fx, fy, cx, cy = lens.focal_and_center
    target = np.stack(((u - cx) / fx, (v - cy) / fy))
    ray = np.zeros_like(target)
    step = 1e-6
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            here = np.stack(lens.distort(ray[0], ray[1]))
            a, c = (np.stack(lens.distort(ray[0] + step, ray[1])) - here) / step
            b, d = (np.stack(lens.distort(ray[0], ray[1] + step)) - here) / step
            rest = target - here
            det = a * d - b * c
            move = np.stack((d * rest[0] - b * rest[1], a * rest[1] - c * rest[0])) / det
            # Short moves keep the search on the branch that starts at the optical axis.
            size = np.hypot(*move)
            ray = ray + move * np.minimum(1, 0.3 * (1 + np.hypot(*ray)) / np.maximum(size, 1e-12))
            if not (size > _STILL).any():
                break
        error = np.hypot(*(np.stack(lens.distort(ray[0], ray[1])) - target))
        good = (error < 1e-7) & (np.hypot(*ray) < math.tan(math.radians(80)))
    return np.where(good, ray[0], np.nan), np.where(good, ray[1], np.nan)
