"""Which of several reconstructions to believe, and which of its photos.

A mapper's count of registered photos proves nothing: it places a photo with a handful of points
anywhere. The matches between photos are the witnesses. Where two photos are placed rightly,
their verified matches lie on each other's epipolar lines; a photo most of whose matches do not
is not where the model says. The matches also say which of two models is the better one: how many of
them each photo has on its side, counted strictly.
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
STRICT_ERROR_PIXELS = 1.5
"""Where a good model has most of its matches; one with a wrong lens does not."""
MIN_AGREEING_SHARE = 0.5
MIN_AGREEING = 15
"""Fewer matches that agree would agree by chance."""
MIN_POINTS = 10
"""Points that a photo must see: with fewer its place is a guess."""
FEW_POINTS, LARGE_ERRORS = 30, 1.75
"""With fewer points than this whose errors, beside those of the usual photo, are as large as this,
its place is a guess, too: hardly anything but the mapper's wish to place it holds it there."""
TOO_FEW_POINTS = "sees too few points that other photos see"
TOO_FEW_MATCHES = "too few matches with other photos"
CONTRADICTED = "its matches contradict the position that was found"


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
    support: dict[str, float]
    """Of each trusted photo, the share of its matches that agree strictly."""

    @property
    def worth(self) -> float:
        """What speaks for the model: a photo counts as far as its matches agree."""
        return sum(self.support.values())


def judge(model: ColmapModel, pairs: list[Pair]) -> Verdict:
    """Drop the photo that its matches contradict most, again and again, until none is left.

    One wrong photo spoils the figures of its neighbours; without it they recover.
    """
    placed = {image.name: image for image in model.images}
    counts = {
        (pair.first, pair.second): _agreeing(model, placed, pair)
        for pair in pairs
        if pair.first in placed and pair.second in placed
    }
    doubted: dict[str, str] = {}
    for name in _hardly_tied(model):
        doubted[name] = TOO_FEW_POINTS
        del placed[name]
    while placed:
        agree, strict, total = (dict.fromkeys(placed, 0) for _ in range(3))
        for (first, second), (good, best, all_) in counts.items():
            if first in placed and second in placed:
                for name in (first, second):
                    agree[name] += good
                    strict[name] += best
                    total[name] += all_
        worst = min(placed, key=lambda n: (_share(agree[n], total[n]), agree[n]))
        if _share(agree[worst], total[worst]) >= MIN_AGREEING_SHARE:
            # Shares are in order; what is left to doubt is too few witnesses.
            worst = min(placed, key=lambda n: agree[n])
            if agree[worst] >= MIN_AGREEING:
                support = {name: _share(strict[name], total[name]) for name in placed}
                return Verdict(frozenset(placed), doubted, sum(agree.values()) // 2, support)
        doubted[worst] = TOO_FEW_MATCHES if total[worst] < 2 * MIN_AGREEING else CONTRADICTED
        del placed[worst]
    return Verdict(frozenset(), doubted, 0, {})


def _hardly_tied(model: ColmapModel) -> list[str]:
    """Photos that see very few points, or few points that fit them badly; none without points."""
    if not len(model.points):
        return []
    seen = {n: errors for n, errors in model.errors_seen().items() if len(errors) >= MIN_POINTS}
    usual = float(np.median([errors.mean() for errors in seen.values()])) if seen else 0.0
    return [
        image.name
        for image in model.images
        if (errors := seen.get(image.name)) is None
        or (len(errors) < FEW_POINTS and float(errors.mean()) > LARGE_ERRORS * usual)
    ]


def guessed_photos(model: ColmapModel) -> set[str]:
    """Photos of somebody else's model whose places are guesses, by the points that they see.

    None where that says nothing: in models of cameras that were known before the points were.
    """
    guessed = {image.name for image in model.images if len(image.point_ids) < MIN_POINTS}
    return guessed if 2 * len(guessed) < len(model.images) else set()


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


def _agreeing(
    model: ColmapModel, placed: dict[str, ColmapImage], pair: Pair
) -> tuple[int, int, int]:
    """Matches near their epipolar lines (Sampson distance): loosely, strictly, and all."""
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
    pixels = distance * focal
    near = int((pixels < MAX_ERROR_PIXELS).sum())
    return near, int((pixels < STRICT_ERROR_PIXELS).sum()), len(pixels)


def _rays(lens: Lens, pixels: np.ndarray) -> np.ndarray:
    x, y = undistort_points(lens, pixels[:, 0].astype(float), pixels[:, 1].astype(float))
    return np.stack((x, y, np.ones_like(x)), 1)
