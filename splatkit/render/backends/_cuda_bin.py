"""Launches that hand splats to tiles: sort by depth, emit, sort by tile, find the tiles' ranges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_project import Records
from splatkit.render.backends._cuda_sort import sort
from splatkit.render.backends._cuda_work import Work

RANGE_THREADS = 256


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


def bin_splats(work: Work, splats: Records) -> Binned:
    """Sort records by depth and hand them to the tiles that they reach."""
    frame, scratch, driver = work.frame, work.scratch, work.driver
    room, places = work.capacity.instances, work.capacity.records
    exact = frame.choice.deterministic

    def pair(name: str, count: int, dtype: torch.dtype = torch.int32) -> tuple[Tensor, Tensor]:
        first, second = (work.allocate(n, count, dtype=dtype) for n in (name, f"{name}_spare"))
        return first, second

    def where_exact(name: str, count: int) -> Tensor | None:
        return work.allocate(name, count, dtype=torch.int32) if exact else None

    spare = work.allocate("depth_keys_spare", places, dtype=torch.int32)
    _, order = sort(
        driver,
        (splats.depth_keys, spare),
        pair("order", places),
        scratch.depth_sort,
        scratch.record_count,
        values_given=False,
    )
    keys, values = pair("tile_keys", room, frame.key_type), pair("entries", room)
    rows = where_exact("instance_rows", room)
    first = where_exact("first_instance", places + 1)
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
            "instance_capacity": room,
            **frame.sizes,
        },
    )
    tile_keys, entries = sort(
        driver, keys, values, scratch.tile_sort, scratch.instance_count, values_given=not exact
    )
    tile_begin = work.allocate("tile_begin", frame.tiles + 1, dtype=torch.int32)
    driver.launch(
        "tile_ranges",
        frame.bin_options,
        divided(frame.tiles + 1, RANGE_THREADS),
        RANGE_THREADS,
        {
            "tile_keys": tile_keys,
            "counters": scratch.counters,
            "tile_begin": tile_begin,
            "tiles": frame.tiles,
        },
    )
    return Binned(order, entries, tile_begin, rows, first)
