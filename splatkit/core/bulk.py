"""Where most of a scene is, and which of its Gaussians are too large to belong to it.

The *bulk* of a scene is a ball that floaters do not move: about the median centre, with most of
the Gaussians that can be seen in it. A *giant* is a Gaussian larger than that ball.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core.gaussians import Gaussians

SHARE = 0.7
"""Of the Gaussians that lie in the bulk."""
GIANT = 1.0
"""A giant's largest standard deviation is more than so many radii of the bulk."""
_SEEN = 0.1
"""Opacity above which a Gaussian counts, where there are enough of them."""
_FEW = 8
_LEAST_RADIUS = 1e-3


def bulk(gaussians: Gaussians) -> tuple[Tensor, float]:
    """Centre [3] float64 and radius of the bulk, world units; finite rows are expected."""
    means = gaussians.means.detach().double()[gaussians.opacities.detach() > _SEEN]
    if len(means) < _FEW:
        means = gaussians.means.detach().double()
    if len(means) == 0:
        return torch.zeros(3, dtype=torch.float64), 1.0
    center = means.median(0).values
    distances = (means - center).norm(dim=-1).sort().values
    radius = float(distances[int(SHARE * (len(distances) - 1))])
    return center, max(radius, _LEAST_RADIUS)


def giants(gaussians: Gaussians, radii: float = GIANT) -> Tensor:
    """[N] bool: whose largest standard deviation is above so many radii of the bulk."""
    return gaussians.scales.detach().amax(1) > radii * bulk(gaussians)[1]
