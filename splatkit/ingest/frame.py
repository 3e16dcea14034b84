"""The world frame: upright, centred, of a known size, and the way back to the source's frame."""

from __future__ import annotations

import math

import numpy as np

from splatkit.ingest.floor import floor_normal

CAMERA_DISTANCE = 4.0
"""World units from the centre to the middle one of the cameras, where nothing gives metres."""
GRAVITY_AGREES = math.radians(5)
"""How far off the photos' statements of gravity may be in the middle to be believed."""
_UP_PRIOR = 0.02
_ROUNDS = 10


def source_from_world(
    poses: np.ndarray,
    points: np.ndarray,
    up: np.ndarray | None = None,
    unit: float | None = None,
) -> np.ndarray:
    """Choose the world frame of a scene.

    Up (-y) is the direction that photos taken without roll share, made exact by the floor where
    one is seen; the centre is what the cameras look at, and the median camera is
    ``CAMERA_DISTANCE`` away from it.

    Args:
        poses: [C,4,4] float64 camera_from_source, rigid, OpenCV axes.
        points: [P,3] sparse points in the source frame; may be empty.
        up: [3] unit vector, source frame, where something better than the photos tells it.
        unit: source units in one metre, where known; one world unit is one metre then.

    Returns:
        [4,4] float64 similarity.
    """
    rotations = poses[:, :3, :3]
    centers = -np.einsum("nji,nj->ni", rotations, poses[:, :3, 3])
    if up is None:
        up = up_direction(rotations)
        floor = floor_normal(points, up)
        up = up if floor is None else floor
    center = _center(centers, rotations[:, 2], points)
    distance = float(np.median(np.linalg.norm(centers - center, axis=1)))
    similarity = np.eye(4)
    similarity[:3, :3] = _axes(up, rotations[0, 2]) * (
        unit or max(distance, 1e-9) / CAMERA_DISTANCE
    )
    similarity[:3, 3] = center
    return similarity


def pose_in_world(pose: np.ndarray, source_from_world: np.ndarray) -> np.ndarray:
    """[4,4] camera_from_world, rigid, of a camera_from_source [4,4] and the similarity.

    Camera axes are scaled as the world is, so that depths are in world units.
    """
    scale = scale_of(source_from_world)
    world = pose @ source_from_world
    world[:3] /= scale
    return world


def points_in_world(points: np.ndarray, source_from_world: np.ndarray) -> np.ndarray:
    """[P,3] world coordinates of points [P,3] of the source frame."""
    linear, shift = source_from_world[:3, :3], source_from_world[:3, 3]
    return (points - shift) @ linear / scale_of(source_from_world) ** 2


def scale_of(similarity: np.ndarray) -> float:
    """Source units in one world unit."""
    return float(np.linalg.det(similarity[:3, :3])) ** (1 / 3)


def up_direction(rotations: np.ndarray) -> np.ndarray:
    """[3] unit vector upwards, from camera_from_source rotations [C,3,3].

    The horizon of a photo without roll is level, so up is at right angles to every camera's x
    axis; along directions that the x axes leave open (forward-facing photos) it follows the mean
    of the cameras' own up. Photos that disagree (rolled ones) lose weight round by round.
    """
    right, above = rotations[:, 0], -rotations[:, 1]
    weights = np.ones(len(rotations))
    up = above.mean(0)
    if np.linalg.norm(up) < 1e-6:
        up = above[0]
    for _ in range(_ROUNDS):
        mean = (weights[:, None] * above).sum(0) / weights.sum()
        spread = np.einsum("n,ni,nj->ij", weights, right, right) / weights.sum()
        candidate = np.linalg.solve(spread + _UP_PRIOR * np.eye(3), _UP_PRIOR * mean)
        if np.linalg.norm(candidate) < 1e-9:
            break
        up = candidate / np.linalg.norm(candidate)
        weights = 1 / (1 + (right @ up / 0.1) ** 2)
    return up / np.linalg.norm(up)


def up_by_gravity(rotations: np.ndarray, gravity: np.ndarray) -> np.ndarray | None:
    """[3] unit vector upwards by what photos state; None where they do not agree with each other.

    Args:
        rotations: [C,3,3] camera_from_source of the photos that state it.
        gravity: [C,3] unit vectors downwards in their cameras' axes.
    """
    ups = -np.einsum("nji,nj->ni", rotations, gravity)
    mean = np.median(ups, axis=0)
    if np.linalg.norm(mean) < 0.5:
        return None
    for _ in range(_ROUNDS):
        mean /= np.linalg.norm(mean)
        off = np.arccos(np.clip(ups @ mean, -1, 1))
        mean = (ups / (1 + (off / GRAVITY_AGREES)[:, None] ** 2)).sum(0)
    mean /= np.linalg.norm(mean)
    off = np.arccos(np.clip(ups @ mean, -1, 1))
    return mean if float(np.median(off)) <= GRAVITY_AGREES else None


def _center(centers: np.ndarray, forward: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What the cameras look at: where their axes meet, or the middle of the points."""
    across = np.eye(3) - np.einsum("ni,nj->nij", forward, forward)
    system = across.mean(0)
    meets = np.linalg.solve(
        system + 1e-9 * np.eye(3), np.einsum("nij,nj->ni", across, centers).mean(0)
    )
    in_front = np.einsum("ni,ni->n", meets - centers, forward) > 0
    # Nearly parallel axes (a small smallest eigenvalue) meet anywhere.
    if np.linalg.eigvalsh(system)[0] > 0.05 and in_front.mean() > 0.8:
        return meets
    if len(points):
        return np.median(points, axis=0)
    spread = float(np.linalg.norm(centers - centers.mean(0), axis=1).max())
    return centers.mean(0) + forward.mean(0) * (spread or 1.0)


def _axes(up: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """[3,3] source_from_world rotation: columns right, down, forward of the first camera."""
    down = -up
    level = forward - down * (forward @ down)
    if np.linalg.norm(level) < 1e-6:
        level = np.eye(3)[np.abs(down).argmin()]
        level = level - down * (level @ down)
    ahead = level / np.linalg.norm(level)
    return np.stack((np.cross(down, ahead), down, ahead), 1)
