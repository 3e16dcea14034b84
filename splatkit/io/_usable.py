"""Which Gaussians of a file can be used: finite, and of scales that float32 can hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from splatkit.core import Gaussians

MAX_LOG_SCALE = 40.0
"""Above it the variance is no longer a float32; such a Gaussian covers everything."""
OPAQUE_LOGIT = 16.0
"""Stands for the infinite logit that some tools write for an opacity of exactly 0 or 1."""


def keep_usable(gaussians: Gaussians, path: Path) -> Gaussians:
    """Leave out rows with NaN, infinity or an absurd scale, with a warning that counts them."""
    if _all_usable(gaussians):
        return gaussians
    good = usable(gaussians)
    bad = len(gaussians) - int(good.sum())
    if bad == 0:
        return gaussians
    warnings.warn(
        f"{path}: {bad} of {len(gaussians)} Gaussians hold NaN, infinity or an absurd scale "
        "and were left out",
        stacklevel=3,
    )
    return gaussians[good]


def usable(gaussians: Gaussians) -> Tensor:
    """[N] bool: which Gaussians are finite and of a scale that float32 can hold."""
    if _all_usable(gaussians):
        return torch.ones(len(gaussians), dtype=torch.bool, device=gaussians.device)
    return gaussians.finite_mask() & (gaussians.log_scales < MAX_LOG_SCALE).all(1)


def _all_usable(gaussians: Gaussians) -> bool:
    """Whether sums and a maximum already say so: far faster than asking every number."""
    if len(gaussians) == 0:
        return True
    sums = [tensor.detach().sum() for tensor in gaussians.parameters().values()]
    finite = bool(torch.isfinite(torch.stack([each.double() for each in sums])).all())
    return finite and float(gaussians.log_scales.detach().max()) < MAX_LOG_SCALE
