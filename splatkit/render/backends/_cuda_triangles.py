"""Drawing triangles on the GPU as an autograd function: check, allocate, launch, save.

Reads one number back from the device: how many pairs of triangle and tile there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_blend import WEIGHT_UNIT
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_inputs import MAX_PAIRS, check_kind, readable
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_plan import Choice, Frame
from splatkit.render.backends._cuda_room import InstanceRoom
from splatkit.render.backends._cuda_sort import SortScratch, sort
from splatkit.render.drawing import Drawn, DrawRequest

MAX_ATTRIBUTES = 32
"""Values at each vertex that the kernels keep in registers."""
_THREADS = 256


def draw(driver: Driver, room: InstanceRoom, request: DrawRequest) -> Drawn:
    """Draw triangles (see ``DrawRequest``), float32.

    Raises:
        SplatkitError: a type, a device, or more than the kernels can count or keep.
    """
    check_kind(driver, "vertices", request.vertices)
    width = request.attributes.shape[1]
    if width > MAX_ATTRIBUTES:
        raise SplatkitError(
            f"features: expected at most {MAX_ATTRIBUTES} values at a vertex on a GPU, colours "
            f"included, got {width}; draw them in parts"
        )
    if len(request.cameras) * len(request.faces) >= MAX_PAIRS:
        raise SplatkitError(
            f"cameras: expected fewer than {MAX_PAIRS:,} pairs of camera and triangle at once, got "
            f"{len(request.cameras)} x {len(request.faces):,}; draw fewer cameras at once"
        )
    return Drawn(
        *_Draw.apply(
            driver,
            room,
            request,
            request.vertices,
            request.attributes,
            request.opacities,
            request.normals,
            request.cameras.viewmats,
        )
    )


def triangle_options(request: DrawRequest, weights: bool = False) -> Options:
    """Macros of ``triangles.cu`` and ``triangles_adj.cu``."""
    return options_of(
        {
            "SK_SOFT": int(request.opacities is not None),
            "SK_NORMALS": int(request.normals is not None),
            "SK_ATTRIBUTES": request.attributes.shape[1],
            "SK_WEIGHTS": int(weights),
        }
    )


@dataclass(frozen=True)
class _Sources:
    """What the kernels read."""

    vertices: Tensor
    faces: Tensor
    attributes: Tensor
    opacities: Tensor | None
    normals: Tensor | None
    viewmats: Tensor
    Ks: Tensor

    @staticmethod
    def of(request: DrawRequest, tensors: tuple[Tensor | None, ...]) -> _Sources:
        vertices, attributes, opacities, normals, viewmats = (
            None if tensor is None else readable(tensor) for tensor in tensors
        )
        assert vertices is not None
        assert attributes is not None
        assert viewmats is not None
        faces, Ks = request.faces.contiguous(), readable(request.cameras.Ks)
        return _Sources(vertices, faces, attributes, opacities, normals, viewmats, Ks)

    @property
    def cameras(self) -> dict[str, Any]:
        """Fields of the kernels that look at vertices."""
        return {
            "vertices": self.vertices,
            "faces": self.faces,
            "viewmats": self.viewmats,
            "Ks": self.Ks,
            "count": len(self.faces),
            "num_cameras": len(self.viewmats),
        }


@dataclass(frozen=True)
class _Binned:
    """Faces on the screen and in tiles."""

    screen: Tensor
    entries: Tensor
    tile_begin: Tensor


def _blocks(sources: _Sources) -> int:
    return len(sources.viewmats) * divided(len(sources.faces), constant("TRIANGLE_THREADS"))


def _bin(
    driver: Driver, room: InstanceRoom, sources: _Sources, frame: Frame, near: float
) -> _Binned:
    """All faces into the tiles that they can cover."""
    device, pairs = driver.device, len(sources.viewmats) * len(sources.faces)

    def indices(count: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.empty(count, dtype=dtype, device=device)

    screen = torch.empty(pairs, constant("SCREEN_TRIANGLE_FLOATS"), device=device)

    def attempt(instances: int) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        sizes = [constant("COUNTERS"), _blocks(sources)]
        sizes += SortScratch.sizes(frame.tile_passes, instances)
        memory = torch.zeros(sum(sizes), dtype=torch.int32, device=device)
        counters, lookback, *rest = memory.split(sizes)
        keys = indices(instances, frame.key_type), indices(instances, frame.key_type)
        values = indices(instances), indices(instances)
        driver.launch(
            "triangle_bin",
            frame.bin_options,
            _blocks(sources),
            constant("TRIANGLE_THREADS"),
            sources.cameras
            | frame.sizes
            | {
                "screen": screen,
                "tile_keys": keys[0],
                "values": values[0],
                "counters": counters,
                "lookback": lookback,
                "instance_capacity": instances,
                "near": near,
            },
        )
        place = constant("COUNTER_INSTANCES")
        count = counters[place : place + 1]
        tile_keys, entries = sort(driver, keys, values, SortScratch.of(rest), count, True)
        return (tile_keys, entries, counters), counters

    tile_keys, entries, counters = room.counted(pairs, attempt)
    tile_begin = indices(frame.tiles + 1)
    driver.launch(
        "tile_ranges",
        frame.bin_options,
        divided(frame.tiles + 1, _THREADS),
        _THREADS,
        {
            "tile_keys": tile_keys,
            "counters": counters,
            "tile_begin": tile_begin,
            "tiles": frame.tiles,
        },
    )
    return _Binned(screen, entries, tile_begin)


@dataclass(frozen=True)
class _Images:
    """What is written by drawing, and read again by its gradient."""

    channels: Tensor
    alpha: Tensor
    ids: Tensor
    weight_sum: Tensor | None = None
    weight_max: Tensor | None = None
    weight_count: Tensor | None = None


def _blend(
    driver: Driver,
    kernel: str,
    request: DrawRequest,
    sources: _Sources,
    binned: _Binned,
    frame: Frame,
    images: _Images,
    v_channels: Tensor | None = None,
    v_alpha: Tensor | None = None,
    sums: Tensor | None = None,
) -> None:
    """Draw, or with gradients given add to the sums of faces."""
    driver.launch(
        kernel,
        triangle_options(request, images.weight_sum is not None),
        frame.tiles,
        constant("TRIANGLE_THREADS"),
        vars(images)
        | frame.sizes
        | {
            "faces": sources.faces,
            "attributes": sources.attributes,
            "opacities": sources.opacities,
            "normals": sources.normals,
            "screen": binned.screen,
            "entries": binned.entries,
            "tile_begin": binned.tile_begin,
            "v_channels": v_channels,
            "v_alpha": v_alpha,
            "sums": sums,
            "count": len(sources.faces),
            "softness": request.softness,
            "near": request.near,
        },
    )


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        driver: Driver,
        room: InstanceRoom,
        request: DrawRequest,
        *tensors: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        sources = _Sources.of(request, tensors)
        cameras, device, count = request.cameras, driver.device, len(request.faces)
        frame = Frame(len(cameras), cameras.width, cameras.height, Choice())
        binned = _bin(driver, room, sources, frame, request.near)
        width = request.attributes.shape[1] + (1 if request.normals is None else 4)
        statistics: tuple[Tensor | None, ...] = (None, None, None)
        if request.weights:
            statistics = (
                torch.zeros(count, dtype=torch.int64, device=device),
                torch.zeros(count, device=device),
                torch.zeros(count, dtype=torch.int32, device=device),
            )
        images = _Images(
            torch.empty(*frame.shape, width, device=device),
            torch.empty(frame.shape, device=device),
            torch.empty(frame.shape, dtype=torch.int32, device=device),
            *statistics,
        )
        _blend(driver, "triangle_blend", request, sources, binned, frame, images)
        units, *others = statistics
        weights = (None if units is None else (units.double() * WEIGHT_UNIT).float(), *others)
        if any(ctx.needs_input_grad):
            ctx.driver, ctx.request, ctx.frame, ctx.binned = driver, request, frame, binned
            ctx.save_for_backward(*tensors, images.channels, images.alpha, images.ids)
        ctx.mark_non_differentiable(images.ids, *(w for w in weights if w is not None))
        ctx.set_materialize_grads(False)
        return images.channels, images.alpha, images.ids, *weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        v_channels, v_alpha = grad_outputs[:2]
        if v_channels is None and v_alpha is None:
            return (None,) * len(ctx.needs_input_grad)
        *tensors, channels, alpha, ids = ctx.saved_tensors
        driver, request, frame = ctx.driver, ctx.request, ctx.frame
        sources = _Sources.of(request, tuple(tensors))
        gradients = [
            torch.zeros_like(tensor, memory_format=torch.contiguous_format) if needed else None
            for tensor, needed in zip(tensors, ctx.needs_input_grad[3:], strict=True)
        ]
        columns = constant("TRIANGLE_SUM_FLOATS") + 3 * request.attributes.shape[1]
        device = driver.device
        sums = torch.zeros(len(ctx.binned.screen), columns, device=device)
        _blend(
            driver,
            "triangle_blend_adj",
            request,
            sources,
            ctx.binned,
            frame,
            _Images(channels.detach(), alpha.detach(), ids),
            torch.zeros_like(channels) if v_channels is None else v_channels.contiguous(),
            torch.zeros_like(alpha) if v_alpha is None else v_alpha.contiguous(),
            sums,
        )
        *of_faces, v_viewmats = gradients
        view_sums = None
        if v_viewmats is not None:
            size = (frame.cameras, constant("VIEW_GRADIENT_FLOATS"))
            view_sums = torch.zeros(size, dtype=torch.float64, device=device)
        names = ("v_vertices", "v_attributes", "v_opacities", "v_normals")
        given = (
            sources.cameras
            | dict(zip(names, of_faces, strict=True))
            | {
                "screen": ctx.binned.screen,
                "sums": sums,
                "view_sums": view_sums,
                "v_viewmats": v_viewmats,
            }
        )
        options = options_of({"SK_ATTRIBUTES": request.attributes.shape[1]})
        threads = constant("TRIANGLE_THREADS")
        driver.launch("triangle_gather", options, _blocks(sources), threads, given)
        if view_sums is not None:
            driver.launch("triangle_view_adj", options, divided(frame.cameras, 32), 32, given)
        return None, None, None, *gradients
