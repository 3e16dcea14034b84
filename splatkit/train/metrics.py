"""How near a picture comes to another: PSNR, SSIM, and a fit that forgives exposure.

Pictures are float [H,W,3], sRGB 0..1. A mask [H,W] bool says which pixels count.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from splatkit.core import check

MAX_PSNR = 100.0
"""Identical pictures score this many dB, so that figures stay finite."""
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def to_8bit(image: Tensor) -> Tensor:
    """The picture as a file or a screen shows it: clamped and rounded to 255 steps."""
    return (image.clamp(0, 1) * 255).round() / 255


def psnr(image: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB over the pixels that count (peak 1, at most 100 dB)."""
    check(image=(image, "H W 3"), truth=(truth, "H W 3"))
    squares = (image - truth).square()
    if mask is not None:
        squares = squares[mask]
    error = float(squares.mean()) if squares.numel() else 0.0
    return MAX_PSNR if error <= 10 ** (-MAX_PSNR / 10) else float(-10 * torch.tensor(error).log10())


def ssim(image: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Mean structural similarity (Wang et al. 2004) over the pixels that count.

    11x11 Gaussian window of sigma 1.5, zero padding. Pixels that do not count take the truth's
    value first, so that a window that reaches over the mask's edge is not punished.
    """
    check(image=(image, "H W 3"), truth=(truth, "H W 3"))
    if mask is not None:
        image = torch.where(mask[..., None], image, truth)
    x, y = image.permute(2, 0, 1)[:, None], truth.permute(2, 0, 1)[:, None]
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x.square()
    var_y = _blur(y * y) - mean_y.square()
    cov = _blur(x * y) - mean_x * mean_y
    values = ((2 * mean_x * mean_y + _C1) * (2 * cov + _C2)) / (
        (mean_x.square() + mean_y.square() + _C1) * (var_x + var_y + _C2)
    )
    if mask is not None:
        values = values[:, 0, mask]
    return float(values.mean()) if values.numel() else 1.0


def color_corrected(image: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """[H,W,3] the picture after the affine colour map (3x4) that brings it nearest to the truth.

    Exposure and white balance differ from photo to photo; this says what is left without them.
    """
    check(image=(image, "H W 3"), truth=(truth, "H W 3"))
    keep = mask if mask is not None else image.new_ones(image.shape[:2], dtype=torch.bool)
    if not bool(keep.any()):
        return image
    homogeneous = torch.cat((image, torch.ones_like(image[..., :1])), -1).double()
    rows, wanted = homogeneous[keep], truth[keep].double()
    # A tiny ridge keeps one-coloured pictures solvable.
    normal = rows.mT @ rows + 1e-6 * torch.eye(4, dtype=rows.dtype, device=rows.device)
    matrix = torch.linalg.solve(normal, rows.mT @ wanted)
    return (homogeneous @ matrix).to(image.dtype).clamp(0, 1)


def _blur(planes: Tensor) -> Tensor:
    """Gaussian window over planes [P,1,H,W]."""
    offsets = torch.arange(_WINDOW, dtype=planes.dtype, device=planes.device) - _WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / _SIGMA).square())
    kernel = kernel / kernel.sum()
    half = _WINDOW // 2
    with full_precision():
        planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(half, 0))
        return torch.nn.functional.conv2d(planes, kernel.view(1, 1, 1, -1), padding=(0, half))


def full_precision() -> AbstractContextManager[None]:
    """Convolutions in float32 on GPUs too, which round to 10 bits otherwise: variances are small
    differences."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)
