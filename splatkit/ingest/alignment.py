"""Similarities that take one set of points or cameras to another, in spite of outliers."""

from __future__ import annotations

import numpy as np

_ROUNDS = 10
_OUTLIERS = 3.0
"""Points farther off than this many times the median are left out of the next round."""


def camera_centers(poses: np.ndarray) -> np.ndarray:
    """[C,3] centres of camera_from_world poses [C,4,4]."""
    return -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])


def similarity_of_points(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[4,4] similarity that takes points [N,3] to others [N,3] best (Umeyama 1991), N >= 3.

    Points that stay far off are left out, round by round.
    """
    keep = np.ones(len(source), bool)
    similarity = np.eye(4)
    for _ in range(_ROUNDS):
        similarity = _umeyama(source[keep], target[keep])
        distance = residuals(similarity, source, target)
        closer = distance <= _OUTLIERS * np.median(distance) + 1e-12
        if (closer == keep).all() or closer.sum() < 3:
            break
        keep = closer
    return similarity


def similarity_of_cameras(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[4,4] similarity of world frames, out of the same cameras in both ([C,4,4], C >= 2).

    The cameras' orientations fix the rotation, also where their centres lie on a line.
    """
    turns = np.einsum("nji,njk->nik", target[:, :3, :3], source[:, :3, :3])
    rotation = _nearest_rotation(np.median(turns, axis=0))
    from_centers, to_centers = camera_centers(source), camera_centers(target)
    pairs = np.triu_indices(len(source), 1)
    from_apart, to_apart = (_distances(c)[pairs] for c in (from_centers, to_centers))
    ratios = to_apart[from_apart > 0] / from_apart[from_apart > 0]
    scale = float(np.median(ratios)) if len(ratios) else 1.0
    similarity = np.eye(4)
    similarity[:3, :3] = scale * rotation
    offsets = to_centers - scale * from_centers @ rotation.T
    similarity[:3, 3] = np.median(offsets, axis=0)
    return similarity


def moved_points(similarity: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[N,3] points in the similarity's target frame."""
    return points @ similarity[:3, :3].T + similarity[:3, 3]


def residuals(similarity: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[N] distances that remain after the similarity."""
    return np.linalg.norm(moved_points(similarity, source) - target, axis=1)


def moved_pose(similarity: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """[4,4] rigid camera_from_target of a rigid camera_from_source."""
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    rotation = pose[:3, :3] @ similarity[:3, :3].T / scale
    moved = np.eye(4)
    moved[:3, :3] = rotation
    moved[:3, 3] = scale * pose[:3, 3] - rotation @ similarity[:3, 3]
    return moved


def angle_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N] angles in radians between rotations [N,3,3]."""
    traces = np.einsum("nij,nij->n", one, other)
    return np.arccos(np.clip((traces - 1) / 2, -1, 1))


def _distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def _umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    from_middle, to_middle = source.mean(0), target.mean(0)
    a, b = source - from_middle, target - to_middle
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(sign) @ vt
    scale = float((s * sign).sum()) / max(float((a**2).sum()), 1e-30)
    similarity = np.eye(4)
    similarity[:3, :3] = scale * rotation
    similarity[:3, 3] = to_middle - scale * rotation @ from_middle
    return similarity
