"""Presets made to fit the machine: more Gaussians and larger pictures where it is stronger.

The figures of ``PRESETS`` are those of two cores. A machine that does more steps a second spends
that on the picture, so that a preset takes about as long everywhere; memory bounds what fits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import torch

from splatkit.core.memory import total_memory_bytes
from splatkit.core.sh import count_from_degree
from splatkit.render import get_backend
from splatkit.train.config import PRESETS, TrainConfig
from splatkit.train.memory import PROGRAM, bytes_per_gaussian

KNOWN_THREADS = 2
"""Threads of the machine that the presets' figures are from."""
GPU_STRENGTH = 32.0
"""What a GPU counts for, in units of that machine; a cautious figure."""
MOST_GAUSSIANS = 8.0
"""A preset's Gaussians grow by this factor at most: pictures of this size need no more."""
MOST_PIXELS = 4.0
"""And its pictures by this factor, in pixels."""
MEMORY_SHARE = 0.5
"""Share of the machine's memory that a preset's Gaussians may fill."""


@dataclass(frozen=True)
class Machine:
    """What presets depend on."""

    threads: int
    memory_bytes: float | None = None
    """Where training holds its Gaussians; None where the system does not tell."""
    gpu: bool = False

    @property
    def strength(self) -> float:
        """Steps a second, in units of the known machine; at least 1."""
        return GPU_STRENGTH if self.gpu else max(1.0, self.threads / KNOWN_THREADS)


def this_machine(config: TrainConfig) -> Machine:
    """The machine as the options want it used."""
    device = get_backend(config.backend).device
    if device.type == "cuda":
        return Machine(1, torch.cuda.get_device_properties(device).total_memory, gpu=True)
    return Machine(config.threads or os.cpu_count() or 1, total_memory_bytes())


def sized(config: TrainConfig, machine: Machine | None = None) -> TrainConfig:
    """The options with steps, Gaussians and picture size in numbers, whatever the preset.

    Args:
        config: what is given in it stays as it is.
        machine: this one when None.
    """
    machine = machine or this_machine(config)
    preset = PRESETS[config.preset]
    most = preset.max_gaussians * min(machine.strength, MOST_GAUSSIANS)
    if machine.memory_bytes is not None:
        each = bytes_per_gaussian(count_from_degree(config.sh_degree))
        room = max(MEMORY_SHARE * machine.memory_bytes - PROGRAM, 0.0) / each
        most = min(most, room / config.growth.peak)
    side = preset.long_side * min(machine.strength, MOST_PIXELS) ** 0.5
    return replace(
        config,
        iterations=config.steps,
        max_gaussians=config.max_gaussians or max(int(most) // 1000 * 1000, 2000),
        resize=round(side) if config.resize == "auto" else config.resize,
    )
