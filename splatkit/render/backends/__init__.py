"""Rasterizer backends by name."""

from __future__ import annotations

import os
import warnings
from functools import cache

import torch

from splatkit.core import UsageError
from splatkit.render.backends.base import Backend, ProjectOptions

BACKEND_NAMES = ("cpu", "cuda", "gsplat", "torch_ref")

__all__ = ["BACKEND_NAMES", "Backend", "ProjectOptions", "get_backend", "set_threads"]


@cache
def get_backend(name: str = "auto", device: str | torch.device | None = None) -> Backend:
    """The backend of that name; ``auto`` takes the fastest one.

    Args:
        name: ``auto`` or one of ``BACKEND_NAMES``.
        device: where the tensors are that it will be given. When None, it is the backend's
            ``device`` that decides: ``auto`` is an NVIDIA GPU where it can be used, else the CPU,
            with a warning where there is one that cannot.

    Raises:
        UsageError: an unknown name, or a backend that cannot be used here.
    """
    if name not in ("auto", *BACKEND_NAMES):
        raise UsageError(f"backend: expected auto, {', '.join(BACKEND_NAMES)}, got {name!r}")
    place = None if device is None else torch.device(device)
    if place is not None and place.type not in ("cpu", "cuda"):
        raise UsageError(
            f"backend: expected tensors on the CPU or an NVIDIA GPU, got {place}; move them with "
            ".to('cpu')"
        )
    if name == "auto":
        name = _fastest() if place is None else {"cpu": "cpu", "cuda": "cuda"}[place.type]
    on_gpu = name in ("cuda", "gsplat")
    if not on_gpu and place is not None and place.type != "cpu":
        raise UsageError(
            f"backend {name}: expected tensors on the CPU, got {place}; move them with .to('cpu')"
        )
    if on_gpu and (place is None or place.type == "cpu"):
        place = torch.device("cuda")
    if name == "cuda":
        from splatkit.render.backends._cuda_device import open_backend

        return open_backend(place or torch.device("cuda"))
    if name == "gsplat":
        from splatkit.render.backends.gsplat import GsplatBackend

        return GsplatBackend(place or torch.device("cuda"))
    if name == "torch_ref":
        from splatkit.render.backends.torch_ref import TorchReference

        return TorchReference()
    from splatkit.render.backends.cpu import CpuBackend

    return CpuBackend()


def _fastest() -> str:
    """``cuda`` where it can be used; a GPU that is there but cannot be used is spoken of."""
    from splatkit.render.backends._cuda_device import has_nvidia, obstacle

    reason = obstacle()
    if reason is None:
        return "cuda"
    if has_nvidia():
        warnings.warn(f"rendering on the CPU: {reason}", stacklevel=3)
    return "cpu"


def set_threads(count: int) -> None:
    """Use this many threads for rendering and training from now on; 0 means all cores."""
    from splatkit import _native

    _native.set_num_threads(count)
    torch.set_num_threads(count or os.cpu_count() or 1)
