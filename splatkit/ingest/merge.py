"""Two models of one scene made into one, where photos that both placed tell how they lie."""

from __future__ import annotations

import math

import numpy as np

from splatkit.ingest.alignment import (
    angle_between,
    camera_centers,
    moved_points,
    moved_pose,
    residuals,
    similarity_of_cameras,
)
from splatkit.io.colmap import ColmapImage, ColmapModel

LEAST_COMMON = 3
"""Photos that both models must have placed."""
MAX_DISTANCE = 0.02
"""Median distance of their centres after alignment, as a share of their extent."""
MAX_ANGLE = math.radians(2)
"""Median difference of their orientations."""


def joined_model(model: ColmapModel, other: ColmapModel, wanted: frozenset[str]) -> ColmapModel:
    """``model`` with the ``wanted`` photos of another model and the points that they see.

    Returns:
        ``model`` itself where nothing can be taken over: too few photos in common, or they
        do not lie alike.
    """
    here = {image.name: image for image in model.images}
    there = {image.name: image for image in other.images}
    common = sorted(set(here) & set(there))
    extra = sorted((set(there) - set(here)) & wanted)
    if len(common) < LEAST_COMMON or not extra:
        return model
    source = np.stack([there[name].camera_from_world for name in common])
    target = np.stack([here[name].camera_from_world for name in common])
    similarity = similarity_of_cameras(source, target)
    if not _alike(similarity, source, target):
        return model
    first_camera = max(model.cameras, default=0) + 1
    first_point = int(model.point_ids.max(initial=0)) + 1
    images = [
        ColmapImage(
            name,
            there[name].camera_id + first_camera,
            moved_pose(similarity, there[name].camera_from_world),
            there[name].xys,
            there[name].point_ids + first_point,
        )
        for name in extra
    ]
    seen = np.isin(other.point_ids, np.concatenate([there[name].point_ids for name in extra]))
    used = {there[name].camera_id for name in extra}
    return ColmapModel(
        model.cameras | {n + first_camera: lens for n, lens in other.cameras.items() if n in used},
        sorted([*model.images, *images], key=lambda image: image.name),
        np.concatenate((model.point_ids, other.point_ids[seen] + first_point)),
        np.concatenate((model.points, moved_points(similarity, other.points[seen]))),
        np.concatenate((model.colors, other.colors[seen])),
        np.concatenate((model.errors, other.errors[seen])),
        np.concatenate((model.track_lengths, other.track_lengths[seen])),
    )


def _alike(similarity: np.ndarray, source: np.ndarray, target: np.ndarray) -> bool:
    """Whether the cameras lie in both models alike after alignment."""
    from_centers, to_centers = camera_centers(source), camera_centers(target)
    extent = float(np.linalg.norm(to_centers - to_centers.mean(0), axis=1).max())
    distance = float(np.median(residuals(similarity, from_centers, to_centers)))
    moved = np.stack([moved_pose(similarity, pose) for pose in source])
    angle = float(np.median(angle_between(moved[:, :3, :3], target[:, :3, :3])))
    return distance <= MAX_DISTANCE * extent and angle <= MAX_ANGLE
