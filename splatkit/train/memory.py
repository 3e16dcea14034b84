"""How much memory a training will need, told before it starts, and kept within a budget.

The figures per Gaussian and pixel follow from what training holds (see each constant) and were
compared with measured peaks of whole runs; ``tests/train/test_memory.py`` does so again.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch

from splatkit.core import Event, Note, Scene, SplatkitError
from splatkit.core.memory import available_memory_bytes
from splatkit.core.sh import count_from_degree
from splatkit.train.config import TrainConfig
from splatkit.train.photo_store import room_for_photos

_CPU = torch.device("cpu")

PROGRAM = 380e6
"""Python, torch and the other libraries, their threads, and what the allocator keeps."""
_FLOATS = 11
"""Numbers of a Gaussian beside its harmonics."""


@dataclass(frozen=True)
class _Holding:
    """What differs between a computer's memory and a GPU's own."""

    program: float
    """Bytes before anything is trained."""
    per_splat: float
    """Bytes of a Gaussian on the screen: records, gradients, and what belongs to its tiles."""
    photos: bool
    """Whether all photos have to be there."""


_HOST = _Holding(PROGRAM, 360, True)
_GPU = _Holding(600e6, 700, False)
"""The context and libraries; ten tiles a splat, each with keys, entries and its share of
checkpoints; photos that do not fit come one by one."""
_PER_PIXEL = 450
"""Bytes of a pixel of the largest picture: render, gradient, loss; SSIM of the evaluation."""
_PER_READ_PIXEL = 12
"""Bytes of a pixel of an original photo while it is read and shrunk ."""
_WITH_ALPHA = 5
"""Times as much where colours are put before a background."""
_MOST_READERS = 32
"""Python's pool has no more, when threads are not given."""
_READERS = 4
"""Photos that are read at the same time beyond one a core, when threads are not given."""
LEAST_GAUSSIANS = 2000
"""A budget that leaves room for fewer is refused."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by what they are for."""

    program: float
    images: float
    """All training photos at training size, once more at the reduced size, with masks."""
    gaussians: float
    """Parameters, moments and statistics, also while their count changes."""
    workspaces: float
    """What a step needs beside these, or reading the photos where that takes more."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.program + self.images + self.gaussians + self.workspaces


def estimate(
    scene: Scene, config: TrainConfig, max_gaussians: int, device: torch.device = _CPU
) -> MemoryEstimate:
    """The largest memory that training this scene will hold, on the device that trains.

    Args:
        scene: photos and their sizes.
        config: picture size, harmonics and threads.
        max_gaussians: of the finished scene; on the way there may be more.
        device: whose memory; on a GPU photos count as if they came one by one.
    """
    holding = _HOST if device.type == "cpu" else _GPU
    sizes = [config.picture_size(photo.width, photo.height) for photo in scene.training_photos]
    pixels = [width * height for width, height in sizes]
    channels = 4 + (scene.background is not None)
    most = round(config.growth.peak * max_gaussians)
    step = _PER_PIXEL * max(pixels, default=0) + holding.per_splat * most
    readers = config.threads or min(_MOST_READERS, (os.cpu_count() or 1) + _READERS)
    largest = max((photo.width * photo.height for photo in scene.photos), default=0)
    reading = readers * _PER_READ_PIXEL * largest * (_WITH_ALPHA if scene.background else 1)
    gaussians = bytes_per_gaussian(count_from_degree(config.sh_degree)) * most
    there = 1.25 * sum(pixels) if holding.photos else 4 * max(pixels, default=0)
    return MemoryEstimate(
        program=holding.program,
        images=channels * there,
        gaussians=gaussians,
        # When their count changes, the old Gaussians stand beside the new ones.
        workspaces=max(step + gaussians, reading if holding.photos else 0.0),
    )


def bytes_per_gaussian(harmonics: int) -> int:
    """Parameters, two moments of each, and the statistics of one Gaussian."""
    return 4 * (3 * (_FLOATS + 3 * harmonics) + 5)


def photo_room(scene: Scene, config: TrainConfig, device: torch.device) -> int | None:
    """Bytes that a memory budget leaves for photos on a GPU; None where there is none."""
    if config.memory_bytes is None or device.type == "cpu":
        return None
    rest = estimate(scene, config, config.budget, device).total
    return max(0, int(min(config.memory_bytes - rest, room_for_photos(device))))


def within_memory(
    scene: Scene, config: TrainConfig, device: torch.device = _CPU
) -> Generator[Event, None, TrainConfig]:
    """The options with as many Gaussians as the memory budget leaves room for.

    Says what training will need; without a budget it warns where the device has less. On a GPU the
    budget is one of its own memory, and torch is held to it.

    Args:
        scene: photos and their sizes.
        config: options.
        device: that trains.

    Raises:
        SplatkitError: the budget is too small for the photos alone.
    """
    need = estimate(scene, config, config.budget, device)
    budget, free = config.memory_bytes, _free_bytes(device)
    if budget is not None and device.type == "cuda":
        _, total = torch.cuda.mem_get_info(device)
        share = (budget - need.program) / total
        torch.cuda.set_per_process_memory_fraction(min(max(share, 0.01), 1.0), device)
    if budget is None:
        if free is not None and need.total > free:
            yield Note(
                f"Training needs about {text_of(need.total)} of memory, and {text_of(free)} are "
                "free: lower --max-gaussians or --resize, or set --memory-budget",
                warning=True,
            )
        return config
    if need.total <= budget:
        return config
    least = estimate(scene, config, LEAST_GAUSSIANS, device)
    each = (need.total - least.total) / max(config.budget - LEAST_GAUSSIANS, 1)
    room = LEAST_GAUSSIANS + int((budget - least.total) / max(each, 1.0))
    if room < LEAST_GAUSSIANS:
        fewer = estimate(scene, replace(config, threads=1), LEAST_GAUSSIANS, device)
        helps = "make them smaller with --resize"
        if fewer.total < least.total:
            helps += ", or read fewer at a time with --threads"
        raise SplatkitError(
            f"--memory-budget: expected at least {text_of(least.total)} for these photos at this "
            f"size, got {text_of(budget)}; {helps}"
        )
    yield Note(
        f"To stay within {text_of(budget)} of memory the scene grows to {room:,} Gaussians instead "
        f"of {config.budget:,}"
    )
    return replace(config, max_gaussians=room)


def _free_bytes(device: torch.device) -> float | None:
    """Memory of the device that nobody uses now; None where it is untold."""
    if device.type == "cpu":
        return available_memory_bytes()
    return float(torch.cuda.mem_get_info(device)[0])


def text_of(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
