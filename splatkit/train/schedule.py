"""How far training is, and what depends on it: learning rates, harmonics, picture size.

``progress`` runs from 0 (first step) to 1 (after the last one). Everything that changes during
training is a function of it, so that a run of any length is the same curve, stretched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_LEAST_STEPS = 500
"""With fewer steps nothing is learned at all."""


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates."""

    means: float = 1.6e-4
    """Centres at the start, times the scene's extent."""
    means_final: float = 1.6e-6
    """Centres at the end, times the scene's extent; exponential in between."""
    quats: float = 4e-3
    log_scales: float = 1e-2
    logit_opacities: float = 5e-2
    sh: float = 2.5e-3
    """Base colour."""
    sh_rest: float = 5e-4
    """View-dependent colour."""
    full_from: int = 40
    """Photos from which on shapes and view-dependent colours learn at these rates. Fewer are
    learned by heart the sooner: shapes have a share of the rates as of the photos, and
    view-dependent colours the square of it."""
    least_share: float = 0.5
    """But the share is not less than this."""
    late: float = 0.2
    """What remains at the end of all rates but the centres', which have a curve of their own."""
    late_from: float = 0.5
    """Progress from which on they fall; exponential."""

    def decay(self, progress: float) -> float:
        """The centres' rate in units of the one at the start."""
        return (self.means_final / self.means) ** min(max(progress, 0.0), 1.0)

    def at(self, progress: float, extent: float, photos: int) -> dict[str, float]:
        """Learning rates by parameter name.

        Args:
            progress: 0..1.
            extent: radius of the cameras, world units.
            photos: how many are trained on.
        """
        share = min(max(photos / max(self.full_from, 1), self.least_share), 1.0)
        falling = max(min(progress, 1.0) - self.late_from, 0.0) / max(1 - self.late_from, 1e-9)
        left = self.late**falling
        return {
            "means": self.means * self.decay(progress) * extent,
            "quats": self.quats * share * left,
            "log_scales": self.log_scales * share * left,
            "logit_opacities": self.logit_opacities * left,
            "sh": self.sh * left,
            "sh_rest": self.sh_rest * share**2 * left,
        }


@dataclass(frozen=True)
class Coarse:
    """Small pictures first: early steps are cheap, and large shapes settle before small ones."""

    half: float = 0.35
    """Up to this progress pictures are at most half size."""
    quarter: float = 0.1
    """Up to this progress they are a quarter."""
    least_side: int = 120
    """No picture's long side is made smaller than this, pixels."""

    def factor(self, progress: float, long_side: int) -> int:
        """By how much pictures are divided now: 4, 2 or 1."""
        wanted = 4 if progress < self.quarter else 2 if progress < self.half else 1
        while wanted > 1 and long_side // wanted < self.least_side:
            wanted //= 2
        return wanted


def sh_degree_at(progress: float, degree: int, grown_by: float = 0.4) -> int:
    """Harmonics in use: one degree more at equal distances until ``grown_by``."""
    if degree == 0 or grown_by <= 0:
        return degree
    return min(degree, int(progress / grown_by * (degree + 1)))


def most_steps(photos: int, per_square: float) -> int:
    """Steps after which training would learn the photos by heart, and the scene no better.

    What holds a scene together is that photos agree in pairs, and pairs grow with the square of
    the photos' number.
    """
    return max(_LEAST_STEPS, round(per_square * photos**2))


@dataclass(frozen=True)
class Pace:
    """Which progress a step has: a straight line from an anchor to the last step."""

    last_step: int
    """Number of steps after which progress is 1."""
    anchor_step: int = 0
    anchor_progress: float = 0.0

    def progress(self, step: int) -> float:
        """0..1 after ``step`` steps."""
        left = self.last_step - self.anchor_step
        if step >= self.last_step or left <= 0:
            return 1.0
        share = (step - self.anchor_step) / left
        return self.anchor_progress + (1.0 - self.anchor_progress) * share

    def replanned(self, step: int, steps_left: int) -> Pace:
        """The same progress now, and ``steps_left`` more steps to the end."""
        return replace(
            self,
            last_step=step + max(1, steps_left),
            anchor_step=step,
            anchor_progress=self.progress(step),
        )
