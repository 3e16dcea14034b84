"""What a user may choose: how to upscale, by how much, and how the picture is graded."""

from __future__ import annotations

from dataclasses import dataclass

from splatkit.core import UsageError

MODES = ("off", "bilinear", "bicubic", "fsr1", "hermite", "temporal", "neural")
RATIOS = {"quality": 1.5, "balanced": 1.7, "performance": 2.0, "ultra": 3.0}
"""Named ratios: pixels of the picture a rendered pixel, each way."""
PLACES = ("everywhere", "inside", "outside")
"""Where the network, sharpening and grading work: everywhere, or in the marked part or not."""
SMALLEST_RATIO, LARGEST_RATIO = 1.3, 3.0


def ratio_of(value: str | float, option: str = "--ratio") -> float:
    """The ratio that a name or a number stands for; ``option`` is what a complaint names.

    Raises:
        UsageError: no such name, or a number outside 1.3 to 3.
    """
    text = str(value).strip().lower()
    if text in RATIOS:
        return RATIOS[text]
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not SMALLEST_RATIO <= ratio <= LARGEST_RATIO:
        names = ", ".join(f"{name} ({number:g})" for name, number in RATIOS.items())
        raise UsageError(
            f"{option}: expected {names} or a number from {SMALLEST_RATIO} to {LARGEST_RATIO:g}, "
            f"got {value!r}"
        )
    return ratio


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name}: expected {low:g} to {high:g}, got {value:g}")


@dataclass(frozen=True)
class Grade:
    """Colour correction of the finished picture; the defaults change nothing."""

    exposure: float = 0.0
    """Stops; light is doubled by 1."""
    contrast: float = 1.0
    """Factor of the distance from middle grey."""
    saturation: float = 1.0
    """Factor of the distance from the grey of the same luma; 0 is black and white."""
    gamma: float = 1.0
    """Above 1 brightens what lies between black and white."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("exposure", -10.0, 10.0),
            ("contrast", 0.0, 4.0),
            ("saturation", 0.0, 4.0),
            ("gamma", 0.1, 10.0),
        ):
            _check_range(f"--{name}", getattr(self, name), low, high)


@dataclass(frozen=True)
class UpscaleOptions:
    """How pictures are made larger than they are rendered."""

    mode: str = "off"
    """One of ``MODES``; ``off`` renders every pixel."""
    ratio: float = 2.0
    """Pixels of the picture a rendered pixel, each way, 1.3 to 3."""
    sharpness: float = 0.0
    """Strength of the sharpening at the end, 0 (none) to 1."""
    strength: float = 1.0
    """Of what the network adds, 0 to 1; ``neural`` only, at 0 the same as ``hermite``."""
    network: str = "s"
    """``s``, the larger ``m``, or a file that training wrote; ``neural`` only."""
    engine: str = "torch"
    """What runs the network: ``torch`` or ``onnxruntime``."""
    temporal_weight: float = 1.0
    """Of earlier frames while something moves, 0 (none) to 1; ``temporal`` only."""
    grade: Grade = Grade()
    where: str = "everywhere"
    """One of ``PLACES``; the part that is marked is told with each picture."""

    def __post_init__(self) -> None:
        if self.where not in PLACES:
            raise UsageError(f"where: expected one of {', '.join(PLACES)}, got {self.where!r}")
        if self.mode not in MODES:
            raise UsageError(f"--upscale: expected one of {', '.join(MODES)}, got {self.mode!r}")
        ratio_of(self.ratio)
        _check_range("--sharpness", self.sharpness, 0.0, 1.0)
        _check_range("--strength", self.strength, 0.0, 1.0)
        _check_range("temporal weight", self.temporal_weight, 0.0, 1.0)
