"""A training step written with gsplat the way its own example trainer does, for comparison."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from gpu_step import photo_of
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.render.backends._torch_step import l1_ssim


def gsplat_step(
    library: Any, scene: Gaussians, camera: Cameras, device: torch.device
) -> Callable[[], None]:
    """One step: ``gsplat.rasterization``, L1 + SSIM, autograd, fused Adam of torch.

    Args:
        library: the package ``gsplat``.
        scene: N Gaussians.
        camera: one camera.
        device: a GPU.
    """
    values = {
        name: tensor.detach().to(device).clone().requires_grad_()
        for name, tensor in scene.parameters().items()
    }
    optimizers = [
        torch.optim.Adam([values[name]], lr=1e-9, eps=1e-15, fused=True) for name in PARAMETER_NAMES
    ]
    view, photo = camera.to(device), photo_of(camera, device)
    degree = scene.sh_degree

    def step() -> None:
        images, _, _ = library.rasterization(
            values["means"],
            values["quats"],
            values["log_scales"].exp(),
            values["logit_opacities"].sigmoid(),
            values["sh"],
            view.viewmats,
            view.Ks,
            view.width,
            view.height,
            sh_degree=degree,
            packed=False,
        )
        loss_of(images, photo).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def loss_of(images: Tensor, photo: Tensor) -> Tensor:
    """0.8 L1 + 0.2 (1 - SSIM): with the package fused-ssim where it is installed."""
    wanted = photo.float() / 255
    if find_spec("fused_ssim") is not None:
        from fused_ssim import fused_ssim  # pyright: ignore[reportMissingImports]

        planes = (picture.permute(0, 3, 1, 2) for picture in (images, wanted))
        return 0.8 * (images - wanted).abs().mean() + 0.2 * (1 - fused_ssim(*planes))
    # Without it: a gradient that plain torch computes.
    _, gradient = l1_ssim(images.detach(), photo, 0.2)
    return (images * gradient).sum()


def loss_name() -> str:
    """How the peer's loss is computed here."""
    return "fused-ssim" if find_spec("fused_ssim") is not None else "L1 + SSIM in plain torch"
