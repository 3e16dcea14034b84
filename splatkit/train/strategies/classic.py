"""Adaptive density control as in the paper that started it (Kerbl et al. 2023, section 5.2).

Where the picture pulls hard at a Gaussian's place on the screen, a small one is cloned and a
large one is replaced by two smaller ones drawn from it. The transparent and the far too large
are pruned, and now and then all opacities are set low so that only what is needed comes back.
The paper lets the count grow without end; here those that are pulled hardest come first until
the budget is reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends.base import DensityStatistics
from splatkit.train.strategies.base import Model, Occasion
from splatkit.train.strategies.moves import alive, forget, morton_order


@dataclass(frozen=True)
class Classic:
    """Clone, split, prune, reset."""

    start: float = 0.017
    """Progress of the first change."""
    stop: float = 0.5
    """Progress after which nothing changes any more."""
    every: int = 100
    """Steps between changes."""
    gradient: float = 2e-4
    """Mean norm of the screen-space gradient from which a Gaussian is cloned or split, in units
    of half the picture."""
    small: float = 0.01
    """Up to this size, in units of the scene's extent, it is cloned, else split."""
    shrink: float = 1.6
    """The two of a split are smaller by this factor."""
    opacity_floor: float = 0.005
    """Gaussians below this opacity are pruned."""
    reset_every: int = 3000
    """Steps between resets of all opacities."""
    reset_to: float = 0.01
    """Opacities are at most this after a reset."""
    largest: float = 0.1
    """After the first reset larger ones, in units of the scene's extent, are pruned."""
    largest_on_screen: float = 0.3
    """And those whose half extent on the screen exceeds this share of the picture's long side."""
    opacity_weight: float = 0.0
    scale_weight: float = 0.0

    @property
    def peak(self) -> float:
        return 1.0

    def gathers(self, progress: float) -> bool:
        return progress < self.stop

    def is_due(self, step: int, progress: float) -> bool:
        return step % self.every == 0 and self.start <= progress < self.stop

    def makes_loss_rise(self, step: int) -> bool:
        """Whether opacities are reset after this step."""
        return step > 0 and step % (self.reset_every // self.every * self.every) == 0

    def count_after(self, count: int, now: Occasion) -> int:
        """Even growth to the budget: how many there will really be depends on the photos."""
        between = self.every * now.progress / now.step
        changes = max((self.stop - now.progress) / between, 1.0)
        return round(count + max(now.budget.max_gaussians - count, 0) / changes)

    def refine(self, model: Model, now: Occasion, generator: torch.Generator) -> Model:
        room = max(now.budget.max_gaussians - len(model.gaussians), 0)
        pulled = self._pulled(model.statistics, room)
        small = model.gaussians.scales.amax(-1) <= self.small * now.extent
        large = self._too_large(model, now)
        grown = clone_and_split(model, pulled & small, pulled & ~small, self.shrink, generator)
        keep = torch.zeros(len(grown.gaussians), dtype=torch.bool, device=large.device)
        keep[alive(grown.gaussians, self.opacity_floor)] = True
        # What was cloned or split is not judged by what it was.
        untouched = ~(pulled & ~small)
        keep[: int(untouched.sum())] &= ~large[untouched]
        result = grown[keep.nonzero().squeeze(1)]
        if self.makes_loss_rise(now.step):
            most = math.log(self.reset_to / (1 - self.reset_to))
            result.gaussians.logit_opacities.clamp_(max=most)
            for moments in (result.adam.first, result.adam.second):
                moments["logit_opacities"].zero_()
        return result[morton_order(result.gaussians.means)]

    def disturb(
        self, gaussians: Gaussians, now: Occasion, decay: float, generator: torch.Generator
    ) -> None:
        """Nothing moves by chance."""

    def _pulled(self, statistics: DensityStatistics, room: int) -> Tensor:
        """[N] bool: the ``room`` Gaussians of the largest mean gradient above the threshold."""
        mean = statistics.gradient_sum / statistics.visible_count.clamp_min(1)
        pulled = mean >= self.gradient
        if int(pulled.sum()) > room:
            hardest = torch.where(pulled, mean, 0.0).argsort(descending=True, stable=True)
            pulled = torch.zeros_like(pulled)
            pulled[hardest[:room]] = True
        return pulled

    def _too_large(self, model: Model, now: Occasion) -> Tensor:
        """[N] bool."""
        if now.step <= self.reset_every:
            return torch.zeros(
                len(model.gaussians), dtype=torch.bool, device=model.gaussians.device
            )
        return (model.gaussians.scales.amax(-1) > self.largest * now.extent) | (
            model.statistics.extent_max > self.largest_on_screen
        )


def clone_and_split(
    model: Model, cloned: Tensor, split: Tensor, shrink: float, generator: torch.Generator
) -> Model:
    """The rows that are not split in their order, then a copy of the cloned, then two per split.

    Args:
        model: all rows.
        cloned: [N] bool; the copies stand where the old ones do, with moments at zero.
        split: [N] bool; replaced by two, drawn from the Gaussian itself and smaller.
        shrink: by how much smaller.
        generator: source of chance, on the CPU.
    """
    stay, copies = (~split).nonzero().squeeze(1), cloned.nonzero().squeeze(1)
    parents = split.nonzero().squeeze(1)
    rows = torch.cat((stay, copies, parents, parents))
    result = model[rows]
    gaussians = result.gaussians
    new = torch.arange(len(stay), len(rows), device=rows.device)
    halves = new[len(copies) :]
    normal = torch.randn(len(halves), 3, generator=generator).to(rows.device)
    offsets = (
        rotation_from_quat(gaussians.quats[halves])
        @ ((normal * gaussians.scales[halves])[..., None])
    )
    gaussians.means[halves] += offsets.squeeze(-1)
    gaussians.log_scales[halves] -= math.log(shrink)
    forget(result, new)
    return result
