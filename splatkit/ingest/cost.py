"""What finding the cameras will take: time, memory, disk.

Times are counted in units of a small piece of the same work (SIFT on a fixed picture, one thread)
that is timed on the spot, so that they hold on a fast machine and on a busy one. The figures come
from six sets of 11 to 50 photos, and one of 800, on two idle cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from splatkit.ingest.config import IngestConfig
from splatkit.ingest.pairs import expected_pairs

READING_UNITS = 2.4
"""Reading and undistorting photos, per megapixel of them."""
PIXELS_UNITS = 8.3
"""Looking for features, per megapixel of a photo's copy ..."""
FEATURES_UNITS = 1.4
"""... and describing a thousand, those that are over the limit afterwards among them."""
FINE_FEATURES = 4.0
"""How many times as long fine features take (``ladder``)."""
PAIR_UNITS = 4.5
"""Matching two photos of 8,192 features each: each feature of one is held against each of the
other ..."""
VERIFYING_UNITS = 0.3
"""... and verifying the matches."""
PLACING_UNITS = 4.3
"""Placing one photo of 4,096 features, on one thread."""
IN_PARTS_ABOVE = 400
"""Photos; more are placed in parts that are joined afterwards ..."""
PARTS_FACTOR = 2.8
"""... which takes so many times as long a photo: all are adjusted together, again and again."""
MOST_FEATURES_PER_PIXEL = 0.016
"""More than that, on a small picture, is noise and fine grain that cost time and place nothing."""
MOST_FEATURES_TOGETHER = 1_000_000
"""Of all photos: the memory that placing takes does not grow with the set ..."""
_FEWEST_FEATURES = 1000
"""... until it is so large that photos would be left with fewer than this."""
_DIRECTIONS = 1.5
"""Features beyond the limit: one that points in two directions counts twice."""
_STAGE_SECONDS = 0.8
"""Starting a process for each of features, matches, placing and refining."""
_STAGES = 4
_PARENT_BYTES = 400_000_000
_MAPPER_BYTES = 230_000_000
_BYTES_PER_READ_PIXEL = 12
_BYTES_PER_COPY_PIXEL = 210
"""Of the copy in which a thread looks for features."""
_BYTES_PER_FEATURE = 800
_CONTRAST = 0.02
"""Threshold at which OpenCV's detector finds nearly as many features as the mapper's ..."""
_MORE_FEATURES = 1.12
"""... and how many times as many the mapper's finds."""
_UNIT_SIZE = 256
_UNITS = 15


@dataclass(frozen=True)
class Cost:
    """An estimate; a set that is hard to place takes several times as long."""

    seconds: float
    fine_seconds: float
    """What a closer look at all photos would add."""
    memory_bytes: int
    """Of this process and the mapper's together."""
    disk_bytes: int


def estimate(
    copies: Sequence[tuple[int, int]],
    photos: Sequence[tuple[int, int]],
    config: IngestConfig,
    density: float,
    unit: float,
) -> Cost:
    """Estimate the work on photos.

    Args:
        copies: widths and heights at which features are looked for.
        photos: widths and heights of the photos themselves.
        config: threads and numbers of features.
        density: features per pixel of the copies, as ``feature_density`` tells it.
        unit: what ``unit_seconds`` found.
    """
    count = len(copies)
    threads = config.threads or os.cpu_count() or 1
    found = [density * width * height for width, height in copies]
    limits = [most_features(config.max_features, *size, count) for size in copies]
    kept = [min(_DIRECTIONS * limit, many) for limit, many in zip(limits, found, strict=True)]
    usual = float(np.mean(kept)) if kept else 0.0
    pixels = sum(w * h for w, h in photos)
    reading = READING_UNITS * pixels / 1e6 / threads
    finding = PIXELS_UNITS * sum(w * h for w, h in copies) / 1e6
    finding = (finding + FEATURES_UNITS * sum(found) / 1e3) / threads
    each = PAIR_UNITS * (usual / 8192) ** 2 + VERIFYING_UNITS
    matching, matching_all = (each * pairs / threads for pairs in expected_pairs(count))
    placing = PLACING_UNITS * count * (usual / 4096)
    if count > IN_PARTS_ABOVE:
        placing *= PARTS_FACTOR
    start = _STAGES * _STAGE_SECONDS
    largest = max((w * h for w, h in photos), default=0)
    largest_copy = max((w * h for w, h in copies), default=0)
    memory = _PARENT_BYTES + max(
        threads * largest * _BYTES_PER_READ_PIXEL,
        _MAPPER_BYTES + threads * largest_copy * _BYTES_PER_COPY_PIXEL,
        _MAPPER_BYTES + int(usual * count * _BYTES_PER_FEATURE),
    )
    return Cost(
        start + (reading + finding + matching + placing) * unit,
        start + (FINE_FEATURES * finding + matching_all + placing) * unit,
        memory,
        int(0.9 * pixels + 0.4 * sum(w * h for w, h in copies) + 200 * usual * count),
    )


def most_features(wanted: int, width: int, height: int, photos: int) -> int:
    """Features that are looked for in one of so many pictures when the user allows ``wanted``."""
    share = max(_FEWEST_FEATURES, MOST_FEATURES_TOGETHER // photos)
    return max(1, min(wanted, share, round(MOST_FEATURES_PER_PIXEL * width * height)))


def feature_density(copies: Iterable[np.ndarray]) -> float:
    """Features per pixel that the mapper will find in pictures like these [H,W,3], uint8."""
    detector = cv2.SIFT.create(contrastThreshold=_CONTRAST)
    found = [
        len(detector.detect(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY))) / copy[..., 0].size
        for copy in copies
    ]
    return _MORE_FEATURES * float(np.mean(found)) if found else 0.0


def some_of(names: Sequence[str]) -> list[str]:
    """A few photos that stand for all."""
    return [names[i] for i in sorted({len(names) * k // 6 for k in (1, 3, 5)})] if names else []


def threads_within(memory_bytes: int, copies: Sequence[tuple[int, int]], threads: int) -> int:
    """How many of ``threads`` find room in the memory that is free, one at least."""
    each = max((w * h for w, h in copies), default=1) * _BYTES_PER_COPY_PIXEL
    return max(1, min(threads, (memory_bytes - _MAPPER_BYTES) // each))


def in_words(seconds: float) -> str:
    """A duration as exact as an estimate is: ``40 s``, ``3 min``."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{round(seconds / 60)} min"


def unit_seconds() -> float:
    """Seconds that the piece of work takes here and now: the least of many, as
    processors change their speed within seconds, and what takes minutes meets them at their usual.
    """
    chance = np.random.default_rng(0)
    noise = chance.integers(0, 256, (_UNIT_SIZE // 4, _UNIT_SIZE // 4), dtype=np.uint8)
    picture = cv2.resize(noise, (_UNIT_SIZE, _UNIT_SIZE), interpolation=cv2.INTER_CUBIC)
    detector = cv2.SIFT.create()
    times = []
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _ in range(_UNITS):
            start = time.perf_counter()
            detector.detectAndCompute(picture, None)
            times.append(time.perf_counter() - start)
    finally:
        cv2.setNumThreads(before)
    return min(times)
