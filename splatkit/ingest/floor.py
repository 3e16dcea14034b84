"""The floor: the largest level plane among the points, which makes up more exact."""

from __future__ import annotations

import math

import numpy as np

NEARLY_LEVEL = math.radians(10)
"""How far a plane may be tilted from what the cameras call level, and still be the floor."""
LEAST_SHARE = 0.12
"""Share of the points that a plane must hold to be believed."""
_TRIES = 400
_MOST_POINTS = 5000


def floor_normal(points: np.ndarray, up: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """[3] unit normal, upwards, of the largest nearly level plane; None where none is large.

    Args:
        points: [P,3] sparse points.
        up: [3] unit vector that is up by the cameras.
        seed: of the random tries.
    """
    chance = np.random.default_rng(seed)
    if len(points) < 50:
        return None
    if len(points) > _MOST_POINTS:
        points = points[chance.choice(len(points), _MOST_POINTS, replace=False)]
    middle = np.median(points, axis=0)
    size = float(np.median(np.linalg.norm(points - middle, axis=1)))
    near = points[np.linalg.norm(points - middle, axis=1) < 4 * size]
    thickness = 0.01 * size
    triples = near[chance.integers(0, len(near), (_TRIES, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9 * size**2] / lengths[lengths > 1e-9 * size**2, None]
    starts = triples[lengths > 1e-9 * size**2, 0]
    level = np.abs(normals @ up) > math.cos(NEARLY_LEVEL)
    if not level.any():
        return None
    normals, starts = normals[level], starts[level]
    heights = near @ normals.T - (normals * starts).sum(1)
    counts = (np.abs(heights) < thickness).sum(0)
    best = int(counts.argmax())
    mine = near[np.abs(heights[:, best]) < thickness]
    if len(mine) < max(LEAST_SHARE * len(near), 30):
        return None
    normal = np.linalg.svd(mine - mine.mean(0), full_matrices=False)[2][2]
    if abs(normal @ up) < math.cos(NEARLY_LEVEL):
        return None
    return normal * np.sign(normal @ up)
