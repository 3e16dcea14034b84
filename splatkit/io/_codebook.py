"""Few values that stand for many: 256 numbers for a column, 65536 vectors for a scene.

Both are k-means by Lloyd's rounds, without chance: the same scene gives the same file.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.io._packing import Bytes, Floats

ENTRIES = 256
PALETTE_SIZE = 1 << 16

_ROUNDS = 100
_BINS = 256
_EVEN = 0.2
_GROUP_ROUNDS = 8
_PALETTE_ROUNDS = 4
_SAMPLES_PER_ENTRY = 32
_SAMPLES_PER_GROUP = 128
_BLOCK = 1 << 16


def codebook(values: Floats) -> Floats:
    """At most 256 sorted numbers that stand for the given ones with little squared error.

    Args:
        values: any shape, finite.

    Returns:
        Sorted; the values themselves when there are no more than 256 different ones.
    """
    ordered = np.sort(values, axis=None)
    if len(ordered) == 0:
        return np.zeros(1, np.float32)
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    if len(distinct) <= ENTRIES:
        return distinct
    # Panter and Dite (1951): the best entries lie as dense as the cube root of the values do;
    # a share spread evenly keeps the rare extremes (one huge splat) from being rounded away.
    counts, edges = np.histogram(ordered, _BINS)
    density = np.cbrt(counts)
    share = np.cumsum(density + _EVEN * density.mean())
    wanted = (np.arange(ENTRIES) + 0.5) / ENTRIES * share[-1]
    book = np.interp(wanted, share, edges[1:])
    totals = np.concatenate(([0.0], np.cumsum(ordered, dtype=np.float64)))
    for _ in range(_ROUNDS):
        cuts = np.searchsorted(ordered, (book[1:] + book[:-1]) / 2)
        bounds = np.concatenate(([0], cuts, [len(ordered)]))
        number = np.diff(bounds)
        sums = np.diff(totals[bounds])
        book = np.where(number > 0, sums / np.maximum(number, 1), book)
    return book.astype(np.float32)


def nearest_entries(values: Floats, book: Floats) -> Bytes:
    """For each value, which entry of a sorted codebook is closest."""
    return np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def palette(vectors: Tensor, size: int = PALETTE_SIZE) -> tuple[Tensor, NDArray[np.int64]]:
    """At most ``size`` vectors that stand for many, and which one stands for each.

    Args:
        vectors: [N,D] float32, neighbours in space close to each other.
        size: at least 4.

    Returns:
        [P,D] and [N]; the vectors themselves when there are no more than ``size``.
    """
    count = len(vectors)
    if count <= size:
        return vectors, np.arange(count)
    # Two levels, groups first and entries within each, cost a fraction of one.
    groups = math.isqrt(size)
    sample = vectors[:: max(1, count // (groups * _SAMPLES_PER_GROUP))]
    group = _nearest(vectors, _lloyd(sample, _spread_over(sample, groups), _GROUP_ROUNDS))
    labels = torch.empty(count, dtype=torch.int64)
    entries: list[Tensor] = []
    done = 0
    members_of = group.argsort(stable=True).split(group.bincount(minlength=groups).tolist())
    for members in members_of:
        if len(members) == 0:
            continue
        # One for each group, the rest by size: together never more than the palette holds.
        share = 1 + (len(members) - 1) * (size - groups) // count
        own = vectors[members]
        sample = own[:: max(1, len(own) // (share * _SAMPLES_PER_ENTRY))]
        centers = _lloyd(sample, _spread_over(own, share), _PALETTE_ROUNDS)
        labels[members] = done + _nearest(own, centers)
        entries.append(centers)
        done += len(centers)
    return torch.cat(entries), labels.numpy()


def _spread_over(vectors: Tensor, number: int) -> Tensor:
    return vectors[torch.linspace(0, len(vectors) - 1, number).round().long()]


def _nearest(vectors: Tensor, centers: Tensor) -> Tensor:
    offsets = centers.square().sum(1) / 2
    blocks = [(block @ centers.mT - offsets).argmax(1) for block in vectors.split(_BLOCK)]
    return torch.cat(blocks)


def _lloyd(vectors: Tensor, centers: Tensor, rounds: int) -> Tensor:
    for _ in range(rounds):
        labels = _nearest(vectors, centers)
        number = labels.bincount(minlength=len(centers))[:, None]
        sums = torch.zeros_like(centers).index_add_(0, labels, vectors)
        centers = torch.where(number > 0, sums / number.clamp(min=1), centers)
    return centers
