"""Launches that blend tiles front to back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatkit.render.backends._cuda_bin import Binned
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_plan import ChannelPass, Frame, channel_passes
from splatkit.render.backends._cuda_project import Records
from splatkit.render.backends._cuda_work import Work
from splatkit.render.screen import Blended, BlendRequest

WEIGHT_UNIT = 2.0**-32
"""Weights are summed in integers, so that the order of additions does not matter."""
ONLY_COLORS = BlendRequest()


@dataclass
class Kept:
    """What one pass of a blend keeps for its backward pass."""

    checkpoints: Tensor | None
    checkpoint_tiles: Tensor | None
    tile_ends: Tensor


def blend_options(frame: Frame, channels: ChannelPass, request: BlendRequest) -> Options:
    """Macros of ``blend.cu``; statistics come from the first pass."""
    first, choice = channels.colors > 0, frame.choice
    return options_of(
        {
            "SK_TILE_WIDTH": choice.tile_width,
            "SK_TILE_HEIGHT": choice.tile_height,
            "SK_HALF_RECORDS": int(choice.half_records),
            "SK_DETERMINISTIC": int(choice.deterministic),
            "SK_COLORS": channels.colors,
            "SK_VALUES": channels.values,
            "SK_BLEND_PIXELS": choice.blend_pixels,
            "SK_BUCKET": choice.bucket,
            "SK_MEDIAN": int(first and request.depth_median),
            "SK_WEIGHTS": int(first and request.weights),
            "SK_TOP_K": request.top_k if first else 0,
            "SK_GRADIENT": int(first and request.gradient),
        }
    )


def allocate_blended(work: Work, channels: int | None, request: BlendRequest) -> Blended:
    """Memory of all images; ``weight_sum`` comes from ``blend``."""
    allocate, shape, count = work.allocate, work.frame.shape, work.capacity.gaussians
    result = Blended(allocate("rgb", *shape, 3), allocate("alpha", *shape))
    if channels is not None:
        result.channels = allocate("channel_image", *shape, channels)
    if request.depth_median:
        result.depth_median = allocate("depth_median", *shape)
    if request.weights:
        result.weight_max = allocate("weight_max", count).zero_()
        result.weight_count = allocate("weight_count", count, dtype=torch.int32).zero_()
    if request.top_k:
        result.top_ids = allocate("top_ids", *shape, request.top_k, dtype=torch.int32)
        result.top_weights = allocate("top_weights", *shape, request.top_k)
    if request.gradient:
        result.rgb_dx = allocate("rgb_dx", *shape, 3)
        result.rgb_dy = allocate("rgb_dy", *shape, 3)
    return result


def blend(
    work: Work,
    splats: Records,
    binned: Binned,
    background: Tensor,
    out: Blended,
    channels: Tensor | None = None,
    request: BlendRequest = ONLY_COLORS,
) -> list[Kept]:
    """Blend all images into ``out``; what each pass over the channels keeps for ``blend_adj``."""
    frame = work.frame
    sums = None
    if request.weights:
        sums = work.allocate("weight_units", work.capacity.gaussians, dtype=torch.int64).zero_()
    statistics = {
        "depth_median": out.depth_median,
        "weight_sum": sums,
        "weight_max": out.weight_max,
        "weight_count": out.weight_count,
        "top_ids": out.top_ids,
        "top_weights": out.top_weights,
        "rgb_dx": out.rgb_dx,
        "rgb_dy": out.rgb_dy,
    }
    kept = []
    for index, part in enumerate(channel_passes(0 if channels is None else channels.shape[1])):
        kept.append(_allocate_kept(work, part, index))
        work.driver.launch(
            "blend",
            blend_options(frame, part, request),
            frame.tiles,
            frame.choice.tile_pixels // frame.choice.blend_pixels,
            shared_arguments(frame, splats, binned, kept[-1], channels, part)
            | (statistics if index == 0 else dict.fromkeys(statistics))
            | {
                "gaussian_ids": splats.gaussian_ids,
                "background": background,
                "rgb": out.rgb,
                "alpha": out.alpha,
                "channel_image": out.channels,
            },
        )
    if sums is not None:
        out.weight_sum = (sums.double() * WEIGHT_UNIT).float()
    return kept


def shared_arguments(
    frame: Frame,
    splats: Records,
    binned: Binned,
    kept: Kept,
    channels: Tensor | None,
    part: ChannelPass,
) -> dict[str, Any]:
    """What the kernels of both directions are told."""
    return {
        "records": splats.records,
        "channels": channels,
        "entries": binned.entries,
        "instance_rows": binned.instance_rows,
        "tile_begin": binned.tile_begin,
        "checkpoints": kept.checkpoints,
        "checkpoint_tiles": kept.checkpoint_tiles,
        "tile_ends": kept.tile_ends,
        **frame.sizes,
        **part.channel_range(channels),
    }


def _allocate_kept(work: Work, channels: ChannelPass, index: int) -> Kept:
    allocate, frame = work.allocate, work.frame
    ends = allocate(f"tile_ends_{index}", frame.tiles, dtype=torch.int32)
    bucket = frame.choice.bucket
    if not bucket:
        return Kept(None, None, ends)
    count = frame.checkpoints(work.capacity)
    floats = (channels.values + 1) * frame.choice.tile_pixels
    tiles = allocate(f"checkpoint_tiles_{index}", count, dtype=torch.int32).fill_(-1)
    return Kept(allocate(f"checkpoints_{index}", count, floats), tiles, ends)
