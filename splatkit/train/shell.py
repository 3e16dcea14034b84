"""A far sphere where no photo looked, so that new views show no black holes there.

It is added behind everything when training has ended, in directions that no training photo
covers, with the colours of the nearest directions that one does. (As part of training it was
worse: distant things settle on it at a wrong depth.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.cameras import unprojected
from splatkit.train.initialize import gaussians_at
from splatkit.train.photos import View

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_PATCH = 16
"""Photos are looked at in cells of this many pixels."""


@dataclass(frozen=True)
class Shell:
    """How the far sphere is made."""

    count: int = 2500
    """Gaussians on it; 0 for none."""
    distance: float = 3.0
    """Its radius, in units of the distance of the farthest sparse points (98 of 100 are nearer)."""
    opacity: float = 0.9
    softness: float = 0.2
    """Width of the kernel that carries colours to unseen directions, radians."""


def unseen_shell(
    views: list[View], points: Tensor, options: Shell, max_count: int, sh_degree: int
) -> Gaussians:
    """Gaussians of the far sphere that no training photo shows.

    Args:
        views: training photos.
        points: [P,3] points of the scene, world frame.
        options: see there.
        max_count: the whole sphere has at most this many.
        sh_degree: degree of the harmonics to make room for.
    """
    options = replace(options, count=min(options.count, max_count))
    centers, colors, size = shell_points(views, points, options)
    shell = gaussians_at(centers, colors, options.opacity, sh_degree)
    shell.log_scales[:] = math.log(size)
    unseen = torch.ones(len(shell), dtype=torch.bool)
    for view in views:
        unseen &= ~_in_view(view.camera, centers, size)
    return shell[unseen]


def _in_view(camera: Cameras, centers: Tensor, size: float) -> Tensor:
    """[M] bool: which round Gaussians reach into the picture with their standard deviation."""
    local = centers @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    K = camera.Ks[0]
    z = local[:, 2].clamp_min(1e-6)
    x, y = local[:, 0] / z * K[0, 0] + K[0, 2], local[:, 1] / z * K[1, 1] + K[1, 2]
    across, down = size / z * K[0, 0], size / z * K[1, 1]
    return (
        (local[:, 2] > 0)
        & (x + across > 0)
        & (x - across < camera.width)
        & (y + down > 0)
        & (y - down < camera.height)
    )


def shell_points(views: list[View], points: Tensor, options: Shell) -> tuple[Tensor, Tensor, float]:
    """Centres [M,3] and sRGB colours [M,3] of the sphere, and its Gaussians' standard deviation.

    Args:
        views: training photos.
        points: [P,3] points of the scene, world frame.
        options: see there.
    """
    positions = torch.cat([view.camera.positions for view in views])
    center = positions.mean(0)
    reach = torch.cat((points, positions)).sub(center).norm(dim=-1)
    radius = options.distance * max(float(reach.quantile(0.98)), 1e-3)
    directions = fibonacci_sphere(options.count)
    seen, shown = _seen_colors(views)
    colors = _spread_colors(directions, seen, shown, options.softness)
    spacing = radius * math.sqrt(4 * math.pi / max(options.count, 1))
    return center + radius * directions, colors, 0.7 * spacing


def fibonacci_sphere(count: int) -> Tensor:
    """[count,3] unit vectors, evenly spread."""
    index = torch.arange(count) + 0.5
    y = 1 - 2 * index / max(count, 1)
    across = (1 - y * y).sqrt()
    return torch.stack((across * (_GOLDEN_ANGLE * index).cos(), y,
                        across * (_GOLDEN_ANGLE * index).sin()), -1)  # fmt: skip


def _seen_colors(views: list[View]) -> tuple[Tensor, Tensor]:
    """World directions [S,3] that photos look in, and the mean colours [S,3] they show there."""
    directions, colors = [], []
    for view in views[:: max(1, len(views) // 64)]:
        small = view.reduced(max(1, min(_PATCH, view.camera.width // 4, view.camera.height // 4)))
        camera, image = small.camera, small.image[0].float() / 255
        ahead = unprojected(torch.ones(camera.height, camera.width), camera.Ks[0])
        world = torch.nn.functional.normalize(ahead @ camera.viewmats[0, :3, :3], dim=-1)
        keep = torch.ones(camera.height, camera.width, dtype=torch.bool)
        if small.mask is not None:
            keep = small.mask[0] > 0
        directions.append(world[keep])
        colors.append(image[keep])
    return torch.cat(directions), torch.cat(colors)


def _spread_colors(directions: Tensor, seen: Tensor, shown: Tensor, softness: float) -> Tensor:
    """[M,3] colours of directions: means of what was seen, weighted by nearness."""
    result = torch.empty_like(directions)
    mean = shown.mean(0)
    for start in range(0, len(directions), 256):
        cosine = directions[start : start + 256] @ seen.T
        weights = torch.exp((cosine - 1) / softness**2)
        total = weights.sum(-1, keepdim=True)
        # A grain of the overall mean decides where nothing was seen near by.
        grain = 1e-3
        result[start : start + 256] = (weights @ shown + grain * mean) / (total + grain)
    return result.clamp(0, 1)
