"""The operations on tensors that strategies are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends.base import DensityStatistics
from splatkit.render.rows import row_kernels
from splatkit.train.strategies.base import Model

_MORTON_BITS = 20
_SPLIT_DISTANCE = 0.6
"""Halves of a split stand this many standard deviations from the old centre."""


def drawn(weights: Tensor, count: int, generator: torch.Generator, repeats: bool = False) -> Tensor:
    """[count] indices drawn in proportion to weights [N], fewer where fewer are above zero.

    A GPU takes its seed from the generator, which is the CPU's, and draws others than a CPU would.
    """
    if not repeats:
        count = min(count, int((weights > 0).sum()))
    if count <= 0 or not bool((weights > 0).any()):
        return torch.zeros(0, dtype=torch.long, device=weights.device)
    kernels = row_kernels(weights.device)
    if kernels is None:
        chosen = torch.multinomial(weights.cpu(), count, repeats, generator=generator)
        return chosen.to(weights.device)
    if not repeats:
        return kernels.sample(weights, count, int(torch.randint(2**62, (), generator=generator)))
    ends = weights.double().cumsum(0)
    places = torch.rand(count, generator=generator, dtype=torch.float64).to(weights.device)
    return torch.searchsorted(ends, places * ends[-1], right=True).clamp_max(len(ends) - 1)


def alive(gaussians: Gaussians, opacity_floor: float) -> Tensor:
    """[M] indices of the Gaussians that are finite and not nearly transparent."""
    usable = gaussians.finite_mask() & (gaussians.opacities >= opacity_floor)
    return usable.nonzero().squeeze(1)


def forget(model: Model, rows: Tensor) -> None:
    """Start the optimiser's moments of these rows anew."""
    for moments in (model.adam.first, model.adam.second):
        for moment in moments.values():
            moment[rows] = 0


def error_scores(statistics: DensityStatistics) -> Tensor:
    """[N] mean over views of the picture error that each Gaussian's pixels show."""
    return statistics.score_sum / statistics.visible_count.clamp_min(1)


def most_shown(model: Model, rows: Tensor, count: int) -> Tensor:
    """The ``count`` of ``rows`` [K] that contribute most to the pictures, in their order.

    What counts is the mean over views of the blend weights in a picture; those that were in no
    view, of which nothing is known, come first. Where these are too many to stay, opacity times
    area counts for all: rows stand as in space, and the first ones would be one part of it.
    """
    if len(rows) <= count:
        return rows
    seen = model.statistics.visible_count[rows]
    if int((seen == 0).sum()) > count:
        scales = model.gaussians.scales[rows]
        shown = model.gaussians.opacities[rows] * scales.prod(-1) / scales.amin(-1)
    else:
        weights = model.statistics.weight_sum[rows]
        shown = torch.where(seen > 0, weights / seen.clamp_min(1), torch.inf)
    best = shown.argsort(descending=True, stable=True)[: max(count, 0)]
    return rows[best.sort().values]


def split(model: Model, kept: Tensor, chosen: Tensor) -> Model:
    """Keep the rows ``kept`` and split those at ``kept[chosen]`` in two, in Morton order.

    The halves stand on both sides of the old centre along the longest axis. Their size and
    opacity are those with which the two, one before the other, come nearest to the old one's
    profile (fitted over opacities from 0.05 to 0.95; 4 to 11% of it is left over). Their
    moments start at zero. (The plain version of what ``split_rows`` of densify.cu does on a GPU.)
    """
    kernels = row_kernels(model.gaussians.device)
    if kernels is not None:
        moved = kernels.split(model.gaussians, model.adam, kept, chosen)
        return Model(*moved, DensityStatistics.zeros(len(moved[0]), model.gaussians.device))
    rows = torch.cat((kept, kept[chosen]))
    both = torch.cat((chosen, torch.arange(len(kept), len(rows), device=rows.device)))
    parents = model.gaussians[kept[chosen]]
    longest = parents.log_scales.argmax(-1, keepdim=True)
    axes = rotation_from_quat(parents.quats).gather(2, longest[..., None].expand(-1, 3, 1))
    offsets = axes.squeeze(-1) * parents.log_scales.gather(1, longest).exp() * _SPLIT_DISTANCE
    opacities = parents.opacities[:, None]
    factors = (1 - 0.037 * opacities).repeat(1, 3)
    factors.scatter_(1, longest, 0.757 - 0.04 * opacities)
    halved = (opacities * (0.655 + 0.135 * opacities)).clamp(1e-6, 1 - 1e-6).logit()

    means = model.gaussians.means[rows]
    means[both] += torch.cat((offsets, -offsets))
    # Rows are gathered once, in their final order: a second copy of all would be the peak memory.
    order = morton_order(means)
    result = model[rows[order]]
    gaussians, places = result.gaussians, order.argsort()[both]
    gaussians.means.copy_(means[order])
    gaussians.log_scales[places] += factors.log().repeat(2, 1)
    gaussians.logit_opacities[places] = halved.squeeze(1).repeat(2)
    forget(result, places)
    return result


def morton_order(points: Tensor) -> Tensor:
    """[N] order of points [N,3] along a Z-curve, so that neighbours in space share cache lines."""
    if len(points) == 0:
        return torch.zeros(0, dtype=torch.long, device=points.device)
    kernels = row_kernels(points.device)
    if kernels is not None:
        return kernels.morton_order(points).long()
    low, high = points.amin(0), points.amax(0)
    cells = (points - low) / (high - low).clamp_min(1e-20) * (2**_MORTON_BITS - 1)
    codes = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for axis, values in enumerate(cells.long().unbind(-1)):
        codes |= _spread(values) << axis
    return codes.sort(stable=True).indices


def _spread(values: Tensor) -> Tensor:
    """Put two zero bits between the bits of values below 2^20."""
    result = torch.zeros_like(values)
    for bit in range(_MORTON_BITS):
        result |= ((values >> bit) & 1) << (3 * bit)
    return result
