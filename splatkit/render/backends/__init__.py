"""Rasterizer backends by name."""

from __future__ import annotations

import os
from functools import cache

import torch

from splatkit.core import UsageError
from splatkit.render.backends.base import Backend, ProjectOptions

BACKEND_NAMES = ("cpu", "torch_ref")

__all__ = ["BACKEND_NAMES", "Backend", "ProjectOptions", "get_backend", "set_threads"]


@cache
def get_backend(name: str = "auto", device: str | torch.device = "cpu") -> Backend:
    """The backend of that name; ``auto`` takes the fastest one for the device.

    Raises:
        UsageError: an unknown name, or a backend that this device cannot run.
    """
    if torch.device(device).type != "cpu":
        raise UsageError(
            f"backend: expected tensors on the CPU, got {device}; move them with .to('cpu')"
        )
    if name in ("auto", "cpu"):
        from splatkit.render.backends.cpu import CpuBackend

        return CpuBackend()
    if name == "torch_ref":
        from splatkit.render.backends.torch_ref import TorchReference

        return TorchReference()
    raise UsageError(f"backend: expected auto, {', '.join(BACKEND_NAMES)}, got {name!r}")


def set_threads(count: int) -> None:
    """Use this many threads for rendering and training from now on; 0 means all cores."""
    from splatkit import _native

    _native.set_num_threads(count)
    torch.set_num_threads(count or os.cpu_count() or 1)
