"""One pass over a scene: who launches, into which memory, at which sizes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_plan import DEPTH_PASSES, Capacity, Frame
from splatkit.render.backends._cuda_sort import SortScratch


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
