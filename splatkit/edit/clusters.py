"""Connected clusters: Gaussians that touch, directly or over others."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.neighbours import nearest_neighbours

REACH = 2.0
"""Two Gaussians touch where their centres are nearer than this many of their largest standard
deviations together."""
NEIGHBOURS = 8
"""Of each Gaussian so many others are asked whether they touch."""


def cluster_sizes(
    gaussians: Gaussians, neighbours: tuple[Tensor, Tensor] | None = None, reach: float = REACH
) -> Tensor:
    """How many Gaussians the cluster of each one has.

    Args:
        gaussians: N.
        neighbours: distances and ids [N,k] as ``nearest_neighbours`` gives them, where they are
            known already.
        reach: see ``REACH``.

    Returns:
        [N] int64 on the CPU.
    """
    count = len(gaussians)
    if count < 2:
        return torch.ones(count, dtype=torch.long)
    distances, ids = neighbours or nearest_neighbours(gaussians.means, NEIGHBOURS)
    sizes = gaussians.scales.detach().max(1).values.float().cpu()
    touches = distances < reach * (sizes[:, None] + sizes[ids])
    one, slot = touches.nonzero(as_tuple=True)
    labels = _components(count, one, ids[one, slot])
    return labels.bincount(minlength=count)[labels]


def _components(count: int, one: Tensor, other: Tensor) -> Tensor:
    """[N] int64: the smallest index of each connected component.

    The two ends of every edge take the smaller of their labels, and labels follow one another to
    the root, until nothing changes (Shiloach and Vishkin 1982).
    """
    labels = torch.arange(count)
    while True:
        least = torch.minimum(labels[one], labels[other])
        found = labels.clone()
        # The roots of both ends, not the ends alone, learn of the smaller label.
        for ends in (labels[one], labels[other], one, other):
            found.scatter_reduce_(0, ends, least, "amin")
        while True:
            jumped = found[found]
            if torch.equal(jumped, found):
                break
            found = jumped
        if torch.equal(found, labels):
            return labels
        labels = found
