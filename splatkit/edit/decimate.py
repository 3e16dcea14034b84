"""Fewer Gaussians: those that show least go first.

How much one shows is measured: the blend weights that it gets in all pixels of many views, summed
(what LightGaussian, arXiv 2311.17245, calls its significance, without a power of the volume).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.bulk import bulk
from splatkit.render import render
from splatkit.render.paths import circle

VIEWS = 48
"""At most so many of the photos' cameras are rendered."""
LONG_SIDE = 480
"""Pixels of the views that are measured."""
SEEN = 0.01
"""A view sees a Gaussian whose blend weight is above this in some pixel."""
RINGS = (-35.0, 0.0, 35.0)
"""Degrees that circles around a scene without photos are tilted by, about the scene's x axis."""
RING_VIEWS = 12


def most_seen(
    gaussians: Gaussians, cameras: Cameras, limit: int, backend: str = "auto"
) -> Gaussians:
    """The ``limit`` Gaussians of largest contribution, in their old order.

    Args:
        gaussians: N, returned as they are when N <= limit.
        cameras: C views in which the contribution is measured.
        limit: at least 1.
        backend: see ``render``.
    """
    if len(gaussians) <= limit:
        return gaussians
    return gaussians[most_seen_mask(gaussians, cameras, limit, backend)]


def most_seen_mask(
    gaussians: Gaussians, cameras: Cameras, limit: int, backend: str = "auto"
) -> Tensor:
    """[N] bool: the ``limit`` Gaussians of largest contribution, all where there are no more."""
    shown = contribution(gaussians, cameras, backend)
    # Those that no view sees are ranked by their own opacity, behind all others.
    rank = shown + gaussians.opacities.detach().to(shown) * 1e-12
    mask = torch.zeros(len(gaussians), dtype=torch.bool, device=gaussians.device)
    mask[rank.topk(min(limit, len(gaussians))).indices.to(mask.device)] = True
    return mask


def contribution(gaussians: Gaussians, cameras: Cameras, backend: str = "auto") -> Tensor:
    """[N] blend weights summed over the pixels of all views."""
    return views_and_contribution(gaussians, cameras, backend)[1]


def views_and_contribution(
    gaussians: Gaussians, cameras: Cameras, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """How many views see each Gaussian, and how much of it they show.

    Args:
        gaussians: N.
        cameras: C views of one size.
        backend: see ``render``.

    Returns:
        [N] int64 views in which one pixel or more shows at least ``SEEN`` of it, and [N] float64
        blend weights summed over the pixels of all views; both on the CPU.
    """
    seen = torch.zeros(len(gaussians), dtype=torch.long)
    total = torch.zeros(len(gaussians), dtype=torch.float64)
    with torch.no_grad():
        for index in range(len(cameras)):
            view = cameras[index : index + 1].to(gaussians.means.dtype)
            rendered = render(gaussians, view, outputs=("weights",), backend=backend)
            assert rendered.weight_sum is not None
            assert rendered.weight_max is not None
            total += rendered.weight_sum.double().cpu()
            seen += (rendered.weight_max > SEEN).cpu()
    return seen, total


def views_around(gaussians: Gaussians) -> Cameras:
    """Views of a scene that comes without cameras: three tilted circles."""
    flat = circle(gaussians, RING_VIEWS, LONG_SIDE, LONG_SIDE * 3 // 4)
    focus, _ = bulk(gaussians)
    rings = []
    for degrees in RINGS:
        angle = math.radians(degrees)
        about = torch.eye(4, dtype=torch.float64)
        about[1, 1] = about[2, 2] = math.cos(angle)
        about[2, 1], about[1, 2] = math.sin(angle), -math.sin(angle)
        about[:3, 3] = focus - about[:3, :3] @ focus
        rings.append(flat.viewmats @ about)
    Ks = flat.Ks.repeat(len(RINGS), 1, 1)
    return Cameras(torch.cat(rings), Ks, flat.width, flat.height)
