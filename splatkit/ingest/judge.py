"""Which of several reconstructions to believe, and which of its photos.

A mapper's count of registered photos proves nothing: it places a photo with a handful of points
anywhere. The matches between photos are the witnesses. Where two photos are placed rightly,
their verified matches lie on each other's epipolar lines; a photo most of whose matches do not
is not where the model says.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from splatkit.ingest.undistort import undistort_points
from splatkit.io.colmap import ColmapImage, ColmapModel
from splatkit.io.lenses import Lens

MAX_ERROR_PIXELS = 4.0
"""Farther from its epipolar line a match contradicts the model (as in the mappers)."""
MIN_AGREEING_SHARE = 0.5
MIN_AGREEING = 15
"""Fewer matches that agree would agree by chance."""


@dataclass(frozen=True)
class Pair:
    """Verified matches between two photos."""

    first: str
    second: str
    xy_first: np.ndarray
    """[M,2] pixels."""
    xy_second: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """What the matches say about one reconstruction."""

    trusted: frozenset[str]
    """Photos that are where the model says."""
    doubted: dict[str, str]
    """Placed photos that are not to be believed: name -> reason."""
    agreeing: int
    """Matches between trusted photos that agree with the model."""


def judge(model: ColmapModel, pairs: list[Pair]) -> Verdict:
    """Drop the photo that its matches contradict most, again and again, until none is left.

    One wrong photo spoils the figures of its neighbours; without it they recover.
    """
    placed = {image.name: image for image in model.images}
    counts = {
        (pair.first, pair.second): (_agreeing(model, placed, pair), len(pair.xy_first))
        for pair in pairs
        if pair.first in placed and pair.second in placed
    }
    doubted: dict[str, str] = {}
    while placed:
        agree = dict.fromkeys(placed, 0)
        total = dict.fromkeys(placed, 0)
        for (first, second), (good, all_) in counts.items():
            if first in placed and second in placed:
                for name in (first, second):
                    agree[name] += good
                    total[name] += all_
        worst = min(placed, key=lambda n: (_share(agree[n], total[n]), agree[n]))
        if _share(agree[worst], total[worst]) >= MIN_AGREEING_SHARE:
            # Shares are in order; what is left to doubt is too few witnesses.
            worst = min(placed, key=lambda n: agree[n])
            if agree[worst] >= MIN_AGREEING:
                break
        doubted[worst] = (
            "too few matches with other photos"
            if total[worst] < 2 * MIN_AGREEING
            else "its matches contradict the position that was found"
        )
        del placed[worst]
    between = (good for (a, b), (good, _) in counts.items() if a in placed and b in placed)
    return Verdict(frozenset(placed), doubted, sum(between))


def without(model: ColmapModel, dropped: Collection[str]) -> ColmapModel:
    """The model without some of its photos and without the points that only they saw."""
    images = [image for image in model.images if image.name not in dropped]
    seen = np.concatenate([image.point_ids for image in images] or [np.zeros(0, np.int64)])
    ids, views = np.unique(seen, return_counts=True)
    keep = np.isin(model.point_ids, ids[views >= 2])
    return ColmapModel(
        model.cameras, images, model.point_ids[keep], model.points[keep], model.colors[keep],
        model.errors[keep], model.track_lengths[keep],
    )  # fmt: skip


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _agreeing(model: ColmapModel, placed: dict[str, ColmapImage], pair: Pair) -> int:
    """Number of matches within ``MAX_ERROR_PIXELS`` (Sampson distance) of their epipolar lines."""
    first, second = placed[pair.first], placed[pair.second]
    lens1, lens2 = model.cameras[first.camera_id], model.cameras[second.camera_id]
    rays1, rays2 = _rays(lens1, pair.xy_first), _rays(lens2, pair.xy_second)
    relative = second.camera_from_world @ np.linalg.inv(first.camera_from_world)
    x, y, z = relative[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative[:3, :3]
    lines2, lines1 = rays1 @ essential.T, rays2 @ essential
    gradient = (lines1[:, :2] ** 2).sum(1) + (lines2[:, :2] ** 2).sum(1)
    distance = np.abs((rays2 * lines2).sum(1)) / np.sqrt(np.maximum(gradient, 1e-30))
    focal = (lens1.focal_and_center[0] + lens2.focal_and_center[0]) / 2
    return int((distance * focal < MAX_ERROR_PIXELS).sum())


def _rays(lens: Lens, pixels: np.ndarray) -> np.ndarray:
    x, y = undistort_points(lens, pixels[:, 0].astype(float), pixels[:, 1].astype(float))
    return np.stack((x, y, np.ones_like(x)), 1)
