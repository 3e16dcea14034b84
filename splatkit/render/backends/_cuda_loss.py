"""The fused L1+SSIM loss on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_work import Allocate
from splatkit.render.backends._inputs import loss_inputs


def l1_ssim(
    driver: Driver,
    allocate: Allocate,
    rgb: Tensor,
    targets: Tensor,
    ssim_weight: float,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """``Backend.l1_ssim``; the gradient lies in memory called ``v_rgb``."""
    render, photos, mask = loss_inputs(rgb, targets, mask)
    gradient = allocate("v_rgb", *render.shape)
    loss = image_loss(driver, allocate, render, photos, mask, ssim_weight, gradient)
    return loss[0], gradient


def image_loss(
    driver: Driver,
    allocate: Allocate,
    rgb: Tensor,
    targets: Tensor,
    mask: Tensor | None,
    ssim_weight: float,
    v_rgb: Tensor | None,
    errors: Tensor | None = None,
) -> Tensor:
    """[3] loss, mean absolute difference and mean SSIM, on the device; fills ``v_rgb``."""
    cameras, height, width, _ = rgb.shape
    tile = constant("LOSS_TILE")
    blocks = cameras * divided(width, tile) * divided(height, tile)
    loss = torch.empty(3, device=rgb.device)
    arguments = {
        "rgb": rgb,
        "targets": targets,
        "mask": mask,
        "v_rgb": v_rgb,
        "errors": errors,
        "partial": allocate("loss_partial", blocks, 2),
        "loss": loss,
        "num_cameras": cameras,
        "width": width,
        "height": height,
        "blocks": blocks,
        "ssim_weight": ssim_weight,
    }
    driver.launch("image_loss", (), blocks, constant("LOSS_THREADS"), arguments)
    driver.launch("image_loss_sum", (), 1, constant("LOSS_THREADS"), arguments)
    return loss
