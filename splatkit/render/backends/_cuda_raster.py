"""Launches of the rasterizer: project, sort, bin, blend and its backward pass.

Every function enqueues kernels on torch's current stream and waits for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import interface
from splatkit.render.backends._cuda_plan import (
    Allocate,
    Capacity,
    ChannelPass,
    Frame,
    Scratch,
    SortScratch,
    channel_passes,
    divided,
)
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import RECORD_SIZE, Blended, BlendRequest

HALF_RECORD_FLOATS = 8
"""A packed record is 32 bytes."""
WEIGHT_UNIT = 2.0**-32
"""Weights are summed in integers, so that the order of additions does not matter."""


def constant(name: str) -> int:
    """A number of ``params.h``."""
    return interface().constants[name]


@dataclass
class Projected:
    """Records of one projection, with room for more than there are."""

    records: Tensor
    gaussian_ids: Tensor
    camera_ids: Tensor | None
    """None where there is one camera and nobody asked."""
    depth_keys: Tensor
    """Sort like camera z."""
    rows: Tensor | None = None
    """[C,N] record of each pair, -1 where there is none."""


def prepare_cameras(
    driver: Driver,
    out: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    frame: Frame,
    options: ProjectOptions,
    antialiased: bool,
) -> None:
    """What all splats of an image share, into ``out`` [C,CAMERA_FLOATS]."""
    driver.launch(
        "prepare_cameras",
        (),
        divided(frame.cameras, 32),
        32,
        {
            "viewmats": viewmats,
            "Ks": Ks,
            "cameras": out,
            "num_cameras": frame.cameras,
            "width": frame.width,
            "height": frame.height,
            "antialiased": int(antialiased),
            "eps2d": options.eps2d,
            "near": options.near,
            "offset_x": options.pixel_offset[0],
            "offset_y": options.pixel_offset[1],
        },
    )


def project_options(degree: int, bases: int, half_records: bool) -> Options:
    """Macros of ``project.cu``."""
    return options_of(
        {"SK_SH_DEGREE": degree, "SK_BASES": bases, "SK_HALF_RECORDS": int(half_records)}
    )


def allocate_projected(
    allocate: Allocate,
    frame: Frame,
    capacity: Capacity,
    with_cameras: bool,
    rows: Tensor | None = None,
) -> Projected:
    """Memory of a projection; ``rows`` [C,N] where gradients will be wanted."""
    floats = HALF_RECORD_FLOATS if frame.choice.half_records else RECORD_SIZE
    room = capacity.records
    return Projected(
        allocate("records", room, floats),
        allocate("gaussian_ids", room, dtype=torch.int32),
        allocate("camera_ids", room, dtype=torch.int32) if with_cameras else None,
        allocate("depth_keys", room, dtype=torch.int32),
        rows,
    )


def project(
    driver: Driver,
    parameters: list[Tensor],
    degree: int,
    cameras: Tensor,
    frame: Frame,
    scratch: Scratch,
    out: Projected,
) -> None:
    """Gaussians to records; ``parameters`` in the order of ``PARAMETER_NAMES``."""
    means, quats, log_scales, logit_opacities, sh = parameters
    driver.launch(
        "project",
        project_options(degree, sh.shape[1], frame.choice.half_records),
        frame.cameras * divided(len(means), constant("PROJECT_THREADS")),
        constant("PROJECT_THREADS"),
        {
            "means": means,
            "quats": quats,
            "log_scales": log_scales,
            "logit_opacities": logit_opacities,
            "sh": sh,
            "cameras": cameras,
            "records": out.records,
            "gaussian_ids": out.gaussian_ids,
            "camera_ids": out.camera_ids,
            "rows": out.rows,
            "depth_keys": out.depth_keys,
            "counters": scratch.counters,
            "lookback": scratch.project_lookback,
            "count": len(means),
            "num_cameras": frame.cameras,
            "record_capacity": len(out.records),
        },
    )


def sort_options(key_bits: int) -> Options:
    """Macros of ``sort.cu``."""
    return options_of({"SK_KEY_BITS": key_bits})


def sort(
    driver: Driver,
    keys: tuple[Tensor, Tensor],
    values: tuple[Tensor, Tensor],
    scratch: SortScratch,
    count: Tensor,
    values_given: bool,
) -> tuple[Tensor, Tensor]:
    """Stable radix sort of the pairs in ``keys[0]``, ``values[0]``; the other two are room.

    Args:
        driver: launches.
        keys: what to sort by, int32 or int16 read as unsigned, and as much room.
        values: int32, likewise.
        scratch: zeroed.
        count: [1] int32 how many there are.
        values_given: False where the values are 0, 1, 2 and so on, not yet written.

    Returns:
        The sorted keys and values.
    """
    capacity = len(keys[0])
    options = sort_options(8 * keys[0].element_size())
    passes = len(scratch.lookbacks)
    given = {
        "histograms": scratch.histograms,
        "tickets": scratch.tickets,
        "count": count,
        "passes": passes,
    }
    threads = constant("SORT_THREADS")
    histogram_blocks = min(512, divided(capacity, constant("SORT_HISTOGRAM_ITEMS")))
    blocks = divided(capacity, constant("SORT_BLOCK_ITEMS"))
    for index in range(passes):
        arguments = given | {
            "keys_in": keys[0],
            "keys_out": keys[1],
            "values_in": values[0] if values_given or index else None,
            "values_out": values[1],
            "lookback": scratch.lookbacks[index],
            "pass": index,
        }
        if index == 0:
            driver.launch("sort_histogram", options, histogram_blocks, threads, arguments)
        driver.launch("sort_pass", options, blocks, threads, arguments)
        keys, values = (keys[1], keys[0]), (values[1], values[0])
    return keys[0], values[0]


@dataclass
class Binned:
    """Splats in tiles."""

    order: Tensor
    """Records, nearest first."""
    entries: Tensor
    """Instances by tile, then depth."""
    tile_begin: Tensor
    """[T+1] where each tile's instances begin."""
    instance_rows: Tensor | None
    """Deterministic mode: the record of each instance."""
    first_instance: Tensor | None
    """Deterministic mode: the first instance of each place in ``order``."""


def bin_splats(
    driver: Driver,
    allocate: Allocate,
    splats: Projected,
    frame: Frame,
    capacity: Capacity,
    scratch: Scratch,
) -> Binned:
    """Sort records by depth and hand them to the tiles that they reach."""
    room, places = capacity.instances, capacity.records
    _, order = sort(
        driver,
        (splats.depth_keys, allocate("depth_keys_spare", places, dtype=torch.int32)),
        (
            allocate("order", places, dtype=torch.int32),
            allocate("order_spare", places, dtype=torch.int32),
        ),
        scratch.depth_sort,
        scratch.record_count,
        values_given=False,
    )
    exact = frame.choice.deterministic
    keys = (
        allocate("tile_keys", room, dtype=frame.key_type),
        allocate("tile_keys_spare", room, dtype=frame.key_type),
    )
    values = (
        allocate("entries", room, dtype=torch.int32),
        allocate("entries_spare", room, dtype=torch.int32),
    )
    rows = allocate("instance_rows", room, dtype=torch.int32) if exact else None
    first = allocate("first_instance", places + 1, dtype=torch.int32) if exact else None
    driver.launch(
        "emit",
        frame.bin_options,
        divided(places, constant("EMIT_THREADS")),
        constant("EMIT_THREADS"),
        {
            "records": splats.records,
            "camera_ids": splats.camera_ids,
            "order": order,
            "tile_keys": keys[0],
            "values": None if exact else values[0],
            "instance_rows": rows,
            "first_instance": first,
            "counters": scratch.counters,
            "lookback": scratch.emit_lookback,
            "width": frame.width,
            "height": frame.height,
            "tiles_x": frame.tiles_x,
            "tiles_y": frame.tiles_y,
            "instance_capacity": room,
        },
    )
    tile_keys, entries = sort(
        driver,
        keys,
        values,
        scratch.tile_sort,
        scratch.instance_count,
        values_given=not exact,
    )
    tile_begin = allocate("tile_begin", frame.tiles + 1, dtype=torch.int32)
    driver.launch(
        "tile_ranges",
        frame.bin_options,
        divided(frame.tiles + 1, 256),
        256,
        {
            "tile_keys": tile_keys,
            "counters": scratch.counters,
            "tile_begin": tile_begin,
            "tiles": frame.tiles,
        },
    )
    return Binned(order, entries, tile_begin, rows, first)


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


def allocate_blended(
    allocate: Allocate, frame: Frame, channels: int | None, gaussians: int, request: BlendRequest
) -> Blended:
    """Memory of all images; ``weight_sum`` comes from ``blend``."""
    result = Blended(allocate("rgb", *frame.shape, 3), allocate("alpha", *frame.shape))
    if channels is not None:
        result.channels = allocate("channel_image", *frame.shape, channels)
    if request.depth_median:
        result.depth_median = allocate("depth_median", *frame.shape)
    if request.weights:
        result.weight_max = allocate("weight_max", gaussians).zero_()
        result.weight_count = allocate("weight_count", gaussians, dtype=torch.int32).zero_()
    if request.top_k:
        result.top_ids = allocate("top_ids", *frame.shape, request.top_k, dtype=torch.int32)
        result.top_weights = allocate("top_weights", *frame.shape, request.top_k)
    if request.gradient:
        result.rgb_dx = allocate("rgb_dx", *frame.shape, 3)
        result.rgb_dy = allocate("rgb_dy", *frame.shape, 3)
    return result


def blend(
    driver: Driver,
    allocate: Allocate,
    splats: Projected,
    binned: Binned,
    frame: Frame,
    capacity: Capacity,
    background: Tensor,
    channels: Tensor | None,
    request: BlendRequest,
    out: Blended,
) -> list[Kept]:
    """Blend all images into ``out``; what each pass over the channels keeps for ``blend_adj``."""
    count = 0 if channels is None else channels.shape[1]
    sums = None
    if request.weights:
        sums = allocate("weight_units", capacity.gaussians, dtype=torch.int64).zero_()
    kept = []
    for index, part in enumerate(channel_passes(count)):
        kept.append(_allocate_kept(allocate, frame, capacity, part, index))
        first = index == 0
        driver.launch(
            "blend",
            blend_options(frame, part, request),
            frame.tiles,
            frame.choice.tile_pixels // frame.choice.blend_pixels,
            {
                "records": splats.records,
                "gaussian_ids": splats.gaussian_ids,
                "channels": channels,
                "background": background,
                "entries": binned.entries,
                "instance_rows": binned.instance_rows,
                "tile_begin": binned.tile_begin,
                "rgb": out.rgb,
                "alpha": out.alpha,
                "channel_image": out.channels,
                "depth_median": out.depth_median if first else None,
                "weight_sum": sums if first else None,
                "weight_max": out.weight_max if first else None,
                "weight_count": out.weight_count if first else None,
                "top_ids": out.top_ids if first else None,
                "top_weights": out.top_weights if first else None,
                "rgb_dx": out.rgb_dx if first else None,
                "rgb_dy": out.rgb_dy if first else None,
                "checkpoints": kept[-1].checkpoints,
                "checkpoint_tiles": kept[-1].checkpoint_tiles,
                "tile_ends": kept[-1].tile_ends,
                "width": frame.width,
                "height": frame.height,
                "tiles_x": frame.tiles_x,
                "tiles_y": frame.tiles_y,
                "num_channels": count,
                "channel_begin": part.begin,
                "channel_count": part.count,
            },
        )
    if sums is not None:
        out.weight_sum = (sums.double() * WEIGHT_UNIT).float()
    return kept


def _allocate_kept(
    allocate: Allocate, frame: Frame, capacity: Capacity, channels: ChannelPass, index: int
) -> Kept:
    ends = allocate(f"tile_ends_{index}", frame.tiles, dtype=torch.int32)
    bucket = frame.choice.bucket
    if not bucket:
        return Kept(None, None, ends)
    count = capacity.instances // bucket + 1
    floats = (channels.values + 1) * frame.choice.tile_pixels
    tiles = allocate(f"checkpoint_tiles_{index}", count, dtype=torch.int32).fill_(-1)
    return Kept(allocate(f"checkpoints_{index}", count, floats), tiles, ends)


@dataclass
class Gradients:
    """Of what was blended."""

    records: Tensor
    channels: Tensor | None
    score_sums: Tensor | None
    """[M,2] weight times score, and weight."""


def blend_adj_options(frame: Frame, channels: ChannelPass, scores: bool) -> Options:
    """Macros of ``blend_adj.cu``; scores are summed in the first pass."""
    choice = frame.choice
    return options_of(
        {
            "SK_TILE_WIDTH": choice.tile_width,
            "SK_TILE_HEIGHT": choice.tile_height,
            "SK_DETERMINISTIC": int(choice.deterministic),
            "SK_COLORS": channels.colors,
            "SK_VALUES": channels.values,
            "SK_BUCKET": choice.bucket,
            "SK_SCORES": int(scores and channels.colors > 0),
            "SK_ADJ_FORM": choice.adj_form,
            "SK_ADJ_PIXELS": channels.adj_pixels,
        }
    )


def blend_adj(
    driver: Driver,
    allocate: Allocate,
    splats: Projected,
    binned: Binned,
    kept: list[Kept],
    frame: Frame,
    capacity: Capacity,
    scratch: Scratch,
    blended: Blended,
    channels: Tensor | None,
    v_rgb: Tensor,
    v_alpha: Tensor | None,
    v_channel_image: Tensor | None,
    scores: Tensor | None,
) -> Gradients:
    """Gradients of records and channels of what ``blend`` blended."""
    choice, count = frame.choice, 0 if channels is None else channels.shape[1]
    if choice.half_records:
        raise SplatkitError("blend: packed records are for rendering only, they have no gradient")
    result = Gradients(
        allocate("v_records", capacity.records, RECORD_SIZE),
        None if channels is None else allocate("v_channels", capacity.records, count),
        None if scores is None else allocate("score_sums", capacity.records, 2),
    )
    if not choice.deterministic:
        for tensor in (result.records, result.channels, result.score_sums):
            if tensor is not None:
                tensor.zero_()
    for part, memory in zip(channel_passes(count), kept, strict=True):
        options = blend_adj_options(frame, part, scores is not None)
        parts = 1
        if choice.adj_form == 0:
            parts = choice.tile_pixels // (32 * part.adj_pixels)
        items = frame.tiles
        if choice.bucket:
            items += capacity.instances // choice.bucket + 1
        slots = None
        if choice.deterministic:
            floats = divided(constant("SLOT_FLOATS") + part.values - part.colors, 4) * 4
            slots = allocate("slots", capacity.instances, parts, floats)
        first = part.colors > 0
        channel_range = {
            "num_channels": count,
            "channel_begin": part.begin,
            "channel_count": part.count,
        }
        driver.launch(
            "blend_adj",
            options,
            divided(items * parts, constant("BLEND_ADJ_WARPS")),
            constant("BLEND_ADJ_THREADS"),
            {
                "records": splats.records,
                "channels": channels,
                "entries": binned.entries,
                "instance_rows": binned.instance_rows,
                "tile_begin": binned.tile_begin,
                "rgb": blended.rgb,
                "alpha": blended.alpha,
                "channel_image": blended.channels,
                "v_rgb": v_rgb,
                "v_alpha": v_alpha,
                "v_channel_image": v_channel_image,
                "scores": scores if first else None,
                "checkpoints": memory.checkpoints,
                "checkpoint_tiles": memory.checkpoint_tiles,
                "tile_ends": memory.tile_ends,
                "v_records": None if choice.deterministic else result.records,
                "v_channels": None if choice.deterministic else result.channels,
                "score_sums": None if choice.deterministic or not first else result.score_sums,
                "slots": slots,
                "tiles": frame.tiles,
                "width": frame.width,
                "height": frame.height,
                "tiles_x": frame.tiles_x,
                "tiles_y": frame.tiles_y,
                **channel_range,
            },
        )
        if slots is not None:
            driver.launch(
                "gather_slots",
                options,
                divided(capacity.records, constant("GATHER_ROWS")),
                constant("GATHER_THREADS"),
                {
                    "slots": slots,
                    "order": binned.order,
                    "first_instance": binned.first_instance,
                    "counters": scratch.counters,
                    "v_records": result.records,
                    "v_channels": result.channels,
                    "score_sums": result.score_sums if first else None,
                    **channel_range,
                },
            )
    return result
