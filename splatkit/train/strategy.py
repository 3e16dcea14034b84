"""Where Gaussians are added and removed while training: growth to a budget, by error.

Every few hundred steps the useless ones (nearly transparent, not finite) are moved to where
the pictures are most wrong, and new ones join them until the schedule's count is reached.
A Gaussian is refined by splitting it in two along its longest axis, so that the picture hardly
changes at that moment and no opacity has to be reset (compare Rota Bulo et al. 2024 for the
error score, Mallick et al. 2024 for the budget, Kheradmand et al. 2024 for moving the dead).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends.base import AdamState, DensityStatistics

_MORTON_BITS = 20
_SPLIT_DISTANCE = 0.6
"""Halves of a split stand this many standard deviations from the old centre."""


@dataclass
class Model:
    """What is optimised: everything that has one row per Gaussian."""

    gaussians: Gaussians
    adam: AdamState
    statistics: DensityStatistics

    @staticmethod
    def start(gaussians: Gaussians) -> Model:
        """A new optimisation of these Gaussians."""
        return Model(
            gaussians,
            AdamState.zeros_like(gaussians),
            DensityStatistics.zeros(len(gaussians), gaussians.device),
        )

    def __getitem__(self, rows: Tensor) -> Model:
        """The chosen rows [M] (indices, repeats allowed), statistics at zero."""
        return Model(
            self.gaussians[rows],
            self.adam.map(lambda moment: moment[rows]),
            DensityStatistics.zeros(len(rows), self.gaussians.device),
        )

    def to(self, device: torch.device | str) -> Model:
        """The same model on another device; itself where it is there already."""
        if self.gaussians.device == torch.device(device):
            return self
        sums = {name: tensor.to(device) for name, tensor in vars(self.statistics).items()}
        return Model(
            self.gaussians.to(device),
            self.adam.map(lambda moment: moment.to(device)),
            DensityStatistics(**sums),
        )


@dataclass(frozen=True)
class Budget:
    """How many Gaussians there may be."""

    start: int
    """Count at the first step."""
    max_gaussians: int
    """Count at the end of growth; at least ``start``."""


class Strategy(Protocol):
    """Decides when and how the set of Gaussians changes."""

    def gathers(self, progress: float) -> bool:
        """Whether a step at this progress has to gather statistics."""
        ...

    def is_due(self, step: int, progress: float) -> bool:
        """Whether to refine after ``step`` steps."""
        ...

    def refine(
        self, model: Model, budget: Budget, progress: float, generator: torch.Generator
    ) -> Model:
        """The model with Gaussians moved and added, statistics at zero."""
        ...


@dataclass(frozen=True)
class BudgetedGrowth:
    """Growth by error score to a fixed count."""

    start: float = 0.02
    """Progress of the first change."""
    stop: float = 0.6
    """Progress at which the budget is reached; nothing is added afterwards."""
    settle: float = 0.85
    """Progress after which nothing moves any more."""
    every: int = 100
    """Steps between changes."""
    exponent: float = 0.7
    """Of the count over progress: below 1 grows early, above 1 late."""
    most_added: float = 0.3
    """Largest growth at one change, as a share of the count."""
    opacity_floor: float = 0.005
    """Gaussians below this opacity are moved."""

    def gathers(self, progress: float) -> bool:
        return progress < self.settle

    def is_due(self, step: int, progress: float) -> bool:
        return step % self.every == 0 and self.start <= progress < self.settle

    def target(self, progress: float, budget: Budget) -> int:
        """Count foreseen at this progress."""
        share = (progress - self.start) / (self.stop - self.start)
        share = min(max(share, 0.0), 1.0) ** self.exponent
        return round(budget.start + (budget.max_gaussians - budget.start) * share)

    def refine(
        self, model: Model, budget: Budget, progress: float, generator: torch.Generator
    ) -> Model:
        gaussians = model.gaussians
        usable = gaussians.finite_mask() & (gaussians.opacities >= self.opacity_floor)
        alive = usable.nonzero().squeeze(1)
        limit = round(len(gaussians) * (1 + self.most_added))
        wanted = min(self.target(progress, budget), limit)
        scores = error_scores(model.statistics)[alive]
        count = min(max(wanted - len(alive), 0), int((scores > 0).sum()))
        if count:
            # Drawn on the CPU: the same Gaussians are split whatever the device.
            chosen = torch.multinomial(scores.cpu(), count, generator=generator).to(scores.device)
        else:
            chosen = alive[:0]
        return split(model, alive, chosen)


def error_scores(statistics: DensityStatistics) -> Tensor:
    """[N] mean over views of the picture error that each Gaussian's pixels show."""
    return statistics.score_sum / statistics.visible_count.clamp_min(1)


def split(model: Model, alive: Tensor, chosen: Tensor) -> Model:
    """Keep the rows ``alive`` and split those at ``alive[chosen]`` in two, in Morton order.

    The halves stand on both sides of the old centre along the longest axis. Their size and
    opacity are those with which the two, one before the other, come nearest to the old one's
    profile (fitted over opacities from 0.05 to 0.95; 4 to 11% of it is left over). Their
    moments start at zero.
    """
    rows = torch.cat((alive, alive[chosen]))
    result = model[rows]
    both = torch.cat((chosen, torch.arange(len(alive), len(rows), device=rows.device)))
    parents = model.gaussians[alive[chosen]]
    longest = parents.log_scales.argmax(-1, keepdim=True)
    axes = rotation_from_quat(parents.quats).gather(2, longest[..., None].expand(-1, 3, 1))
    offsets = axes.squeeze(-1) * parents.log_scales.gather(1, longest).exp() * _SPLIT_DISTANCE
    opacities = parents.opacities[:, None]
    factors = (1 - 0.037 * opacities).repeat(1, 3)
    factors.scatter_(1, longest, 0.757 - 0.04 * opacities)
    halved = (opacities * (0.655 + 0.135 * opacities)).clamp(1e-6, 1 - 1e-6).logit()

    gaussians = result.gaussians
    gaussians.means[both] += torch.cat((offsets, -offsets))
    gaussians.log_scales[both] += factors.log().repeat(2, 1)
    gaussians.logit_opacities[both] = halved.squeeze(1).repeat(2)
    for moments in (result.adam.first, result.adam.second):
        for moment in moments.values():
            moment[both] = 0
    return result[morton_order(gaussians.means)]


def morton_order(points: Tensor) -> Tensor:
    """[N] order of points [N,3] along a Z-curve, so that neighbours in space share cache lines."""
    if len(points) == 0:
        return torch.zeros(0, dtype=torch.long, device=points.device)
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
