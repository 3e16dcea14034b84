"""One pass over a scene: who launches, into which memory, at which sizes, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_plan import DEPTH_PASSES, Capacity, Frame
from splatkit.render.backends._cuda_sort import SortScratch

MOST_INSTANCES = 2**30 - 1
"""Pairs of splat and tile are counted in 30 bits."""
LEAST_INSTANCES = 1 << 16
_ROOM = 1.25
_AT_FIRST = 4.0
"""Pairs of a record before any were counted: too few are found out and tried again."""


class Allocate(Protocol):
    """Gives a contiguous tensor of undefined content; a name stands for a use."""

    def __call__(
        self, name: str, *shape: int, dtype: torch.dtype = torch.float32
    ) -> Tensor: ...  # pragma: no cover


def fresh(device: torch.device) -> Allocate:
    """New memory for every name."""

    def allocate(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    return allocate


class Scratch:
    """Counters, tickets and running sums of a pass: one buffer, so that one memset zeroes all.

    Args:
        allocate: gives the buffer.
        frame: images.
        capacity: what there is room for.
    """

    def __init__(self, allocate: Allocate, frame: Frame, capacity: Capacity) -> None:
        pairs = frame.cameras * divided(capacity.gaussians, constant("PROJECT_THREADS"))
        emitters = divided(capacity.records, constant("EMIT_THREADS"))
        depth = SortScratch.sizes(DEPTH_PASSES, capacity.records)
        tile = SortScratch.sizes(frame.tile_passes, capacity.instances)
        sizes = [constant("COUNTERS"), pairs, emitters, *depth, *tile]
        memory = allocate("scratch", sum(sizes), dtype=torch.int32).zero_()
        self.counters, self.project_lookback, self.emit_lookback, *rest = memory.split(sizes)
        self.depth_sort = SortScratch.of(rest[: len(depth)])
        self.tile_sort = SortScratch.of(rest[len(depth) :])
        self.record_count = self._counter("COUNTER_RECORDS")
        self.instance_count = self._counter("COUNTER_INSTANCES")

    def _counter(self, name: str) -> Tensor:
        place = constant(name)
        return self.counters[place : place + 1]


class Work:
    """What all launches of a pass share.

    Args:
        driver: launches.
        allocate: gives memory.
        frame: images.
        capacity: room for what the pass finds.
    """

    def __init__(
        self, driver: Driver, allocate: Allocate, frame: Frame, capacity: Capacity
    ) -> None:
        self.driver = driver
        self.allocate = allocate
        self.frame = frame
        self.capacity = capacity
        self.scratch = Scratch(allocate, frame, capacity)
        """Zeroed by now, or when the stream gets there."""


@dataclass(frozen=True)
class Found:
    """What the device counted, and what it would have with enough room."""

    records: int
    records_wanted: int
    instances: int
    instances_wanted: int

    @staticmethod
    def of(counters: Tensor) -> Found:
        """From counters on the host."""
        values = counters.tolist()
        names = ("RECORDS", "RECORDS_WANTED", "INSTANCES", "INSTANCES_WANTED")
        return Found(*(values[constant(f"COUNTER_{name}")] for name in names))

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.records >= self.records_wanted and self.instances >= self.instances_wanted


def check_instances(wanted: int) -> None:
    """Refuse what the kernels cannot count.

    Raises:
        SplatkitError: too many pairs of splat and tile.
    """
    if wanted >= MOST_INSTANCES:
        raise SplatkitError(
            f"render: the splats cover more than {MOST_INSTANCES:,} tiles together; render fewer "
            "cameras at once, or smaller images"
        )


class InstanceRoom:
    """Foresees how many pairs of splat and tile a blend will have, from those before it."""

    def __init__(self) -> None:
        self._per_record = _AT_FIRST

    def guess(self, records: int) -> int:
        """Room for that many records."""
        return max(LEAST_INSTANCES, int(_ROOM * self._per_record * records))

    def learn(self, records: int, instances: int) -> None:
        """What a blend had."""
        if records:
            self._per_record = max(0.9 * self._per_record, instances / records)
