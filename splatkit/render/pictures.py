"""What a render looks like as an 8-bit picture: colours, depths, normals and coverage.

A *mode* names one picture: ``rgb``, ``depth``, ``depth_median``, ``normal`` or ``alpha``.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from splatkit.core import UsageError
from splatkit.render.api import Rendered

MODES = ("rgb", "depth", "depth_median", "normal", "alpha")
EMPTY = 0.13
"""Grey level of pixels without depth or normal."""
NEAR_QUANTILE, FAR_QUANTILE = 0.02, 0.98


def outputs_of(mode: str) -> tuple[str, ...]:
    """The ``outputs`` of ``render`` that a mode needs.

    Raises:
        UsageError: there is no such mode.
    """
    if mode not in MODES:
        raise UsageError(f"picture: expected any of {', '.join(MODES)}, got {mode!r}")
    return ("rgb", "alpha") if mode in ("rgb", "alpha") else (mode,)


def picture(
    rendered: Rendered, mode: str, depth_range: tuple[float, float] | None = None
) -> Tensor:
    """[C,H,W,3] uint8 pictures.

    Depths go through the Turbo colours, evenly in disparity, near is red; normals are
    (n + 1) / 2 with y and z turned, so that what faces up is greenish and what faces an observer
    who looks along +z is bluish.

    Args:
        rendered: has what ``outputs_of(mode)`` names.
        mode: one of ``MODES``.
        depth_range: camera z of the first and the last colour; that of these pictures when None.
    """
    outputs_of(mode)
    if mode == "rgb":
        values = rendered.rgb
    elif mode == "alpha":
        values = rendered.alpha[..., None].expand(*rendered.alpha.shape, 3)
    elif mode == "normal":
        assert rendered.normal is not None
        turned = rendered.normal * rendered.normal.new_tensor([1.0, -1.0, -1.0])
        empty = (rendered.normal == 0).all(-1, keepdim=True)
        values = torch.where(empty, EMPTY, 0.5 * turned + 0.5)
    else:
        depth = rendered.depth if mode == "depth" else rendered.depth_median
        assert depth is not None
        values = _depth_colors(depth, depth_range or depth_range_of(depth))
    return to_bytes(values.detach())


def to_bytes(values: Tensor) -> Tensor:
    """Values 0..1 as 0..255, rounded; what lies outside is clamped."""
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def depth_range_of(depth: Tensor) -> tuple[float, float]:
    """Camera z between which nearly all of the pixels with depth lie, scene units."""
    seen = depth.detach()[depth > 0]
    if seen.numel() == 0:
        return 1.0, 2.0
    # Every quantile of a big picture is a sort; a regular sample of it says the same.
    sample = seen[:: max(1, seen.numel() // 100_000)].sort().values
    near, far = (float(sample[int(q * (len(sample) - 1))]) for q in (NEAR_QUANTILE, FAR_QUANTILE))
    return near, max(far, near * 1.001)


def _depth_colors(depth: Tensor, depth_range: tuple[float, float]) -> Tensor:
    near, far = depth_range
    seen = depth > 0
    disparity = 1 / torch.where(seen, depth, 1.0)
    level = ((disparity - 1 / far) / (1 / near - 1 / far)).clamp(0, 1)
    colors = _turbo().to(depth)[(level * 255).long()]
    return torch.where(seen[..., None], colors, EMPTY)


@cache
def _turbo() -> Tensor:
    """[256,3] the Turbo colours (Mikhailov 2019), blue to red."""
    from matplotlib import colormaps

    return torch.tensor([colormaps["turbo"](level)[:3] for level in range(256)])
