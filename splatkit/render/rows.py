"""Work on rows of Gaussians and on pictures, beside rendering, that a GPU does by kernels.

What other rooms have kernels for of their own (``cuda/gpu``), they launch with ``kernel_driver``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from splatkit.render.backends import get_backend
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_later import Capture, capture_graph, own_stream
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_rows import RowKernels

if TYPE_CHECKING:
    from splatkit.render.backends.cuda import CudaBackend

__all__ = [
    "Capture",
    "Driver",
    "RowKernels",
    "capture_graph",
    "constant",
    "divided",
    "kernel_driver",
    "own_stream",
    "row_kernels",
]


def row_kernels(device: torch.device) -> RowKernels | None:
    """The kernels for tensors of a device; None where plain torch has to do."""
    backend = _cuda_backend(device)
    return None if backend is None else backend.rows


def kernel_driver(device: torch.device) -> Driver | None:
    """What launches kernels on a device; None where plain torch has to do."""
    backend = _cuda_backend(device)
    return None if backend is None else backend.driver


def _cuda_backend(device: torch.device) -> CudaBackend | None:
    if device.type != "cuda":
        return None
    from splatkit.render.backends import _cuda_device
    from splatkit.render.backends.cuda import CudaBackend

    if _cuda_device.obstacle() is not None:
        return None
    backend = get_backend("cuda", device)
    return backend if isinstance(backend, CudaBackend) else None
