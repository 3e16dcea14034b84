"""Blending as one autograd function, whoever blends: it saves, and hands gradients on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from splatkit.render.screen import Blended


class Blender(Protocol):
    """One blend of given splats, and its gradient; tensors carry no history."""

    def draw(
        self, records: Tensor, channels: Tensor | None, background: Tensor, keep: bool
    ) -> tuple[Blended, Any]:
        """Images, and with ``keep`` what ``draw_adj`` needs beside them."""
        ...

    def draw_adj(
        self,
        kept: Any,
        images: Blended,
        channels: Tensor | None,
        v_rgb: Tensor,
        v_alpha: Tensor | None,
        v_channels: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Gradients of records and channels.

        Args:
            kept: what ``draw`` gave.
            images: rgb, alpha and channels that it gave.
            channels: [M,F] as given to it.
            v_rgb: [C,H,W,3] gradient, contiguous.
            v_alpha: [C,H,W] likewise, or None.
            v_channels: [C,H,W,F] likewise; None without channels.
        """
        ...


def blend(
    blender: Blender, records: Tensor, channels: Tensor | None, background: Tensor
) -> Blended:
    """Differentiable with respect to records [M,12], channels [M,F] and background [C,3]."""
    return Blended(*_Blend.apply(blender, records, channels, background))


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, blender: Blender, records: Tensor, channels: Tensor | None, background: Tensor
    ) -> tuple[Tensor | None, ...]:
        needed = any(ctx.needs_input_grad)
        values = None if channels is None else channels.detach().contiguous()
        images, kept = blender.draw(
            records.detach().contiguous(), values, background.detach().contiguous(), needed
        )
        if needed:
            ctx.blender, ctx.kept = blender, kept
            # Through save_for_backward, so that changing one in place is noticed.
            ctx.save_for_backward(records, channels, images.rgb, images.alpha, images.channels)
        outputs = tuple(getattr(images, field.name) for field in fields(Blended))
        ctx.mark_non_differentiable(*(tensor for tensor in outputs[3:] if tensor is not None))
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        _, channels, rgb, alpha, image = ctx.saved_tensors
        v_rgb, v_alpha, v_image = grad_outputs[:3]
        v_rgb = torch.zeros_like(rgb) if v_rgb is None else v_rgb.contiguous()
        v_alpha = None if v_alpha is None else v_alpha.contiguous()
        if image is not None:
            v_image = torch.zeros_like(image) if v_image is None else v_image.contiguous()
        v_records = v_channels = v_background = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            images = (None if t is None else t.detach() for t in (rgb, alpha, image))
            v_records, v_channels = ctx.blender.draw_adj(
                ctx.kept,
                Blended(*images),  # pyright: ignore[reportArgumentType]
                None if channels is None else channels.detach().contiguous(),
                v_rgb,
                v_alpha,
                v_image,
            )
        if ctx.needs_input_grad[3]:
            v_background = ((1 - alpha)[..., None] * v_rgb).sum((1, 2))
        return None, v_records, v_channels, v_background
