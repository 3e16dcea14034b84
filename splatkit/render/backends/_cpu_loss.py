"""The fused L1+SSIM loss on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import check
from splatkit.core.errors import SplatkitError


def l1_ssim(
    rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
) -> tuple[float, Tensor]:
    """``Backend.l1_ssim`` by the native kernel; float32 inside."""
    check(floating=False, rgb=(rgb, "C H W 3"), targets=(targets, "C H W 3"))
    if targets.dtype != torch.uint8:
        raise SplatkitError(f"targets: expected uint8 photos (0..255), got {targets.dtype}")
    if mask is not None:
        check(floating=False, rgb=(rgb, "C H W 3"), mask=(mask, "C H W"))
        mask = mask.to(torch.uint8).contiguous()
    render = rgb.detach().to(torch.float32).contiguous()
    gradient = torch.empty_like(render)
    loss = _native.image_loss(render, targets.contiguous(), mask, ssim_weight, gradient)
    return loss, gradient
