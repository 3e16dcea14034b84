"""WGS84 to metres: a local frame of east, north and up (float64 throughout)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Place = tuple[float, float, float]
"""Latitude and longitude in degrees, altitude in metres."""
_EQUATOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY2 = _FLATTENING * (2 - _FLATTENING)


def east_north_up(places: Sequence[Place], origin: Place | None = None) -> np.ndarray:
    """[C,3] metres east, north and up of ``origin`` (the first place when None)."""
    if not places:
        return np.zeros((0, 3))
    origin = origin or places[0]
    latitude, longitude = math.radians(origin[0]), math.radians(origin[1])
    sin_a, cos_a, sin_o, cos_o = (
        math.sin(latitude), math.cos(latitude), math.sin(longitude), math.cos(longitude),
    )  # fmt: skip
    turn = np.array(
        [
            [-sin_o, cos_o, 0.0],
            [-sin_a * cos_o, -sin_a * sin_o, cos_a],
            [cos_a * cos_o, cos_a * sin_o, sin_a],
        ]
    )
    return (_earth_centred(places) - _earth_centred([origin])) @ turn.T


def _earth_centred(places: Sequence[Place]) -> np.ndarray:
    values = np.array(places, np.float64)
    latitude, longitude = np.radians(values[:, 0]), np.radians(values[:, 1])
    normal = _EQUATOR / np.sqrt(1 - _ECCENTRICITY2 * np.sin(latitude) ** 2)
    level = (normal + values[:, 2]) * np.cos(latitude)
    return np.stack(
        (
            level * np.cos(longitude),
            level * np.sin(longitude),
            (normal * (1 - _ECCENTRICITY2) + values[:, 2]) * np.sin(latitude),
        ),
        1,
    )
