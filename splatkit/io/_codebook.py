"""Few values that stand for many: 256 numbers for a column, 65536 vectors for a scene.

Both are k-means by Lloyd's rounds, without chance: the same scene gives the same file.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.io._packing import BLOCK, Bytes, Floats, blocks

ENTRIES = 256
PALETTE_SIZE = 1 << 16

_ROUNDS = 100
_BINS = 256
_EVEN = 0.2
_PALETTE_ROUNDS = 4
_SAMPLES_PER_ENTRY = 32
_SPREAD_SAMPLES = 4096
_BLOCK = 1 << 22
"""Distances held at once."""


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
    new = ordered[1:] != ordered[:-1]
    if np.count_nonzero(new) < ENTRIES:
        return np.concatenate((ordered[:1], ordered[1:][new]))
    # Panter and Dite (1951): the best entries lie as dense as the cube root of the values do;
    # a share spread evenly keeps the rare extremes (one huge splat) from being rounded away.
    counts, edges = np.histogram(ordered, _BINS)
    density = np.cbrt(counts)
    share = np.cumsum(density + _EVEN * density.mean())
    wanted = (np.arange(ENTRIES) + 0.5) / ENTRIES * share[-1]
    book = np.interp(wanted, share, edges[1:])
    totals = np.zeros(len(ordered) + 1)
    np.cumsum(ordered, out=totals[1:], dtype=np.float64)
    for _ in range(_ROUNDS):
        cuts = np.searchsorted(ordered, (book[1:] + book[:-1]) / 2)
        bounds = np.concatenate(([0], cuts, [len(ordered)]))
        number = np.diff(bounds)
        sums = np.diff(totals[bounds])
        book = np.where(number > 0, sums / np.maximum(number, 1), book)
    return book.astype(np.float32)


def nearest_entries(values: Floats, book: Floats) -> Bytes:
    """For each value, which entry of a sorted codebook is closest."""
    out = np.empty(values.shape, np.uint8)
    for part in blocks(len(values)):
        out[part] = np.searchsorted((book[1:] + book[:-1]) / 2, values[part])
    return out


def palette(
    vectors: Tensor, size: int = PALETTE_SIZE, order: Tensor | None = None
) -> tuple[Tensor, NDArray[np.int64]]:
    """At most ``size`` vectors that stand for many, and which one stands for each.

    Args:
        vectors: [N,D] float32, finite; never copied as a whole.
        size: at least 4.
        order: [N] int64 rows of ``vectors`` in the order to take them; None as they are.

    Returns:
        [P,D], and [N] for each in that order; exact when there are no more than ``size``
        different vectors.
    """
    order = torch.arange(len(vectors)) if order is None else order
    rows, which = _distinct(vectors, order)
    if len(rows) <= size:
        return vectors[rows], which.numpy()
    # Two levels, equal groups first and entries within each, cost a fraction of one.
    groups = _halved(vectors, rows, math.isqrt(size))
    spread = torch.stack([vectors[g].var(0, unbiased=False).sum() for g in groups]).sqrt()
    weights = spread.double() * torch.tensor([len(g) for g in groups])
    shares = weights / weights.sum().clamp(min=1e-30) * (size - len(groups))
    labels = torch.empty(len(vectors), dtype=torch.int64)
    entries: list[Tensor] = []
    done = 0
    for members, share in zip(groups, shares.long().tolist(), strict=True):
        own = vectors[members]
        number = min(1 + share, len(own))
        sample = own[:: max(1, len(own) // (number * _SAMPLES_PER_ENTRY))]
        centers = _lloyd(sample, _spread_over(own, number))
        labels[members] = done + _nearest(own, centers)
        entries.append(centers)
        done += number
    return torch.cat(entries), labels[rows[which]].numpy()


def _distinct(vectors: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the different vectors by their first place in an order, and where each one went."""
    count, width = vectors.shape
    if count == 0:
        return order, order
    # One number a row by its bits: far faster to sort than rows. Two rows with one number would
    # be a rare accident; then every row counts as different.
    odd = torch.arange(1, 2 * width, 2, dtype=torch.int64) * 0x9E3779B97F4A7C1
    bits = vectors.view(torch.int32)
    keys = torch.empty(count, dtype=torch.int64)
    for part in blocks(count):
        torch.mv(bits[part].long(), odd, out=keys[part])
    _, inverse = keys[order].unique(return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), count).scatter_reduce_(
        0, inverse, torch.arange(count), "amin"
    )
    rank = first.argsort().argsort()
    which, rows = rank[inverse], order[first.sort().values]
    pairs = zip(rows[which].split(BLOCK), order.split(BLOCK), strict=True)
    if not all(torch.equal(vectors[one], vectors[other]) for one, other in pairs):
        return order, torch.arange(count)
    return rows, which


def _halved(vectors: Tensor, rows: Tensor, number: int) -> list[Tensor]:
    """At least ``number`` groups of equal size, cut at the median of where they spread most."""
    groups = [rows]
    while len(groups) < number:
        halves: list[Tensor] = []
        for group in groups:
            step = max(1, len(group) // _SPREAD_SAMPLES)
            axis = int(vectors[group[::step]].var(0, unbiased=False).argmax())
            order = group[vectors[group, axis].argsort(stable=True)]
            halves += order.tensor_split(2)
        groups = halves
    return groups


def _spread_over(vectors: Tensor, number: int) -> Tensor:
    return vectors[torch.linspace(0, len(vectors) - 1, number).round().long()]


def _nearest(vectors: Tensor, centers: Tensor) -> Tensor:
    offsets = centers.square().sum(1) / 2
    rows = max(1, _BLOCK // len(centers))
    blocks = [(block @ centers.mT - offsets).argmax(1) for block in vectors.split(rows)]
    return torch.cat(blocks)


def _lloyd(vectors: Tensor, centers: Tensor) -> Tensor:
    for _ in range(_PALETTE_ROUNDS):
        labels = _nearest(vectors, centers)
        number = labels.bincount(minlength=len(centers))[:, None]
        sums = torch.zeros_like(centers).index_add_(0, labels, vectors)
        centers = torch.where(number > 0, sums / number.clamp(min=1), centers)
    return centers
