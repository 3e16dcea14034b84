"""Sizes that launches follow from: image and tiles, capacities, and where scratch memory lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_params import interface

MOST_INSTANCES = 2**30 - 1
"""Pairs of splat and tile are counted in 30 bits."""
DEPTH_KEY_BITS = 32
DEPTH_PASSES = 4
"""Camera z is sorted by all its bits, 8 a pass."""


class Allocate(Protocol):
    """Gives a contiguous tensor of undefined content; a name stands for a use."""

    def __call__(
        self, name: str, *shape: int, dtype: torch.dtype = torch.float32
    ) -> Tensor: ...  # pragma: no cover


def divided(count: int, by: int) -> int:
    """Quotient rounded up."""
    return -(-count // by)


@dataclass(frozen=True)
class Choice:
    """How images are blended; all are compile-time options of the kernels."""

    tile_width: int = 16
    tile_height: int = 16
    blend_pixels: int = 1
    """Pixels a thread of the forward kernel."""
    bucket: int = 128
    """Splats of a tile between two checkpoints; 0 keeps none (rendering only)."""
    adj_form: int = 0
    """0: lanes of the backward kernel are pixels, 1: lanes are splats."""
    deterministic: bool = False
    half_records: bool = False
    """Packed records of 32 bytes, for rendering only."""

    @property
    def tile_pixels(self) -> int:
        """Pixels of a tile."""
        return self.tile_width * self.tile_height


@dataclass(frozen=True)
class Frame:
    """Images of one launch and how they are cut into tiles."""

    cameras: int
    width: int
    height: int
    choice: Choice

    @cached_property
    def tiles_x(self) -> int:
        """Tiles in a row."""
        return divided(self.width, self.choice.tile_width)

    @cached_property
    def tiles_y(self) -> int:
        """Rows of tiles."""
        return divided(self.height, self.choice.tile_height)

    @cached_property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.cameras * self.tiles_x * self.tiles_y

    @cached_property
    def key_bits(self) -> int:
        """Width of a tile's number in memory."""
        return 16 if self.tiles <= 1 << 16 else 32

    @cached_property
    def key_type(self) -> torch.dtype:
        """What tiles' numbers are kept in."""
        return torch.int16 if self.key_bits == 16 else torch.int32

    @cached_property
    def tile_passes(self) -> int:
        """Passes of the sort by tile."""
        return max(1, divided((self.tiles - 1).bit_length(), 8))

    @cached_property
    def bin_options(self) -> Options:
        """Macros of ``bin.cu``."""
        return options_of(
            {
                "SK_TILE_WIDTH": self.choice.tile_width,
                "SK_TILE_HEIGHT": self.choice.tile_height,
                "SK_KEY_BITS": self.key_bits,
                "SK_DETERMINISTIC": int(self.choice.deterministic),
                "SK_HALF_RECORDS": int(self.choice.half_records),
            }
        )

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of a stack of images."""
        return (self.cameras, self.height, self.width)


@dataclass(frozen=True)
class Capacity:
    """Room for what a step finds."""

    gaussians: int
    """N."""
    records: int
    instances: int


@dataclass(frozen=True)
class SortScratch:
    """Zeroed memory of one sort."""

    histograms: Tensor
    tickets: Tensor
    lookbacks: list[Tensor]
    """One a pass."""


class Scratch:
    """Counters, tickets and running sums of a step: one buffer, so that one memset zeroes all.

    Args:
        allocate: gives the buffer.
        frame: images.
        capacity: what there is room for.
    """

    def __init__(self, allocate: Allocate, frame: Frame, capacity: Capacity) -> None:
        constants = interface().constants
        digits = constants["SORT_DIGITS"]
        pairs = frame.cameras * divided(capacity.gaussians, constants["PROJECT_THREADS"])
        emitters = divided(capacity.records, constants["EMIT_THREADS"])
        sizes = [constants["COUNTERS"], pairs, emitters]
        sorts = ((DEPTH_PASSES, capacity.records), (frame.tile_passes, capacity.instances))
        for passes, count in sorts:
            blocks = divided(count, constants["SORT_BLOCK_ITEMS"])
            sizes += [passes * digits, passes, *[blocks * digits] * passes]
        self.memory = allocate("scratch", sum(sizes), dtype=torch.int32)
        self.counters, self.project_lookback, self.emit_lookback, *rest = self.memory.split(sizes)
        self.depth_sort = SortScratch(rest[0], rest[1], list(rest[2 : 2 + DEPTH_PASSES]))
        rest = rest[2 + DEPTH_PASSES :]
        self.tile_sort = SortScratch(rest[0], rest[1], list(rest[2:]))
        self.record_count = self._counter("COUNTER_RECORDS")
        self.instance_count = self._counter("COUNTER_INSTANCES")

    def _counter(self, name: str) -> Tensor:
        place = interface().constants[name]
        return self.counters[place : place + 1]


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
        places = interface().constants
        names = ("RECORDS", "RECORDS_WANTED", "INSTANCES", "INSTANCES_WANTED")
        return Found(*(values[places[f"COUNTER_{name}"]] for name in names))

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


@dataclass(frozen=True)
class ChannelPass:
    """Values that one blend takes through the image."""

    colors: int
    """3 in the first pass, then 0."""
    values: int
    """Compiled number of values: 3, 8 or 16."""
    begin: int
    """First channel."""
    count: int
    """Channels."""

    @property
    def adj_pixels(self) -> int:
        """Pixels a thread of the backward kernel whose lanes are pixels."""
        return {3: 8, 8: 4, 16: 2}[self.values]


def channel_passes(count: int) -> list[ChannelPass]:
    """Colours and ``count`` channels in as few passes as the compiled numbers allow."""
    passes, done = [], 0
    while not passes or done < count:
        colors = 0 if passes else 3
        values = next((d for d in (3, 8, 16) if d - colors >= count - done), 16)
        taken = min(count - done, values - colors)
        passes.append(ChannelPass(colors, values, done, taken))
        done += taken
    return passes
