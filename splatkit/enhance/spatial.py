"""Large pictures from one small picture: bilinear, bicubic, FSR 1, and Hermite with gradients.

All take float32 images [h,w,3] and give [H,W,3]. FSR 1, sharpening and the Hermite interpolation
are native on the CPU and kernels on a GPU. Where there are no kernels, the Hermite interpolation is
plain torch, which is also what both are tested against, and the others go by way of the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import SplatkitError, check
from splatkit.enhance import native
from splatkit.enhance.cuda_kernels import kernels_for
from splatkit.enhance.small import Placing


def cells(count: int, step: float, origin: float, samples: int, like: Tensor) -> tuple[Tensor, ...]:
    """Between which samples the centres of ``count`` pixels lie: [count] long, [count] 0..1."""
    places = (torch.arange(count, device=like.device) + 0.5) * step - origin
    first = places.floor().clamp(0, samples - 2)
    return first.long(), (places - first).to(like.dtype)


def bilinear(rgb: Tensor, placing: Placing, width: int, height: int) -> Tensor:
    """The picture by linear interpolation, [H,W,...] of [h,w,...]."""
    step, origin_x, origin_y = placing
    x, tx = cells(width, step, origin_x, rgb.shape[1], rgb)
    y, ty = cells(height, step, origin_y, rgb.shape[0], rgb)
    trailing = (1,) * (rgb.ndim - 2)
    rows = torch.lerp(rgb[y], rgb[y + 1], ty.view(-1, 1, *trailing))
    return torch.lerp(rows[:, x], rows[:, x + 1], tx.view(1, -1, *trailing))


def bicubic(rgb: Tensor, placing: Placing, width: int, height: int) -> Tensor:
    """The picture by Catmull-Rom splines: Hermite with slopes guessed from the neighbours."""
    padded = torch.nn.functional.pad(rgb.permute(2, 0, 1)[None], (1, 1, 1, 1), mode="replicate")
    padded = padded[0].permute(1, 2, 0)
    dx = 0.5 * (padded[1:-1, 2:] - padded[1:-1, :-2])
    dy = 0.5 * (padded[2:, 1:-1] - padded[:-2, 1:-1])
    return hermite(rgb, dx, dy, placing, width, height)


def fsr1(rgb: Tensor, placing: Placing, width: int, height: int) -> Tensor:
    """The picture by AMD's FidelityFX Super Resolution 1 (EASU); sharpening is another step."""
    kernels = kernels_for(rgb)
    if kernels is not None:
        out = rgb.new_empty(height, width, 3)
        kernels.fsr(rgb, placing, out)
        return out
    out = torch.empty(height, width, 3)
    native.upscale_fsr(_on_cpu(rgb), placing, out)
    return out.to(rgb.device)


def sharpen(rgb: Tensor, sharpness: float) -> Tensor:
    """The picture sharpened by FSR 1's RCAS, 0..1; untouched where ``sharpness`` is 0."""
    if sharpness == 0:
        return rgb
    kernels = kernels_for(rgb)
    if kernels is not None:
        out = rgb.new_empty(rgb.shape)
        kernels.sharpen(rgb, float(sharpness), out)
        return out
    out = torch.empty(rgb.shape)
    native.sharpen(_on_cpu(rgb), float(sharpness), out)
    return out.to(rgb.device)


def hermite(
    rgb: Tensor,
    dx: Tensor,
    dy: Tensor,
    placing: Placing,
    width: int,
    height: int,
    out: Tensor | None = None,
) -> Tensor:
    """The picture by cubic Hermite interpolation of values and exact derivatives.

    Args:
        rgb: [h,w,3] small picture.
        dx: [h,w,3] derivative with respect to x, 1 / small pixel.
        dy: [h,w,3] the same with respect to y.
        placing: how the large picture lies on the small one.
        width: of the large picture, pixels.
        height: the same.
        out: [H,W,3] to write to, of the small picture's type and device.
    """
    check(rgb=(rgb, "H W 3"), dx=(dx, "H W 3"), dy=(dy, "H W 3"))
    if min(rgb.shape[:2]) < 2:
        raise SplatkitError(f"rgb: expected at least 2x2 pixels, got {list(rgb.shape)}")
    out = rgb.new_empty(height, width, 3) if out is None else out
    kernels = kernels_for(rgb)
    if kernels is not None:
        kernels.hermite(rgb, dx, dy, placing, out)
    elif rgb.device.type == "cpu" and rgb.dtype == torch.float32:
        images = (image.detach().contiguous() for image in (rgb, dx, dy))
        native.upscale_hermite(*images, placing, out)
    else:
        out.copy_(plain_hermite(rgb, dx, dy, placing, width, height))
    return out


def plain_hermite(
    rgb: Tensor, dx: Tensor, dy: Tensor, placing: Placing, width: int, height: int
) -> Tensor:
    """``hermite`` in plain torch, on any device and of any float dtype."""
    step, origin_x, origin_y = placing
    x, tx = cells(width, step, origin_x, rgb.shape[1], rgb)
    y, ty = cells(height, step, origin_y, rgb.shape[0], rgb)
    value0, slope0, value1, slope1 = (w[:, None, None] for w in _hermite_weights(ty))
    down = slope0 * dy[y] + slope1 * dy[y + 1]
    values = value0 * rgb[y] + value1 * rgb[y + 1] + down
    edged = torch.cat((down[:, :1], down, down[:, -1:]), 1)
    # The mixed derivative is the slope along the row of what bends downward.
    mixed = 0.5 * (edged[:, 2:] - edged[:, :-2])
    slopes = value0 * dx[y] + value1 * dx[y + 1] + mixed
    value0, slope0, value1, slope1 = (w[None, :, None] for w in _hermite_weights(tx))
    return (
        value0 * values[:, x]
        + value1 * values[:, x + 1]
        + slope0 * slopes[:, x]
        + slope1 * slopes[:, x + 1]
    )


def _hermite_weights(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of value and slope at t = 0, then at t = 1."""
    s = 1 - t
    return (1 + 2 * t) * s * s, t * s * s, (1 + 2 * s) * t * t, -s * t * t


def _on_cpu(rgb: Tensor) -> Tensor:
    return rgb.detach().to("cpu", torch.float32).contiguous()
