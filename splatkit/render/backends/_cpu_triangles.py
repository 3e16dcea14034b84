"""Drawing triangles on the CPU as an autograd function: check, allocate, call, save.

float32 runs in SIMD on all threads, float64 one pixel after the other. The mathematics is native
(``cuda/include/splatkit/triangle.h``, ``cuda/cpu/triangles*``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import SplatkitError
from splatkit.render.drawing import Drawn, DrawRequest

_DRAWING = _native.TriangleDrawing()
"""Working memory; nothing in it outlives a call."""


def draw(request: DrawRequest) -> Drawn:
    """Draw triangles (see ``DrawRequest``)."""
    if request.vertices.dtype not in (torch.float32, torch.float64):
        raise SplatkitError(f"vertices: expected float32 or float64, got {request.vertices.dtype}")
    return Drawn(
        *_Draw.apply(
            request,
            request.vertices,
            request.attributes,
            request.opacities,
            request.normals,
            request.cameras.viewmats,
        )
    )


def _inputs(request: DrawRequest, tensors: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
    """What both native calls begin with."""
    vertices, attributes, opacities, normals, viewmats = (
        None if tensor is None else tensor.detach().contiguous() for tensor in tensors
    )
    cameras = request.cameras
    return (
        _DRAWING,
        vertices,
        request.faces.contiguous(),
        attributes,
        opacities,
        normals,
        viewmats,
        cameras.Ks.detach().contiguous(),
        cameras.width,
        cameras.height,
        request.softness,
        request.near,
    )


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, request: DrawRequest, *tensors: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        vertices, attributes, _, normals, viewmats = tensors
        assert vertices is not None
        assert attributes is not None
        assert viewmats is not None
        shape = len(viewmats), request.cameras.height, request.cameras.width
        count = len(request.faces)
        width = attributes.shape[1] + (1 if normals is None else 4)
        channels, alpha = vertices.new_empty(*shape, width), vertices.new_empty(shape)
        ids = torch.empty(shape, dtype=torch.int32)
        weights: tuple[Tensor | None, ...] = (None, None, None)
        if request.weights:
            weights = (
                vertices.new_empty(count),
                vertices.new_empty(count),
                torch.empty(count, dtype=torch.int32),
            )
        _native.draw_triangles(*_inputs(request, tensors), channels, alpha, ids, *weights)
        ctx.request = request
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(ids, *(w for w in weights if w is not None))
        ctx.set_materialize_grads(False)
        return channels, alpha, ids, *weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        v_channels, v_alpha = grad_outputs[:2]
        tensors = ctx.saved_tensors
        if v_channels is None and v_alpha is None:
            return (None,) * len(ctx.needs_input_grad)
        request: DrawRequest = ctx.request
        vertices, attributes, _, normals, viewmats = tensors
        shape = len(viewmats), request.cameras.height, request.cameras.width
        if v_channels is None:
            width = attributes.shape[1] + (1 if normals is None else 4)
            v_channels = vertices.new_zeros(*shape, width)
        if v_alpha is None:
            v_alpha = vertices.new_zeros(shape)
        gradients = [
            torch.zeros_like(tensor, memory_format=torch.contiguous_format) if needed else None
            for tensor, needed in zip(tensors, ctx.needs_input_grad[1:], strict=True)
        ]
        _native.draw_triangles_adj(
            *_inputs(request, tensors), v_channels.contiguous(), v_alpha.contiguous(), *gradients
        )
        return None, *gradients
