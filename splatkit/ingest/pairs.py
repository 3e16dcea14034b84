"""Which pairs of photos are worth matching.

Small sets are matched whole. In larger ones a photo is matched with its neighbours: those that
follow it by name, those that stand near it by GPS, and those that look alike. Likeness compares
one vector a photo: differences of its descriptors from the words of a vocabulary, summed by word
(Jegou et al., *Aggregating local descriptors into a compact image representation*, 2010;
normalised as Arandjelovic and Zisserman, *All about VLAD*, 2013). The vocabulary is made of the
set's own descriptors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from splatkit.ingest.geography import Place, east_north_up

NEIGHBOURS_FIRST_ABOVE = 30
"""Photos; of more only neighbours are matched at first, all pairs when that is not enough."""
ALL_PAIRS_UP_TO = 100
"""Photos; of more each is matched with its neighbours alone."""
FOLLOWING = 6
"""Neighbours by name of a large set; each further one at twice the distance is added, too."""
NEAR = 14
"""Neighbours by GPS."""
ALIKE = 14
"""Neighbours by likeness."""
_USUAL_NEIGHBOURS = 8
"""Pairs that ``neighbour_pairs`` finds for a photo: most that look alike do so mutually."""
_WORDS = 64
_TRAINING = 40_000
_ROUNDS = 12
_FEWEST_WITH_GPS = 0.8


def all_pairs(count: int) -> list[tuple[int, int]]:
    """Every pair of ``count`` photos."""
    return list(itertools.combinations(range(count), 2))


def expected_pairs(count: int) -> tuple[int, int]:
    """About how many pairs of ``count`` photos are matched at first, and when that is too few."""
    every = count * (count - 1) // 2
    near = min(every, _USUAL_NEIGHBOURS * count)
    return (
        near if count > NEIGHBOURS_FIRST_ABOVE else every,
        near if count > ALL_PAIRS_UP_TO else every,
    )


def neighbour_pairs(
    count: int, likeness: np.ndarray, places: Sequence[Place | None], video: bool
) -> list[tuple[int, int]]:
    """Pairs of a large set.

    Args:
        count: photos, in the order of their names.
        likeness: [count,count] as ``likeness_of`` gives it.
        places: where each photo was taken, as far as known.
        video: whether the photos are frames of one video, where most neighbours are the
            following ones and likeness only finds the way back to where the camera had been.

    Returns:
        Sorted pairs, the smaller number first.
    """
    found: set[tuple[int, int]] = set()
    steps = [*range(1, FOLLOWING + 1), *(FOLLOWING << k for k in range(1, 4))] if video else [1, 2]
    for step in steps:
        found.update((i, i + step) for i in range(count - step))
    known = [i for i, place in enumerate(places) if place is not None]
    alike = ALIKE
    if len(known) >= _FEWEST_WITH_GPS * count:
        meters = east_north_up([place for place in places if place is not None])[:, :2]
        for i, here in zip(known, meters, strict=True):
            distance = np.linalg.norm(meters - here, axis=1)
            for k in np.argsort(distance, kind="stable")[1 : NEAR + 1]:
                found.add((min(i, known[k]), max(i, known[k])))
        alike //= 2
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    # In a video those that follow each other are alike and matched already.
    scores = np.where(apart <= (FOLLOWING if video else 0), -np.inf, likeness)
    for i in range(count):
        for k in np.argsort(-scores[i], kind="stable")[:alike]:
            if np.isfinite(scores[i, k]):
                found.add((min(i, int(k)), max(i, int(k))))
    return sorted(found)


def likeness_of(descriptors: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """[C,C] likeness of photos, -1 to 1, by their [M,128] uint8 SIFT descriptors."""
    chance = np.random.default_rng(seed)
    share = max(1, _TRAINING // max(len(descriptors), 1))
    sample = np.concatenate([_some(d, share, chance) for d in descriptors])
    words = _vocabulary(_unit(sample), chance)
    vectors = np.stack([_summary(_unit(d), words) for d in descriptors])
    return vectors @ vectors.T


def _some(rows: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    if len(rows) <= count:
        return rows
    return rows[np.sort(chance.choice(len(rows), count, replace=False))]


def _unit(rows: np.ndarray) -> np.ndarray:
    floats = rows.astype(np.float32)
    return floats / np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-6)


def _vocabulary(sample: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """[W,D] k-means centres."""
    words = _some(sample, _WORDS, chance)
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, words)
        for k in range(len(words)):
            mine = sample[nearest == k]
            if len(mine):
                words[k] = mine.mean(0)
    return words


def _nearest(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    return (rows @ words.T - (words**2).sum(1) / 2).argmax(1)


def _summary(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    total = np.zeros_like(words)
    if len(rows):
        nearest = _nearest(rows, words)
        np.add.at(total, nearest, rows - words[nearest])
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6)
    flat = total.ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)
