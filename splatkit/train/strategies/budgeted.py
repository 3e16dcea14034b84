"""Growth to a budget, by error: the default.

Every few hundred steps the useless ones (nearly transparent, not finite, or among the few that
contribute least to the pictures) are moved to where the pictures are most wrong, and new ones
join them until the schedule's count is reached, which exceeds the budget for a while.
A Gaussian is refined by splitting it in two along its longest axis, so that the picture hardly
changes at that moment and no opacity has to be reset (compare Rota Bulo et al. 2024 for the
error score, Mallick et al. 2024 for the budget, Kheradmand et al. 2024 for moving the dead,
Fang and Wang 2024 for pruning by blend weight).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from splatkit.core import Gaussians
from splatkit.train.strategies.base import Budget, Model, Occasion
from splatkit.train.strategies.moves import alive, drawn, error_scores, most_shown, split


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
    surplus: float = 0.5
    """By this share there may be more than the budget while they grow: those that show least are
    pruned again, and what is left is better placed than what never was more."""
    lean_from: float = 0.75
    """Progress from which on there are no more than the budget; they get fewer from ``stop`` on."""
    moved: float = 1.5
    """Gaussians that show least and are moved to where pictures are wrong, in a whole run, as a
    share of the count."""
    most_moved: float = 0.1
    """Of these at one change, as a share of the count."""
    opacity_weight: float = 0.01
    scale_weight: float = 0.01

    @property
    def peak(self) -> float:
        return 1 + self.surplus

    def gathers(self, progress: float) -> bool:
        return progress < self.settle

    def is_due(self, step: int, progress: float) -> bool:
        return step % self.every == 0 and self.start <= progress < self.settle

    def makes_loss_rise(self, step: int) -> bool:
        return False

    def target(self, progress: float, budget: Budget) -> int:
        """Count to be had at this progress, if changes could add as many as they like."""
        most = max(budget.start, round(self.peak * budget.max_gaussians))
        if progress > self.stop:
            left = max(self.lean_from - progress, 0.0) / (self.lean_from - self.stop)
            return round(budget.max_gaussians + (most - budget.max_gaussians) * left)
        share = max(progress - self.start, 0.0) / (self.stop - self.start)
        return round(budget.start + (most - budget.start) * share**self.exponent)

    def count_after(self, count: int, now: Occasion) -> int:
        last = now.progress + self._between(now) >= self.settle
        target = now.budget.max_gaussians if last else self.target(now.progress, now.budget)
        return min(target, round(count * (1 + self.most_added)))

    def refine(self, model: Model, now: Occasion, generator: torch.Generator) -> Model:
        kept = alive(model.gaussians, self.opacity_floor)
        wanted = self.count_after(len(model.gaussians), now)
        moved = (
            min(self.moved * self._between(now), self.most_moved)
            if now.progress < self.settle
            else 0.0
        )
        kept = most_shown(model, kept, min(wanted, round((1 - moved) * len(kept))))
        scores = error_scores(model.statistics)[kept]
        return split(model, kept, drawn(scores, wanted - len(kept), generator))

    def disturb(
        self, gaussians: Gaussians, now: Occasion, decay: float, generator: torch.Generator
    ) -> None:
        """Nothing moves by chance."""

    def _between(self, now: Occasion) -> float:
        """Progress from one change to the next."""
        return self.every * now.progress / now.step
