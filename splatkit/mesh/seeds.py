"""Triangles to begin with: those of a surface, and one for each Gaussian that shows.

A Gaussian's triangle has the same plane, shape, colour and mass. In the plane of its two longer
axes a Gaussian of deviations a, b and opacity o has the mass 2 pi a b o. An equilateral triangle of
circumradius R, stretched by a and b, has the area 1.299 R^2 a b, of which the window lets
2 / ((s + 1)(s + 2)) count at softness s: equal masses need R = sqrt(2.418 (s + 1)(s + 2)).
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Progress, SplatkitError, Triangles
from splatkit.core.sh import rgb_from_sh
from splatkit.core.transforms import rotation_from_quat
from splatkit.mesh.paint import painted
from splatkit.mesh.surface import surface
from splatkit.render import render
from splatkit.train.photos import View

SURFACE_SHARE, GAUSSIAN_SHARE = 0.5, 0.3
"""Of the triangles that may be in the end: what the surface and the Gaussians begin with. The rest
is for dividing where the photos ask for more."""
LEAST_OPACITY = 0.5
"""Of Gaussians that become solid: fainter ones would hide what photos see through them."""
_MASS = 2 * math.pi / (0.75 * math.sqrt(3)) / 2


def splat_seeds(
    gaussians: Gaussians,
    views: list[View],
    background: Tensor,
    *,
    count: int,
    cells: int,
    backend: str = "auto",
) -> Generator[Event, None, Triangles]:
    """The solid triangles that splats begin as.

    Args:
        gaussians: the scene.
        views: photos and cameras.
        background: [3] sRGB behind the scene.
        count: triangles that may be in the end.
        cells: see ``surface``.
        backend: see ``render``.

    Raises:
        SplatkitError: no view shows a surface.
    """
    bare = yield from surface(
        gaussians,
        views,
        cells=cells,
        triangles=round(SURFACE_SHARE * count),
        backend=backend,
    )
    colored = yield from painted(bare, views, background, steps=0)
    weights = yield from shown(gaussians, views, backend)
    # A surface with many open edges may have more triangles than were asked for.
    room = max(0, min(round(GAUSSIAN_SHARE * count), count - len(colored)))
    return with_surface(colored, triangles_of(gaussians, weights, room, 0.0))


def circumradius(softness: float) -> float:
    """Of the triangle of a Gaussian's mass, in its standard deviations."""
    return math.sqrt(_MASS * (softness + 1) * (softness + 2))


def shown(gaussians: Gaussians, views: list[View], backend: str) -> Generator[Event, None, Tensor]:
    """[N] what each Gaussian shows to the views: its blend weights summed over their pixels."""
    total = torch.zeros(len(gaussians))
    for done, view in enumerate(views):
        with torch.no_grad():
            drawn = render(
                gaussians, view.camera, sh_degree=0, outputs=("weights",), backend=backend
            )
        assert drawn.weight_sum is not None
        total += drawn.weight_sum
        yield Progress("Looking for what shows", done + 1, len(views))
    return total


def triangles_of(gaussians: Gaussians, weights: Tensor, count: int, softness: float) -> Triangles:
    """One triangle each for the Gaussians that show most, with vertices of its own.

    Args:
        gaussians: N Gaussians.
        weights: [N] what each shows.
        count: triangles, at most.
        softness: that the triangles will be drawn with at first. Where they are solid (0), faint
            Gaussians are left out, be it all.

    Returns:
        Triangles with colours (of degree 0) and opacities at vertices.

    Raises:
        SplatkitError: no Gaussian shows.
    """
    chosen = weights.argsort(descending=True, stable=True)
    chosen = chosen[weights[chosen] > 0]
    if len(chosen) == 0:
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    if softness == 0:
        chosen = chosen[gaussians.opacities[chosen] >= LEAST_OPACITY]
    some = gaussians[chosen[:count]]
    scales, axes = some.scales.sort(dim=-1, descending=True)
    directions = rotation_from_quat(some.quats).gather(-1, axes[:, None].expand(-1, 3, -1))
    # Turned by the golden angle from one to the next, so that no direction is preferred.
    phase = torch.arange(len(some)) * (math.pi * (3 - math.sqrt(5)))
    angles = phase[:, None] + torch.arange(3) * (2 * math.pi / 3)
    along = circumradius(softness) * torch.stack((angles.cos(), angles.sin()), -1)
    offsets = along * scales[:, None, :2]
    vertices = some.means[:, None] + offsets @ directions[..., :2].mT
    colors = rgb_from_sh(some.sh[:, 0]).clamp(0, 1)
    return Triangles(
        vertices.reshape(-1, 3),
        torch.arange(3 * len(some), dtype=torch.int32).view(-1, 3),
        colors=colors.repeat_interleave(3, 0),
        opacities=some.opacities.repeat_interleave(3, 0),
    )


def with_surface(surface: Triangles, seeds: Triangles) -> Triangles:
    """The triangles of a surface with vertex colours, loose and opaque, and others after them."""
    assert surface.colors is not None
    assert seeds.colors is not None
    assert seeds.opacities is not None
    corners = surface.faces.long().view(-1)
    count = len(surface) + len(seeds)
    return Triangles(
        torch.cat((surface.vertices[corners], seeds.vertices)),
        torch.arange(3 * count, dtype=torch.int32).view(-1, 3),
        colors=torch.cat((surface.colors[corners], seeds.colors)),
        opacities=torch.cat((torch.ones(len(corners)), seeds.opacities)),
    )
