"""3D Gaussian splatting as Markov chain Monte Carlo (Kheradmand et al. 2024).

The Gaussians are samples of a distribution that is high where they explain the photos. The dead
(nearly transparent, not finite) are moved onto living ones, new ones join them in the same way
until the budget is reached, and nearly transparent ones walk by chance until they find something
to explain. Copies take the opacity and size with which all of a place together look as the one
did (equation 9 of the paper). Growth over progress is ours: from the first count to the budget at
a constant factor, so that a short run is the same curve as a long one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.rows import row_kernels
from splatkit.train.strategies.base import Budget, Model, Occasion
from splatkit.train.strategies.moves import alive, drawn, forget, morton_order

MOST_COPIES = 51
"""Gaussians that may stand in one's place after one change."""
_GATE = 100.0
"""Steepness with which chance leaves Gaussians alone that are not nearly transparent."""


@dataclass(frozen=True)
class Mcmc:
    """Relocation of the dead, growth by relocation, and noise."""

    start: float = 0.017
    """Progress of the first change."""
    full: float = 0.25
    """Progress at which the budget is reached."""
    stop: float = 0.83
    """Progress after which nothing is relocated any more."""
    every: int = 100
    """Steps between changes."""
    opacity_floor: float = 0.005
    """Gaussians below this opacity are relocated."""
    noise: float = 1300.0
    """A nearly transparent Gaussian's first random steps, in units of variance over extent."""
    opacity_weight: float = 0.01
    scale_weight: float = 0.01

    @property
    def peak(self) -> float:
        return 1.0

    def gathers(self, progress: float) -> bool:
        """Never: Gaussians are drawn by opacity."""
        return False

    def is_due(self, step: int, progress: float) -> bool:
        return step % self.every == 0 and self.start <= progress < self.stop

    def makes_loss_rise(self, step: int) -> bool:
        return False

    def target(self, progress: float, budget: Budget) -> int:
        """Count to be had at this progress."""
        share = min(max((progress - self.start) / (self.full - self.start), 0.0), 1.0)
        return round(budget.start * (budget.max_gaussians / max(budget.start, 1)) ** share)

    def count_after(self, count: int, now: Occasion) -> int:
        return max(self.target(now.progress, now.budget), count)

    def refine(self, model: Model, now: Occasion, generator: torch.Generator) -> Model:
        kept = alive(model.gaussians, self.opacity_floor)
        added = self.count_after(len(model.gaussians), now) - len(kept)
        opacities = model.gaussians.opacities[kept]
        return relocate(model, kept, drawn(opacities, added, generator, repeats=True))

    def disturb(
        self, gaussians: Gaussians, now: Occasion, decay: float, generator: torch.Generator
    ) -> None:
        """Langevin noise on the centres, shaped by each Gaussian's covariance (equation 8)."""
        if not len(gaussians):
            return
        strength, kernels = self.noise * decay / now.extent, row_kernels(gaussians.device)
        if kernels is not None:
            seed = generator.initial_seed()
            kernels.disturb(gaussians, strength, self.opacity_floor, _GATE, seed)
            return
        noise = torch.randn(gaussians.means.shape, generator=generator, device=gaussians.device)
        gate = torch.sigmoid(_GATE * (self.opacity_floor - gaussians.opacities))
        rotations = rotation_from_quat(gaussians.quats)
        local = (noise[:, None] @ rotations).squeeze(1) * gaussians.scales.square()
        walk = (rotations @ local[..., None]).squeeze(-1) * gate[:, None]
        gaussians.means += strength * walk


def relocate(model: Model, kept: Tensor, chosen: Tensor) -> Model:
    """Keep the rows ``kept`` and put a copy on ``kept[i]`` for each i in ``chosen``.

    All Gaussians of a place share its opacity and size, and their moments start at zero. Rows
    come in Morton order.

    Args:
        model: all rows.
        kept: [K] rows that stay.
        chosen: [M] indices into ``kept``, repeats allowed; of one place at most
            ``MOST_COPIES`` count in opacity and size.
    """
    rows = torch.cat((kept, kept[chosen]))
    result = model[rows]
    counts = torch.bincount(chosen, minlength=len(kept)) + 1
    places = torch.cat((torch.arange(len(kept), device=rows.device), chosen))
    shared = (counts[places] > 1).nonzero().squeeze(1)
    if len(shared):
        gaussians = result.gaussians
        opacities, factors = shared_look(gaussians.opacities[shared], counts[places][shared])
        gaussians.logit_opacities[shared] = opacities.logit()
        gaussians.log_scales[shared] += factors.log()[:, None]
        forget(result, shared)
    return result[morton_order(result.gaussians.means)]


def shared_look(opacities: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity and size with which N Gaussians in one place look as one did (equation 9).

    With o' = 1 - (1 - o)^(1/N) the size shrinks by o / sum_j C(N,j) (-1)^(j-1) o'^j / sqrt(j):
    the paper's double sum with its binomials added up.

    Args:
        opacities: [M] of the one, 0..1.
        counts: [M] int, N.

    Returns:
        New opacities [M] and the factors [M] on the standard deviations.
    """
    old = opacities.double().clamp(1e-6, 1 - 1e-6)
    counts = counts.clamp(1, MOST_COPIES)
    new = 1 - (1 - old) ** (1 / counts)
    powers = new[:, None] ** torch.arange(1, MOST_COPIES + 1, device=new.device)
    weights = torch.tensor(_binomials(), dtype=torch.float64, device=new.device)[counts - 1]
    factors = old / (weights * powers).sum(-1)
    return new.to(opacities.dtype), factors.to(opacities.dtype)


@cache
def _binomials() -> list[list[float]]:
    """Rows N = 1..MOST_COPIES of C(N,j) (-1)^(j-1) / sqrt(j) over j = 1..MOST_COPIES."""
    return [
        [math.comb(n, j) * (-1.0) ** (j - 1) / math.sqrt(j) for j in range(1, MOST_COPIES + 1)]
        for n in range(1, MOST_COPIES + 1)
    ]
