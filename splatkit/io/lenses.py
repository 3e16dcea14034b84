"""Lens models: how a ray of the camera becomes a pixel, in COLMAP's names and parameters.

A ray (x, y, 1) in camera axes is *distorted* to (x', y', 1) and then scaled by the focal length
and shifted by the principal point. The first pixel's centre is at (0.5, 0.5). Formulas: COLMAP's
documentation of camera models; Kannala and Brandt 2006 (fisheye); Fitzgibbon 2001 (division);
Khomutenko et al. 2016 (EUCM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splatkit.core import SplatkitError

PARAMETER_NAMES: dict[str, str] = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "FOV": "fx fy cx cy omega",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
    "THIN_PRISM_FISHEYE": "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1",
    "RAD_TAN_THIN_PRISM_FISHEYE": "fx fy cx cy k1 k2 k3 k4 k5 k6 p1 p2 s1 s2 s3 s4",
    "SIMPLE_DIVISION": "f cx cy k1",
    "DIVISION": "fx fy cx cy k1",
    "SIMPLE_FISHEYE": "f cx cy",
    "FISHEYE": "fx fy cx cy",
    "EUCM": "fx fy cx cy alpha beta",
    "EQUIRECTANGULAR": "w h",
}
"""Parameters of each model in the order of COLMAP's files; the order of the models is COLMAP's
numbering."""

MODELS: tuple[str, ...] = tuple(PARAMETER_NAMES)


@dataclass(frozen=True)
class Lens:
    """One camera model with its parameters for one image size."""

    model: str
    """One of ``MODELS``."""
    width: int
    height: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        names = PARAMETER_NAMES.get(self.model)
        if names is None:
            raise SplatkitError(f"camera: expected a COLMAP camera model, got {self.model!r}")
        if len(self.params) != len(names.split()) or not all(map(math.isfinite, self.params)):
            raise SplatkitError(
                f"camera {self.model}: expected {names}, got {len(self.params)} values "
                f"({', '.join(f'{p:g}' for p in self.params[:4])})"
            )
        if not (0 < self.width < 1 << 20 and 0 < self.height < 1 << 20):
            raise SplatkitError(f"camera: expected an image size, got {self.width}x{self.height}")
        fx, fy, _, _ = self.focal_and_center
        if min(fx, fy) <= 0:
            raise SplatkitError(f"camera: expected a positive focal length, got {fx:g}, {fy:g}")

    def __getitem__(self, name: str) -> float:
        """A parameter by name, 0 where the model has none of that name."""
        return dict(zip(PARAMETER_NAMES[self.model].split(), self.params, strict=True)).get(name, 0)

    @property
    def focal_and_center(self) -> tuple[float, float, float, float]:
        """fx, fy, cx, cy in pixels."""
        if self.model == "EQUIRECTANGULAR":
            return 1.0, 1.0, self.width / 2, self.height / 2
        return self["f"] or self["fx"], self["f"] or self["fy"], self["cx"], self["cy"]

    def resized(self, width: int, height: int) -> Lens:
        """The same lens for a picture of another size."""
        if (width, height) == (self.width, self.height):
            return self
        across, down = width / self.width, height / self.height
        factors = {"f": (across + down) / 2, "fx": across, "cx": across, "fy": down, "cy": down}
        names = PARAMETER_NAMES[self.model].split()
        params = tuple(p * factors.get(n, 1.0) for n, p in zip(names, self.params, strict=True))
        return Lens(self.model, width, height, params)

    def distort(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distorted coordinates of rays (x, y, 1); NaN where the model has no answer."""
        with np.errstate(all="ignore"):
            return _distort(self, x, y)

    def project(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates of rays (x, y, 1)."""
        fx, fy, cx, cy = self.focal_and_center
        x, y = self.distort(x, y)
        return fx * x + cx, fy * y + cy


def _distort(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    model = lens.model
    if model in ("SIMPLE_PINHOLE", "PINHOLE"):
        return x, y
    if model == "EQUIRECTANGULAR":
        raise SplatkitError("camera: panoramas (EQUIRECTANGULAR) cannot become a pinhole photo")
    r2 = x * x + y * y
    r = np.sqrt(r2)
    if model.endswith("FISHEYE"):
        factor = np.where(r > 1e-12, np.arctan(r) / np.maximum(r, 1e-12), 1.0)
        return _polynomial_fisheye(lens, x * factor, y * factor)
    if model == "FOV":
        omega = lens["omega"]
        if abs(omega) < 1e-6:
            return x, y
        bent = np.arctan(2 * r * math.tan(omega / 2)) / omega
        factor = np.where(r > 1e-12, bent / np.maximum(r, 1e-12), 2 * math.tan(omega / 2) / omega)
        return x * factor, y * factor
    if model.endswith("DIVISION"):
        # x = x' / (1 + k r'^2), solved for x'; the smaller root is the one that starts at 0.
        root = np.sqrt(1 - 4 * lens["k1"] * r2)
        return x * 2 / (1 + root), y * 2 / (1 + root)
    if model == "EUCM":
        depth = lens["alpha"] * np.sqrt(lens["beta"] * r2 + 1) + 1 - lens["alpha"]
        return x / depth, y / depth
    top = 1 + r2 * (lens["k1"] + r2 * (lens["k2"] + r2 * lens["k3"]))
    if model == "FULL_OPENCV":
        top = top / (1 + r2 * (lens["k4"] + r2 * (lens["k5"] + r2 * lens["k6"])))
    return _tangential(lens, x, y, r2, x * top, y * top)


def _polynomial_fisheye(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) has the length of the angle to the optical axis, radians."""
    t2 = x * x + y * y
    factor = np.ones_like(t2)
    power = t2
    for name in ("k1", "k2", "k3", "k4", "k5", "k6"):
        factor = factor + lens[name] * power
        power = power * t2
    if lens.model == "RAD_TAN_THIN_PRISM_FISHEYE":
        x, y = x * factor, y * factor
        r2 = x * x + y * y
        p, q = lens["p1"], lens["p2"]
        prism_x = r2 * (lens["s1"] + r2 * lens["s2"])
        prism_y = r2 * (lens["s3"] + r2 * lens["s4"])
        cross = 2 * x * y
        return (
            x + (2 * x * x + r2) * p + cross * q + prism_x,
            y + (2 * y * y + r2) * q + cross * p + prism_y,
        )
    out = _tangential(lens, x, y, t2, x * factor, y * factor)
    return out[0] + lens["sx1"] * t2, out[1] + lens["sy1"] * t2


def _tangential(
    lens: Lens, x: np.ndarray, y: np.ndarray, r2: np.ndarray, to_x: np.ndarray, to_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    p1, p2 = lens["p1"], lens["p2"]
    if p1 == 0 and p2 == 0:
        return to_x, to_y
    cross = 2 * x * y
    return (
        to_x + p1 * cross + p2 * (r2 + 2 * x * x),
        to_y + p2 * cross + p1 * (r2 + 2 * y * y),
    )
