"""What training says while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splatkit.core import Event, Gaussians


@dataclass(frozen=True)
class Ingested(Event):
    """Photos have cameras now."""

    seconds: float
    """Time in this session; near 0 where everything had been done before."""
    photos: int
    """Photos with a camera."""
    points: int
    """Sparse points."""


@dataclass(frozen=True)
class Started(Event):
    """Training is ready for its first step."""

    photos: int
    """Photos to learn from."""
    width: int
    """Width of the largest training picture, pixels."""
    height: int
    """Height of the largest training picture, pixels."""
    num_gaussians: int
    iterations: int
    """Steps in all, as planned so far."""
    backend: str
    resumed_step: int = 0
    """Step of the checkpoint that this run goes on from; 0 for a new one."""


@dataclass(frozen=True)
class Controls:
    """What a listener may do with a run while it handles a ``StepDone``."""

    save: Callable[[], Path]
    """Write a checkpoint now; returns its file."""
    leave_out: Callable[[float], None]
    """Do not count that many seconds as training: the listener has paused the run."""


@dataclass(frozen=True)
class StepDone(Event):
    """A step is done; sent a few times a second, and for the last step."""

    step: int
    """Steps done, 1 after the first."""
    iterations: int
    """Steps in all; changes while a time limit plans anew."""
    loss: float
    """Running mean of the loss."""
    num_gaussians: int
    steps_per_second: float
    seconds_left: float
    """Estimated training time left."""
    gaussians: Gaussians = field(repr=False)
    """The live scene: clone what is kept beyond this event."""
    controls: Controls | None = field(default=None, repr=False)
    """None where nothing listens for wishes (tests, recorded runs)."""


@dataclass(frozen=True)
class Saved(Event):
    """A file that a person may want is on the disk, complete."""

    path: Path
    what: str
    """Plain words ("checkpoint", "scene", "statistics")."""


@dataclass(frozen=True)
class Measured(Event):
    """A few held-out photos were compared while training goes on."""

    step: int
    psnr: float
    """Mean in dB; nothing is learned from it."""
    photos: int
    """How many were compared."""


@dataclass(frozen=True)
class StageDone(Event):
    """One stage of the work has ended."""

    stage: str
    """Plain words ("Training")."""
    seconds: float
    """Time in this session."""
    memory_bytes: int | None
    """Largest memory that this process was seen to hold; None where the system does not tell."""


@dataclass(frozen=True)
class Evaluated(Event):
    """Held-out photos were compared."""

    stats: dict[str, Any] = field(repr=False)
    """The contents of ``eval/stats.json``."""


@dataclass(frozen=True)
class Finished(Event):
    """Training has done its last step."""

    step: int
    seconds: float
    """Training time over all sessions of this run."""
    num_gaussians: int
