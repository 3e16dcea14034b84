"""The Gaussians that training starts from."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Scene
from splatkit.core.neighbours import nearest_neighbours
from splatkit.core.sh import count_from_degree, sh_from_rgb
from splatkit.train.photos import View
from splatkit.train.sweep import Sweep, dense_points

_NEIGHBOURS = 3


@dataclass(frozen=True)
class Initialization:
    """How Gaussians are placed before the first step."""

    opacity: float = 0.5
    """Opacity of each on a surface."""
    scale: float = 1.0
    """Standard deviation, in units of the mean distance to the three nearest others."""
    dense_share: float = 0.4
    """Share of the final number of Gaussians that starts on surfaces found by plane sweep."""
    sweep: Sweep = field(default_factory=Sweep)
    least_points: int = 500
    """With fewer points than this in all, the cameras' common volume is filled as well."""
    fill: int = 20_000
    """Gaussians that fill the common volume."""
    fill_opacity: float = 0.1
    """Opacity of each of these: they stand anywhere, and must not hide the others."""


def initialize(
    scene: Scene,
    views: list[View],
    options: Initialization,
    max_gaussians: int,
    generator: torch.Generator,
    sh_degree: int = 3,
    threads: int = 0,
) -> Generator[Event, None, Gaussians]:
    """Gaussians at the sparse points, on surfaces that the photos agree on, or all about.

    Args:
        scene: sparse points, world frame.
        views: training photos.
        options: see there.
        max_gaussians: a random choice is made of more points than this.
        generator: source of chance.
        sh_degree: degree of the harmonics to make room for.
        threads: for the plane sweep; 0 lets Python choose.
    """
    good = torch.isfinite(scene.points).all(-1)
    points, colors = _choose(scene.points[good], scene.point_colors[good], max_gaussians, generator)
    wanted = round(options.dense_share * max_gaussians) - len(points)
    if wanted > 0 and len(views) > 2:
        hints = points if len(points) >= 8 else _random_in_box(views, 4096, generator)
        dense = yield from dense_points(views, hints, options.sweep, threads)
        more, more_colors = _choose(*dense, wanted, generator)
        points, colors = torch.cat((points, more)), torch.cat((colors, more_colors))
    filled = 0
    if len(points) < options.least_points:
        count = min(options.fill, max_gaussians - len(points))
        more, more_colors = fill_common_volume(views, count, generator)
        points, colors = torch.cat((points, more)), torch.cat((colors, more_colors))
        filled = len(more)
    opacities = torch.full((len(points),), options.opacity)
    opacities[len(points) - filled :] = options.fill_opacity
    return gaussians_at(points, colors, opacities, sh_degree, options.scale)


def _choose(
    points: Tensor, colors: Tensor, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """At most ``count`` of the points, by chance."""
    if len(points) <= count:
        return points, colors
    chosen = torch.randperm(len(points), generator=generator)[:count]
    return points[chosen], colors[chosen]


def _random_in_box(views: list[View], count: int, generator: torch.Generator) -> Tensor:
    low, high = common_box(views)
    return low + (high - low) * torch.rand(count, 3, generator=generator)


def gaussians_at(
    points: Tensor, colors: Tensor, opacities: Tensor | float, sh_degree: int, scale: float = 1.0
) -> Gaussians:
    """Round Gaussians at points [N,3] with sRGB colours [N,3], as large as their distance.

    Args:
        points: world frame.
        colors: 0..1.
        opacities: [N] or one for all.
        sh_degree: degree of the harmonics to make room for.
        scale: standard deviations, in units of the mean distance to the three nearest others.
    """
    count = len(points)
    sh = torch.zeros(count, count_from_degree(sh_degree), 3)
    sh[:, 0] = sh_from_rgb(colors)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Gaussians(
        means=points.float().contiguous(),
        quats=quats,
        log_scales=(neighbour_distances(points) * scale).log()[:, None].repeat(1, 3),
        logit_opacities=torch.as_tensor(opacities).logit().expand(count).contiguous(),
        sh=sh,
    )


def neighbour_distances(points: Tensor) -> Tensor:
    """[N] mean distance to the three nearest other points, kept off zero and infinity."""
    count = len(points)
    if count < 2:
        return torch.ones(count)
    distances = nearest_neighbours(points, _NEIGHBOURS)[0].mean(-1)
    typical = float(distances.median())
    typical = typical if typical > 0 else 1e-3
    return distances.clamp(typical * 1e-2, typical * 1e2)


def fill_common_volume(
    views: list[View], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random points where most cameras look, with the mean colour that they show there.

    Photos with alpha carve: a point that any of them shows as empty is dropped (the visual
    hull, Laurentini 1994).

    Returns:
        points [M,3] in the world frame and colours [M,3], M at most ``count``.
    """
    points, colors = [torch.zeros(0, 3)], [torch.zeros(0, 3)]
    found, tries = 0, 0
    while found < count and tries < 40:
        candidates = _random_in_box(views, 4 * count, generator)
        seen, carved, mean = _look(views, candidates)
        keep = (seen >= max(1.0, 0.5 * len(views))) & ~carved
        points.append(candidates[keep])
        colors.append(mean[keep])
        found += int(keep.sum())
        tries += 1
    return torch.cat(points)[:count], torch.cat(colors)[:count]


def common_box(views: list[View]) -> tuple[Tensor, Tensor]:
    """Corners of a cube about the point nearest to all optical axes, as far as the cameras."""
    viewmats = torch.cat([view.camera.viewmats for view in views]).double()
    centers = torch.cat([view.camera.positions for view in views]).double()
    axes = viewmats[:, 2, :3]
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    # The ridge decides for parallel cameras, whose axes meet nowhere.
    spread = float((centers - centers.mean(0)).norm(dim=-1).max()) or 1.0
    ridge = 1e-3 * torch.eye(3, dtype=torch.float64)
    ahead = centers.mean(0) + 2 * spread * torch.nn.functional.normalize(axes.mean(0), dim=0)
    target = torch.linalg.solve(
        across.mean(0) + ridge,
        (across @ centers[..., None]).mean(0).squeeze(-1) + ridge @ ahead,
    )
    reach = 0.6 * float((centers - target).norm(dim=-1).median())
    return (target - reach).float(), (target + reach).float()


def _look(views: list[View], points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many views see each point [N], whether alpha says it is empty, and its mean colour."""
    seen = torch.zeros(len(points))
    carved = torch.zeros(len(points), dtype=torch.bool)
    total = torch.zeros(len(points), 3)
    for view in views:
        camera = view.camera
        local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
        pixels = (local @ camera.Ks[0].T)[:, :2] / local[:, 2:]
        x, y = pixels.nan_to_num(-1.0, -1.0, -1.0).unbind(-1)
        inside = (local[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        column, row = x[inside].long(), y[inside].long()
        total[inside] += view.image[0, row, column].float() / 255
        seen[inside] += 1
        if view.alpha is not None:
            carved[inside] |= view.alpha[0, row, column] == 0
    return seen, carved, total / seen.clamp_min(1)[:, None]
