"""Nearest neighbours of points."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

_CHECKS = 64
"""Leaves of the search tree that are looked into: nearly all true neighbours are found."""
_KD_TREE = 4


def nearest_neighbours(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest other points of every point, nearest first.

    Args:
        points: [N,3] finite, on any device, N at least 2.
        count: how many; fewer come where there are no more.

    Returns:
        Distances [N,k] float32 and indices [N,k] int64 on the CPU.
    """
    flat = points.detach().float().cpu().contiguous().numpy()
    tree = cv2.flann.Index(flat, {"algorithm": _KD_TREE})
    wanted = min(count + 1, len(flat))
    ids, squares = tree.knnSearch(flat, wanted, params={"checks": _CHECKS})
    distances = torch.from_numpy(squares[:, 1:]).clamp_min(0).sqrt()
    return distances, torch.from_numpy(ids[:, 1:]).long()
