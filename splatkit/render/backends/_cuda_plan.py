"""Sizes and compile-time choices that launches follow from: tiles, capacities, passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_params import divided
from splatkit.render.backends._cuda_sort import DIGIT_BITS

WARP = 32
DEPTH_KEY_BITS = 32
"""Camera z is sorted by all its bits."""
DEPTH_PASSES = DEPTH_KEY_BITS // DIGIT_BITS


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
        return max(1, divided((self.tiles - 1).bit_length(), DIGIT_BITS))

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
    def sizes(self) -> dict[str, int]:
        """Of images and tiles, as the kernels' structs name them."""
        return {
            "width": self.width,
            "height": self.height,
            "tiles_x": self.tiles_x,
            "tiles_y": self.tiles_y,
        }

    def checkpoints(self, capacity: Capacity) -> int:
        """How many checkpoints there can be."""
        bucket = self.choice.bucket
        return capacity.instances // bucket + 1 if bucket else 0

    def adj_parts(self, channels: ChannelPass) -> int:
        """Parts of a tile's pixels that warps of the backward kernel take one by one."""
        if self.choice.adj_form == 1:
            return 1
        return self.choice.tile_pixels // (WARP * channels.adj_pixels)

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

    def channel_range(self, channels: Tensor | None) -> dict[str, int]:
        """Which of the columns of channels [M,F] it takes, as the kernels' structs say it."""
        return {
            "num_channels": 0 if channels is None else channels.shape[1],
            "channel_begin": self.begin,
            "channel_count": self.count,
        }


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
