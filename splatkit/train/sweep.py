"""Dense points from posed photos by plane sweep, for scenes with few sparse points.

Each photo in turn is compared with its neighbours warped over a stack of planes parallel to its
image (Collins 1996). The plane of the best normalised cross-correlation gives a depth at every
textured pixel; depths that other photos' depths confirm become points.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from splatkit.core import Event, Progress
from splatkit.train.photos import View

_FLAT = 2.0
"""Windows whose brightness varies by less than this (standard deviation, 0..255) say nothing."""


@dataclass(frozen=True)
class Sweep:
    """How dense points are found."""

    long_side: int = 200
    """Photos are shrunk to this, pixels."""
    planes: int = 72
    """Depths tried, evenly spaced in 1/z."""
    neighbours: int = 6
    """Photos that each one is compared with; the best two of those that see a place decide."""
    window: int = 7
    """Width of the correlation window, pixels."""
    least_correlation: float = 0.6
    tolerance: float = 0.015
    """Depths agree when they differ by less than this share."""
    confirmations: int = 2
    """Neighbours that have to agree; one where only one sees the place."""
    most_photos: int = 50
    """Of more photos an even selection is swept."""


@dataclass
class _Shot:
    """One small photo, in numpy."""

    gray: np.ndarray
    color: np.ndarray
    usable: np.ndarray
    """[H,W] bool: inside the mask and not transparent."""
    K: np.ndarray
    viewmat: np.ndarray
    mean: np.ndarray
    """Window means of ``gray``."""
    deviation: np.ndarray
    """Window standard deviations of ``gray``."""

    @property
    def center(self) -> np.ndarray:
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]


def dense_points(
    views: list[View], points: Tensor, options: Sweep, threads: int = 0
) -> Generator[Event, None, tuple[Tensor, Tensor]]:
    """Points on the surfaces that photos show alike.

    Args:
        views: training photos.
        points: [P,3] points that tell how far surfaces are, world frame.
        options: see there.
        threads: photos worked on at the same time; 0 lets Python choose.

    Returns:
        points [M,3] and their sRGB colours [M,3].
    """
    step = max(1, -(-len(views) // options.most_photos))
    shots = [_shot(view, options) for view in views[::step]]
    known = points.numpy().astype(np.float64)
    ranges = [_depth_range(shot, known) for shot in shots]
    near_by = [_neighbours(index, shots, known, options) for index in range(len(shots))]
    depths: list[np.ndarray] = []
    with ThreadPoolExecutor(threads or None) as pool:

        def work(index: int) -> np.ndarray:
            others = [shots[other] for other in near_by[index]]
            return _sweep(shots[index], others, ranges[index], options)

        for depth in pool.map(work, range(len(shots))):
            depths.append(depth)
            yield Progress("Finding surfaces", len(depths), len(shots))
    found, colors = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for index, shot in enumerate(shots):
        world, good = _confirmed(index, shots, depths, near_by[index], options)
        found.append(world)
        colors.append(shot.color[good] / 255.0)
    return (
        torch.from_numpy(np.concatenate(found)).float(),
        torch.from_numpy(np.concatenate(colors)).float(),
    )


def _shot(view: View, options: Sweep) -> _Shot:
    factor = options.long_side / max(view.camera.width, view.camera.height)
    width, height = (
        max(options.window, round(side * min(1.0, factor)))
        for side in (view.camera.width, view.camera.height)
    )
    camera = view.camera.resized(width, height)
    color = cv2.resize(view.image[0].numpy(), (width, height), interpolation=cv2.INTER_AREA)
    usable = np.ones((height, width), bool)
    for plane in (view.mask, view.alpha):
        if plane is not None:
            small = cv2.resize(plane[0].numpy(), (width, height), interpolation=cv2.INTER_AREA)
            usable &= small == 255
    gray = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, deviation = _moments(gray, options.window)
    return _Shot(
        gray,
        color,
        usable,
        camera.Ks[0].double().numpy(),
        camera.viewmats[0].double().numpy(),
        mean,
        deviation,
    )


def _moments(gray: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    mean = cv2.blur(gray, (window, window))
    square = cv2.blur(gray * gray, (window, window))
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _local(shot: _Shot, world: np.ndarray) -> np.ndarray:
    return world @ shot.viewmat[:3, :3].T + shot.viewmat[:3, 3]


def _inside(shot: _Shot, local: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which camera-frame points the shot sees, and their pixel columns and rows."""
    z = np.where(local[:, 2] > 1e-6, local[:, 2], np.inf)
    x = shot.K[0, 0] * local[:, 0] / z + shot.K[0, 2]
    y = shot.K[1, 1] * local[:, 1] / z + shot.K[1, 2]
    height, width = shot.gray.shape
    seen = np.isfinite(z) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return seen, np.where(seen, x, 0).astype(int), np.where(seen, y, 0).astype(int)


def _depth_range(shot: _Shot, points: np.ndarray) -> tuple[float, float]:
    """Nearest and farthest z worth trying, from the points that the shot sees."""
    local = _local(shot, points)
    z = local[_inside(shot, local)[0], 2]
    if len(z) < 8:
        z = local[local[:, 2] > 1e-6, 2]
    if len(z) == 0:
        return 0.5, 50.0
    near, far = np.percentile(z, (2, 98))
    return 0.7 * float(near), 1.6 * float(far)


def _neighbours(index: int, shots: list[_Shot], points: np.ndarray, options: Sweep) -> list[int]:
    """The shots with the best base lines: about 8 degrees apart as the points see them."""
    own = shots[index]
    local = _local(own, points)
    seen = points[_inside(own, local)[0]]
    if len(seen) == 0:
        seen = points
    target = np.median(seen, 0)
    ray = target - own.center
    scored = []
    for other, shot in enumerate(shots):
        if other == index:
            continue
        ray2 = target - shot.center
        cosine = ray @ ray2 / max(np.linalg.norm(ray) * np.linalg.norm(ray2), 1e-12)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        shared = _inside(shot, _local(shot, seen))[0].mean()
        scored.append((shared * np.exp(-0.5 * (np.log(max(angle, 0.1) / 8) / 0.7) ** 2), other))
    return [other for score, other in sorted(scored, reverse=True)[: options.neighbours]]


def _sweep(
    shot: _Shot, others: list[_Shot], limits: tuple[float, float], options: Sweep
) -> np.ndarray:
    """[H,W] z of the best plane, 0 where nothing correlates well enough."""
    height, width = shot.gray.shape
    inverse = np.linspace(1 / limits[0], 1 / limits[1], options.planes)
    best = np.full((options.planes, height, width), -1.0, np.float32)
    for plane, inverse_depth in enumerate(inverse):
        first = second = np.full((height, width), -1.0, np.float32)
        seeing = np.zeros((height, width), np.int8)
        for other in others:
            value = _correlation(shot, other, 1 / inverse_depth, options.window)
            seeing += value > -1
            second = np.maximum(second, np.minimum(first, value))
            first = np.maximum(first, value)
        best[plane] = np.where(seeing > 1, (first + second) / 2, first)
    chosen = best.argmax(0)
    inner = np.clip(chosen, 1, options.planes - 2)
    rows, columns = np.indices((height, width))
    left, middle, right = (best[inner + d, rows, columns] for d in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend < -1e-6, 0.5 * (left - right) / np.where(bend < -1e-6, bend, 1), 0)
    place = inner + np.clip(shift, -0.5, 0.5)
    spacing = inverse[1] - inverse[0]
    depth = 1 / (inverse[0] + place * spacing)
    good = (
        (middle >= options.least_correlation)
        & (chosen == inner)
        & shot.usable
        & (shot.deviation > _FLAT)
    )
    return np.where(good, depth, 0)


def _correlation(shot: _Shot, other: _Shot, depth: float, window: int) -> np.ndarray:
    """[H,W] correlation with a neighbour warped over the plane z = depth, -1 outside it."""
    relative = other.viewmat @ np.linalg.inv(shot.viewmat)
    homography = (
        other.K
        @ (relative[:3, :3] + np.outer(relative[:3, 3], (0.0, 0.0, 1.0)) / depth)
        @ np.linalg.inv(shot.K)
    )
    # Our pixel centres stand at half integers, OpenCV's at integers.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    homography = np.linalg.inv(half) @ homography @ half
    size = shot.gray.shape[1], shot.gray.shape[0]
    warped = cv2.warpPerspective(
        other.gray,
        homography,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(-1e4,),
    )
    mean, deviation = _moments(warped, window)
    product = cv2.blur(shot.gray * warped, (window, window))
    value = (product - shot.mean * mean) / np.maximum(shot.deviation * deviation, _FLAT**2)
    return np.where(mean < 0, -1.0, value)


def _confirmed(
    index: int,
    shots: list[_Shot],
    depths: list[np.ndarray],
    near_by: list[int],
    options: Sweep,
) -> tuple[np.ndarray, np.ndarray]:
    """World points [M,3] of a shot whose depth enough neighbours confirm, and where [H,W] bool."""
    shot, depth = shots[index], depths[index]
    good = depth > 0
    rows, columns = np.nonzero(good)
    z = depth[good]
    local = np.stack(
        (
            (columns + 0.5 - shot.K[0, 2]) / shot.K[0, 0] * z,
            (rows + 0.5 - shot.K[1, 2]) / shot.K[1, 1] * z,
            z,
        ),
        -1,
    )
    world = (local - shot.viewmat[:3, 3]) @ shot.viewmat[:3, :3]
    seeing, agreeing = np.zeros(len(world), int), np.zeros(len(world), int)
    for other in near_by:
        there = _local(shots[other], world)
        seen, column, row = _inside(shots[other], there)
        measured = depths[other][row, column]
        seeing += seen
        agreeing += (
            seen
            & (measured > 0)
            & (np.abs(measured - there[:, 2]) < options.tolerance * there[:, 2])
        )
    enough = agreeing >= np.clip(seeing, 1, options.confirmations)
    good[rows[~enough], columns[~enough]] = False
    return world[enough], good
