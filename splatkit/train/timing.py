"""How fast training is, how long it will take, and how many steps fit a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_SAMPLES = 64
_SMOOTHING = 0.1


@dataclass(frozen=True)
class StepCost:
    """Time of a step, relative to one at full picture size with all Gaussians.

    The shares were measured with the CPU backend; they need only be roughly right, since the
    plan is renewed as training goes on.
    """

    fixed: float = 0.05
    per_pixel: float = 0.55
    per_gaussian: float = 0.40

    def at(self, pixel_share: float, gaussian_share: float) -> float:
        """Cost where pictures and Gaussians are at these shares of their final number."""
        return self.fixed + self.per_pixel * pixel_share + self.per_gaussian * gaussian_share


class Clock:
    """Measures steps and foresees the rest.

    Args:
        cost: relative cost of a step at a progress 0..1.
        seconds: training time before this session.
    """

    def __init__(self, cost: Callable[[float], float], seconds: float = 0.0) -> None:
        self._cost = cost
        self._before = seconds
        self._start = time.perf_counter()
        self._last = self._start
        self._unit = 0.0
        self._rate = 0.0

    @property
    def seconds(self) -> float:
        """Training time over all sessions."""
        return self._before + time.perf_counter() - self._start

    @property
    def steps_per_second(self) -> float:
        """Recent rate; 0 before the first step."""
        return self._rate

    def tick(self, progress: float, steps: int) -> None:
        """Note that ``steps`` more steps are done, the last of them at ``progress``."""
        now = time.perf_counter()
        took = max(now - self._last, 1e-9) / steps
        self._last = now
        unit = took / self._cost(progress)
        weight = 1 - (1 - _SMOOTHING) ** steps
        self._unit = unit if self._unit == 0 else self._unit + weight * (unit - self._unit)
        self._rate = 1 / took if self._rate == 0 else self._rate + weight * (1 / took - self._rate)

    def leave_out(self, seconds: float) -> None:
        """Take a pause of that length out of the time measured so far."""
        self._start += seconds
        self._last += seconds

    def seconds_for(self, progress: float, steps: int) -> float:
        """Time that ``steps`` evenly spread steps from ``progress`` to the end will take."""
        return self._unit * self._mean_cost(progress) * steps

    def steps_within(self, progress: float, seconds: float) -> int:
        """Steps from ``progress`` to the end that fit into ``seconds``."""
        each = self._unit * self._mean_cost(progress)
        return max(1, int(seconds / each)) if each > 0 else 1

    def _mean_cost(self, progress: float) -> float:
        rest = 1 - progress
        places = [progress + rest * (i + 0.5) / _SAMPLES for i in range(_SAMPLES)]
        return sum(map(self._cost, places)) / _SAMPLES
