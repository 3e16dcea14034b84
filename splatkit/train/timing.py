"""How fast training is, how long it will take, and how many steps fit a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_SAMPLES = 64
_HALF_LIFE, _LEAST_HALF_LIFE = 1.5, 10.0
"""After so many times the time so far, and so many seconds, a measurement counts half: other
programs come and go, and what a step costs is not only what ``StepCost`` counts."""
_TRUST = 0.15
"""Weight of the belief that pictures and Gaussians are equally much slower or faster than on the
machine that ``StepCost`` was measured on, beside that of the measurements."""
_LONGEST = 4.0
"""A step that takes this many times what was foreseen met something that is not training."""
_RATE_SMOOTHING = 0.1

Parts = tuple[float, float]
"""Seconds of a step that go with the pixels, and those that go with the Gaussians."""
Cost = Callable[[float], Parts]
"""Parts of a step's cost at a progress 0..1."""


@dataclass(frozen=True)
class StepCost:
    """Time of a step on one machine (two cores with AVX-512), by what it works on.

    Only the proportions matter: a ``Clock`` finds out how fast another machine is. They are those
    with which the forecasts of six recorded trainings, computed again, were best: six photo sets, 1
    to 6 minutes, 640 pixels wide and up to 150 thousand Gaussians. The same steps took up to half
    as long again from minute to minute; docs/training.md says how far forecasts are off.
    """

    per_pixel: float = 110e-9
    """The loss, and what else is done for every pixel, seconds."""
    per_root: float = 50e-9
    """Blending both ways, seconds: for the root of pixels times Gaussians, since Gaussians that
    become smaller with the picture still cover a pixel."""
    per_gaussian: float = 120e-9
    """Projection, binning, and the update of all but the harmonics above degree 0, seconds."""
    per_harmonic: float = 1.3e-9
    """Update of one more harmonic of a Gaussian, seconds."""
    per_score: float = 50e-9
    """Noting down for a Gaussian how wrong the picture is where it shows, seconds."""
    fixed: float = 2e-4
    """Seconds, whatever the size; counted with the pixels."""

    def parts(
        self,
        pixels: float,
        gaussians: float,
        harmonics: int,
        gathers: float = 0.0,
        more: float = 0.0,
    ) -> Parts:
        """Seconds of a step.

        Args:
            pixels: of one picture.
            gaussians: how many there are.
            harmonics: spherical harmonics in use, 1 to 25.
            gathers: share of the steps that note down what strategies need to know.
            more: what else is drawn, as a share of what the picture takes.
        """
        blended = self.per_pixel * pixels + self.per_root * (pixels * gaussians) ** 0.5
        each = self.per_gaussian + self.per_harmonic * (harmonics - 1) + self.per_score * gathers
        return self.fixed + blended * (1 + more), each * gaussians


class Clock:
    """Measures steps and foresees the rest.

    Two speeds are fitted to what was measured (least squares of relative errors, older
    measurements fading): how this machine's time for pixels and for Gaussians compares with
    ``StepCost``. Early steps have small pictures and few Gaussians; knowing both speeds tells what
    large pictures and many Gaussians will cost.

    Args:
        seconds: training time before this session.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._start = time.perf_counter()
        self._last = self._start
        self._rate = 0.0
        # Sums of the normal equations: squares, products, and what was measured.
        self._sums = [0.0] * 5

    @property
    def seconds(self) -> float:
        """Training time over all sessions."""
        return self._before + time.perf_counter() - self._start

    @property
    def steps_per_second(self) -> float:
        """Recent rate; 0 before the first step."""
        return self._rate

    def tick(self, parts: Parts, steps: int) -> None:
        """Note that ``steps`` more steps are done, each of which works on these parts."""
        now = time.perf_counter()
        took = max(now - self._last, 1e-9) / steps
        half_life = max(_HALF_LIFE * (now - self._start), _LEAST_HALF_LIFE)
        self._last = now
        weight = 1 - (1 - _RATE_SMOOTHING) ** steps
        self._rate = 1 / took if self._rate == 0 else self._rate + weight * (1 / took - self._rate)
        pixels, gaussians = parts
        foreseen = self._seconds_of(parts) or took
        took = min(took, _LONGEST * foreseen)
        measured, fading = took / (pixels + gaussians), 0.5 ** (steps * took / half_life)
        x, y = pixels / (pixels + gaussians), gaussians / (pixels + gaussians)
        news = (x * x, x * y, y * y, x * measured, y * measured)
        self._sums = [fading * old + steps * new for old, new in zip(self._sums, news, strict=True)]

    def leave_out(self, seconds: float) -> None:
        """Take a pause of that length out of the time measured so far."""
        self._start += seconds
        self._last += seconds

    def seconds_for(self, cost: Cost, progress: float, steps: int) -> float:
        """Time that ``steps`` evenly spread steps from ``progress`` to the end will take."""
        return self._mean_seconds(cost, progress) * steps

    def steps_within(self, cost: Cost, progress: float, seconds: float) -> int:
        """Steps from ``progress`` to the end that fit into ``seconds``."""
        each = self._mean_seconds(cost, progress)
        return max(1, int(seconds / each)) if each > 0 else 1

    def _mean_seconds(self, cost: Cost, progress: float) -> float:
        rest = 1 - progress
        places = [progress + rest * (i + 0.5) / _SAMPLES for i in range(_SAMPLES)]
        return sum(self._seconds_of(cost(place)) for place in places) / _SAMPLES

    def _seconds_of(self, parts: Parts) -> float:
        """Seconds of a step on this machine; 0 before the first measurement."""
        xx, xy, yy, xt, yt = self._sums
        # Measurements of one kind alone would leave the other speed open.
        tie = _TRUST * (xx + 2 * xy + yy)
        xx, xy, yy = xx + tie, xy - tie, yy + tie
        determinant = xx * yy - xy * xy
        if determinant <= 0:
            return 0.0
        speeds = (xt * yy - yt * xy) / determinant, (yt * xx - xt * xy) / determinant
        return sum(max(speed, 0.0) * part for speed, part in zip(speeds, parts, strict=True))
