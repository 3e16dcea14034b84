"""The kernels of reconstruction on a GPU (``cuda/gpu/upscale.cu``), float32; nothing here waits.

Their twins are ``splatkit.enhance.native`` on the CPU and plain torch everywhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatkit.enhance.small import Placing
from splatkit.render.rows import Driver, constant, divided, kernel_driver

FOLDED_FEATURES = 4 * constant("UPSCALE_FEATURES")
"""Channels of what ``UpscaleKernels.features`` writes."""


def kernels_for(image: Tensor) -> UpscaleKernels | None:
    """The kernels for images like this one; None where native code or plain torch has to do."""
    if image.dtype != torch.float32:
        return None
    driver = kernel_driver(image.device)
    return None if driver is None else UpscaleKernels(driver)


class UpscaleKernels:
    """Reconstructs pictures.

    Args:
        driver: launches.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def hermite(self, rgb: Tensor, dx: Tensor, dy: Tensor, placing: Placing, out: Tensor) -> None:
        """Interpolate [h,w,3] with its derivatives into [H,W,3]."""
        given = {"rgb": _flat(rgb), "dx": _flat(dx), "dy": _flat(dy), **_grid(rgb, placing)}
        self._launch("upscale_hermite", out, given | {"out": out})

    def fsr(self, rgb: Tensor, placing: Placing, out: Tensor) -> None:
        """Upscale [h,w,3] into [H,W,3] by FSR 1 (EASU)."""
        given = {"rgb": _flat(rgb), "dx": None, "dy": None, **_grid(rgb, placing)}
        self._launch("upscale_fsr", out, given | {"out": out})

    def sharpen(self, rgb: Tensor, sharpness: float, out: Tensor) -> None:
        """Sharpen [H,W,3] (RCAS), sharpness 0 to 1."""
        given = {"rgb": _flat(rgb), "out": out, "sharpness": sharpness}
        self._launch("sharpen_image", out, given)

    def history(
        self,
        small: list[Tensor],
        placing: Placing,
        past: tuple[Tensor, Tensor, Tensor, Tensor, Placing] | None,
        motion: list[float],
        resting: bool,
        weights: tuple[float, float, float],
        out: Tensor,
        weight: Tensor,
    ) -> None:
        """Reconstruct a picture and mix it with what earlier frames left.

        Args:
            small: rgb, its derivatives, inverse depth and alpha of the small picture.
            placing: how the large picture lies on it.
            past: picture [H,W,3], weight [H,W], and of the frame before inverse depth, alpha and
                placing; or None.
            motion: [12] see ``splatkit.enhance.temporal.motion``.
            resting: nothing has moved; the past is taken as it is.
            weights: the most that the past may weigh in motion, its decay a frame, and the
                difference of colour at which it counts half.
            out: [H,W,3] to write to.
            weight: [H,W] to write to.
        """
        rgb, dx, dy, inverse_depth, alpha = (_flat(image) for image in small)
        images: list[Tensor | None] = [None] * 4
        before: Placing = placing
        past_size = (0, 0)
        if past is not None:
            images = [_flat(image) for image in past[:4]]
            before, past_size = past[4], (past[2].shape[1], past[2].shape[0])
        past_rgb, past_weight, past_inverse_depth, past_alpha = images
        most_weight, decay, color_tolerance = weights
        given = {
            "rgb": rgb,
            "dx": dx,
            "dy": dy,
            "inverse_depth": inverse_depth,
            "alpha": alpha,
            "past_rgb": past_rgb,
            "past_weight": past_weight,
            "past_inverse_depth": past_inverse_depth,
            "past_alpha": past_alpha,
            "out": out,
            "weight": weight,
            "motion": motion,
            "past_width": past_size[0],
            "past_height": past_size[1],
            "resting": resting,
            "past_step": before[0],
            "past_origin_x": before[1],
            "past_origin_y": before[2],
            "most_weight": most_weight,
            "decay": decay,
            "color_tolerance": color_tolerance,
        }
        self._launch("upscale_history", out, given | _grid(rgb, placing))

    def features(
        self,
        base: Tensor,
        rgb: Tensor,
        alpha: Tensor,
        placing: Placing,
        detail_scale: float,
        seen: Tensor,
    ) -> None:
        """Write what the network sees (``splatkit.enhance.network.features``), folded two by two.

        Args:
            base: [H,W,3] reconstruction.
            rgb: [h,w,3] small picture.
            alpha: [h,w] its coverage.
            placing: how the large picture lies on the small one.
            detail_scale: magnifies the difference from the bicubic picture.
            seen: [1,32,ceil(H/2),ceil(W/2)] half precision, channels last, to write to; where a
                size is odd the last row or column comes twice.
        """
        given = {
            "base": _flat(base),
            "alpha": _flat(alpha),
            "rgb": _flat(rgb),
            "seen": seen.permute(0, 2, 3, 1),
            "detail_scale": detail_scale,
        }
        self._launch("upscale_features", base, given | _grid(rgb, placing))

    def add(self, base: Tensor, answer: Tensor, scale: float, share: Tensor | None) -> Tensor:
        """[H,W,3] a reconstruction with what the network answered.

        Args:
            base: [H,W,3] reconstruction.
            answer: [1,12,ceil(H/2),ceil(W/2)] half precision, channels last.
            scale: colour of an answer of 1.
            share: [H,W,1] by which a pixel's residual is multiplied; 1 when None.
        """
        out = torch.empty_like(base, memory_format=torch.contiguous_format)
        given = {
            "base": _flat(base),
            "answer": answer.permute(0, 2, 3, 1),
            "share": None if share is None else _flat(share),
            "out": out,
            "scale": scale,
        }
        self._launch("upscale_add", out, given)
        return out

    def _launch(self, kernel: str, large: Tensor, given: dict[str, Any]) -> None:
        """Launch with a thread for each pixel of a large image [H,W,...]."""
        height, width = large.shape[:2]
        across = divided(width, constant("UPSCALE_TILE_WIDTH"))
        blocks = across * divided(height, constant("UPSCALE_TILE_HEIGHT"))
        values = given | {"width": width, "height": height}
        self._driver.launch(kernel, (), blocks, constant("UPSCALE_THREADS"), values)


def _grid(rgb: Tensor, placing: Placing) -> dict[str, Any]:
    """Fields that say how a large image lies on a small one."""
    step, origin_x, origin_y = placing
    return {
        "small_width": rgb.shape[1],
        "small_height": rgb.shape[0],
        "step": step,
        "origin_x": origin_x,
        "origin_y": origin_y,
    }


def _flat(image: Tensor) -> Tensor:
    return image.detach().contiguous()
