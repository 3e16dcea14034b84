"""The scene from above, and where more photos are needed."""

from __future__ import annotations

import math

import numpy as np
import torch

from splatkit.core import Scene, camera_of

FEW_PHOTOS, ENOUGH_PHOTOS = 3, 6
"""A point in fewer photos than the first needs more, in as many as the second has enough."""
LARGE_GAP = math.radians(50)
"""Between neighbouring directions from which photos look at the scene's middle."""
_ROUND = math.radians(200)
"""Cameras that span less than this are not meant to go all the way round."""
_MOST_POINTS = 20_000


def camera_centers(scene: Scene) -> np.ndarray:
    """[C,3] where the photos were taken, world frame."""
    if not scene.photos:
        return np.zeros((0, 3))
    return torch.cat([camera_of(photo).positions for photo in scene.photos]).numpy()


def looks(scene: Scene) -> np.ndarray:
    """[C,3] unit directions in which the photos were taken, world frame."""
    return np.stack([photo.viewmat[2, :3].numpy() for photo in scene.photos])


def sampled_points(scene: Scene) -> np.ndarray:
    """[P,3] sparse points, thinned out evenly where there are very many."""
    points = scene.points.numpy().astype(np.float64)
    return points[:: max(1, math.ceil(len(points) / _MOST_POINTS))]


def photos_that_show(scene: Scene, points: np.ndarray) -> np.ndarray:
    """[P] number of photos in whose picture a point lies; what stands in between is not known."""
    count = np.zeros(len(points), np.int64)
    for photo in scene.photos:
        seen = points @ photo.viewmat[:3, :3].numpy().T + photo.viewmat[:3, 3].numpy()
        with np.errstate(all="ignore"):
            pixels = seen @ photo.K.numpy().T
            u, v = pixels[:, 0] / pixels[:, 2], pixels[:, 1] / pixels[:, 2]
            inside = (u >= 0) & (u < photo.width) & (v >= 0) & (v < photo.height)
        count += inside & (seen[:, 2] > 0)
    return count


def gaps_around(centers: np.ndarray) -> list[tuple[float, float]]:
    """Directions without photos, of cameras that go round the origin: (from, to) in radians.

    Angles are measured from +z (forward of the first photo) towards +x, seen from above.
    """
    if len(centers) < 3:
        return []
    angles = np.sort(np.arctan2(centers[:, 0], centers[:, 2]))
    steps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    if 2 * np.pi - steps.max() < _ROUND:
        return []
    return [
        (float(angles[i]), float(angles[i] + steps[i])) for i in np.flatnonzero(steps > LARGE_GAP)
    ]


def advice_on_coverage(scene: Scene, counts: np.ndarray) -> list[str]:
    """Where to take more photos, in words.

    Args:
        scene: the photos.
        counts: as ``photos_that_show`` gives them.
    """
    said = []
    for begin, end in gaps_around(camera_centers(scene)):
        said.append(
            f"no photos were taken between {_degrees(begin)} and {_degrees(end)} (0 is up in the "
            "view from above, clockwise): go round there, too"
        )
    few = float((counts < FEW_PHOTOS).mean()) if len(counts) else 0.0
    if few > 0.05:
        said.append(
            f"{100 * few:.0f}% of the points lie in fewer than {FEW_PHOTOS} photos (red): "
            "photograph these parts again, from more sides"
        )
    return said


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle) % 360:.0f}°"
