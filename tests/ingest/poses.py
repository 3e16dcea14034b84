"""How far the cameras of a scene are from known ones, after the best similarity."""

from __future__ import annotations

import numpy as np

from splatkit.core import Scene, camera_of


def pose_errors(scene: Scene, known: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Errors of a scene's photos, as ``errors_of`` gives them."""
    found = {photo.name: camera_of(photo).viewmats[0].numpy() for photo in scene.photos}
    return errors_of(found, known)


def errors_of(
    found: dict[str, np.ndarray], known: dict[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Errors of photos that both have.

    Args:
        found: photo name -> [4,4] camera_from_world.
        known: photo name -> [4,4] camera_from_reference.

    Returns:
        Photo name -> (distance of the centres over the extent of the known ones, rotation error
        in degrees).
    """
    names = sorted(set(found) & set(known))
    ours, theirs = (np.stack([poses[n] for n in names]) for poses in (found, known))
    from_centers, to_centers = _centers(ours), _centers(theirs)
    near = np.ones(len(names), bool)
    for _ in range(5):
        scale, rotation, shift = _similarity(from_centers[near], to_centers[near])
        moved = scale * from_centers @ rotation.T + shift
        distance = np.linalg.norm(moved - to_centers, axis=1)
        # Outliers must not pull the fit that judges them.
        near = distance <= 3 * np.median(distance) + 1e-12
    extent = np.linalg.norm(to_centers - to_centers.mean(0), axis=1).max()
    turned = ours[:, :3, :3] @ rotation.T @ theirs[:, :3, :3].transpose(0, 2, 1)
    cosine = (np.trace(turned, axis1=1, axis2=2) - 1) / 2
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return {
        n: (float(d / extent), float(a)) for n, d, a in zip(names, distance, angle, strict=True)
    }


def _centers(poses: np.ndarray) -> np.ndarray:
    return -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])


def _similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that take points ``a`` to ``b`` best (Umeyama 1991)."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - mean_b).T @ (a - mean_a))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ sign @ vt
    scale = float((s * np.diag(sign)).sum() / ((a - mean_a) ** 2).sum())
    return scale, rotation, mean_b - scale * rotation @ mean_a
