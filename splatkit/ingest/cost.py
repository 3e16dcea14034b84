"""What finding the cameras will take: time, memory, disk.

Times are counted in units of a small piece of the same work (SIFT on a fixed picture) that is
timed on the spot, so that they hold on a fast machine and on a busy one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from splatkit.ingest.config import IngestConfig
from splatkit.ingest.pairs import ALIKE, ALL_PAIRS_UP_TO, FOLLOWING

FEATURES_UNITS = 14.0
"""Finding features, per megapixel of a photo's copy."""
PAIR_UNITS = 1.1
"""Matching two photos of 8,192 features each and verifying the matches."""
PLACING_UNITS = 5.0
"""Placing one photo."""
FEATURES_PER_PIXEL = 0.011
"""What photos with texture have."""
_BASE_BYTES = 450_000_000
_UNIT_SIZE = 256


@dataclass(frozen=True)
class Cost:
    """An estimate; a set that is hard to place takes several times as long."""

    seconds: float
    memory_bytes: int
    disk_bytes: int


def estimate(
    copies: Sequence[tuple[int, int]], photos: Sequence[tuple[int, int]], config: IngestConfig
) -> Cost:
    """Estimate the work on photos.

    Args:
        copies: widths and heights at which features are looked for.
        photos: widths and heights of the photos themselves.
        config: threads and numbers of features.
    """
    count = len(copies)
    threads = config.threads or os.cpu_count() or 1
    features = [min(config.max_features, FEATURES_PER_PIXEL * w * h) for w, h in copies]
    usual = float(np.mean(features)) if features else 0.0
    partners = (count - 1) / 2 if count <= ALL_PAIRS_UP_TO else ALIKE + FOLLOWING
    pairs = count * partners
    work = FEATURES_UNITS * sum(w * h for w, h in copies) / 1e6
    work += PAIR_UNITS * pairs * (usual / 8192) ** 1.5
    alone = PLACING_UNITS * count * (usual / 4096)
    pixels = sum(w * h for w, h in photos)
    largest = max((w * h for w, h in photos), default=0)
    memory = _BASE_BYTES + threads * (largest * 12 + 300_000_000) + int(usual * count * 600)
    disk = int(0.9 * pixels + 0.4 * sum(w * h for w, h in copies) + 200 * usual * count)
    return Cost((work / threads + alone) * unit_seconds(), memory, disk)


def unit_seconds() -> float:
    """Seconds that the piece of work takes here and now: the median of a few."""
    chance = np.random.default_rng(0)
    noise = chance.integers(0, 256, (_UNIT_SIZE // 4, _UNIT_SIZE // 4), dtype=np.uint8)
    picture = cv2.resize(noise, (_UNIT_SIZE, _UNIT_SIZE), interpolation=cv2.INTER_CUBIC)
    detector = cv2.SIFT.create()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        detector.detectAndCompute(picture, None)
        times.append(time.perf_counter() - start)
    return float(np.median(times))
