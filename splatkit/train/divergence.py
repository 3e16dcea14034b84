"""Training that goes astray: noticed, explained, and taken up again from the last good state."""

from __future__ import annotations

import math
from pathlib import Path

from splatkit.core import SplatkitError
from splatkit.train.state import TrainingState, states_newest_first

MOST_RECOVERIES = 3
CAUTION = 0.5
"""Learning rates are multiplied by this at each recovery."""
_FACTOR, _MARGIN = 3.0, 0.1
"""The running loss may be this many times its lowest value, and this much more."""
_FIRST_STEPS = 200
"""Before that the running mean says little."""


class LossWatch:
    """Keeps the running mean of the loss and knows when it is lost."""

    def __init__(self, smoothing: float = 0.02) -> None:
        self._smoothing = smoothing
        self._lowest = math.inf
        self._count = 0
        self.mean = 0.0
        """Running mean; 0 before the first step."""

    def add(self, loss: float) -> None:
        """Take in one step's loss."""
        self._count += 1
        self.mean += (loss - self.mean) * (self._smoothing if self._count > 1 else 1.0)
        if self._count > _FIRST_STEPS:
            self._lowest = min(self._lowest, self.mean)

    def forget(self) -> None:
        """Begin anew: the loss is going to rise, and should."""
        self._lowest, self._count = math.inf, 0

    @property
    def trouble(self) -> str | None:
        """What is wrong, in words; None while all is well."""
        if not math.isfinite(self.mean):
            return "the loss is not finite"
        if self.mean > _FACTOR * self._lowest + _MARGIN:
            return f"the loss rose from {self._lowest:.3f} to {self.mean:.3f}"
        return None


def recovered(folder: Path, broken: TrainingState, trouble: str) -> TrainingState:
    """The newest good state before the trouble, made to take smaller steps.

    Args:
        folder: that of the checkpoints.
        broken: the state that went astray.
        trouble: what went wrong, in words.

    Raises:
        SplatkitError: it has been tried often enough, or there is no good state.
    """
    where = f"training: {trouble} at step {broken.step + 1}"
    readable = (s for s in states_newest_first(folder) if isinstance(s, TrainingState))
    good = next((state for state in readable if state.step <= broken.step), None)
    if good is None:
        raise SplatkitError(f"{where}, and {folder} holds no good state; start anew")
    if broken.recoveries >= MOST_RECOVERIES:
        raise SplatkitError(
            f"{where}, for the {broken.recoveries + 1}th time although steps were made smaller; "
            f"the last good state is step {good.step}; look at the photos' cameras, or lower "
            "--recipe.rates.means, and go on with --resume"
        )
    good.recoveries = broken.recoveries + 1
    finite = good.model.gaussians.finite_mask()
    if not bool(finite.all()):
        good.model = good.model[finite.nonzero().squeeze(1)]
    return good
