"""The fused L1+SSIM loss on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit import _native
from splatkit.render.backends._inputs import loss_inputs


def l1_ssim(
    rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
) -> tuple[float, Tensor]:
    """``Backend.l1_ssim`` by the native kernel; float32 inside."""
    render, photos, mask = loss_inputs(rgb, targets, mask)
    gradient = torch.empty_like(render)
    loss = _native.image_loss(render, photos, mask, ssim_weight, gradient)
    return loss, gradient
