"""What a density strategy works on, and what the trainer asks of it.

A strategy has no state of its own: what it does follows from the step, the progress and chance
that depends on the seed and the step alone. So a checkpoint needs nothing from it, and a resumed
run goes on bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.render.backends.base import AdamState, DensityStatistics


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
    """Count in the end; at least ``start``."""


@dataclass(frozen=True)
class Occasion:
    """When and where a strategy is called."""

    step: int
    """Steps done."""
    progress: float
    """0..1."""
    budget: Budget
    extent: float
    """Radius of the cameras, world units."""


class Strategy(Protocol):
    """Decides when and how the set of Gaussians changes."""

    @property
    def every(self) -> int:
        """Steps between changes."""
        ...

    @property
    def opacity_weight(self) -> float:
        """Loss for mean opacity: lets Gaussians that explain nothing fade away."""
        ...

    @property
    def scale_weight(self) -> float:
        """Loss for mean size, in units of the scene's extent."""
        ...

    @property
    def peak(self) -> float:
        """Most Gaussians that there may be at any time, in units of the budget; at least 1."""
        ...

    def gathers(self, progress: float) -> bool:
        """Whether a step at this progress has to gather statistics."""
        ...

    def is_due(self, step: int, progress: float) -> bool:
        """Whether to refine after ``step`` steps."""
        ...

    def makes_loss_rise(self, step: int) -> bool:
        """Whether the loss rises for a while after the change at this step, as it should."""
        ...

    def count_after(self, count: int, now: Occasion) -> int:
        """Count foreseen after a change at this occasion, of ``count`` before it."""
        ...

    def refine(self, model: Model, now: Occasion, generator: torch.Generator) -> Model:
        """The model with Gaussians moved, added and removed, statistics at zero."""
        ...

    def disturb(
        self, gaussians: Gaussians, now: Occasion, decay: float, generator: torch.Generator
    ) -> None:
        """Change Gaussians in place after a step, where the strategy explores by chance.

        Args:
            gaussians: all of them.
            now: after which step.
            decay: the centres' learning rate in units of its first one, 0..1.
            generator: chance, on the Gaussians' device.
        """
        ...
