"""What this machine can do at most, and times read on the scale of a known one.

The goals of docs/performance.md are stated on a machine of 427 GFLOP/s (float32 multiply-adds,
all cores) and 26.7 GB/s (triad). A time measured elsewhere is multiplied by the ratio of the two
machines' rates; the larger of the two ratios counts, so that neither flatters.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from splatkit import _native

REFERENCE_GFLOPS = 427.0
REFERENCE_GBPS = 26.7


@dataclass(frozen=True)
class Machine:
    """One machine's name and peak rates, measured now."""

    name: str
    isa: str
    threads: int
    gflops: float
    gbps: float

    @property
    def scale(self) -> float:
        """Multiply times by this to compare them with the goals."""
        return max(self.gflops / REFERENCE_GFLOPS, self.gbps / REFERENCE_GBPS)

    def __str__(self) -> str:
        return (
            f"{self.name}, {self.isa}, {self.threads} threads: {self.gflops:.0f} GFLOP/s, "
            f"{self.gbps:.1f} GB/s, times scaled by {self.scale:.2f}"
        )


def measure_machine() -> Machine:
    """Rates with as many threads as the kernels use."""
    return Machine(
        _processor(),
        _native.isa(),
        _native.num_threads(),
        _native.measure_fma(),
        _native.measure_triad(),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or f"{os.cpu_count()} x {platform.machine()}"
