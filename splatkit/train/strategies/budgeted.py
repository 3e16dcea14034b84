"""Growth to a budget, by error: the default.

Every few hundred steps the useless ones (nearly transparent, not finite) are moved to where
the pictures are most wrong, and new ones join them until the schedule's count is reached.
A Gaussian is refined by splitting it in two along its longest axis, so that the picture hardly
changes at that moment and no opacity has to be reset (compare Rota Bulo et al. 2024 for the
error score, Mallick et al. 2024 for the budget, Kheradmand et al. 2024 for moving the dead).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from splatkit.core import Gaussians
from splatkit.train.strategies.base import Budget, Model, Occasion
from splatkit.train.strategies.moves import alive, drawn, error_scores, split


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
    opacity_weight: float = 0.01
    scale_weight: float = 0.01

    def gathers(self, progress: float) -> bool:
        return progress < self.settle

    def is_due(self, step: int, progress: float) -> bool:
        return step % self.every == 0 and self.start <= progress < self.settle

    def makes_loss_rise(self, step: int) -> bool:
        return False

    def target(self, progress: float, budget: Budget) -> int:
        share = (progress - self.start) / (self.stop - self.start)
        share = min(max(share, 0.0), 1.0) ** self.exponent
        return round(budget.start + (budget.max_gaussians - budget.start) * share)

    def refine(self, model: Model, now: Occasion, generator: torch.Generator) -> Model:
        kept = alive(model.gaussians, self.opacity_floor)
        limit = round(len(model.gaussians) * (1 + self.most_added))
        wanted = min(self.target(now.progress, now.budget), limit)
        scores = error_scores(model.statistics)[kept]
        return split(model, kept, drawn(scores, wanted - len(kept), generator))

    def disturb(
        self, gaussians: Gaussians, now: Occasion, decay: float, generator: torch.Generator
    ) -> None:
        """Nothing moves by chance."""
