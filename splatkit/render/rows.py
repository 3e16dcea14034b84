"""Work on rows of Gaussians and on pictures, beside rendering, that a GPU does by kernels."""

from __future__ import annotations

import torch

from splatkit.render.backends import get_backend
from splatkit.render.backends._cuda_rows import RowKernels

__all__ = ["RowKernels", "row_kernels"]


def row_kernels(device: torch.device) -> RowKernels | None:
    """The kernels for tensors of a device; None where plain torch has to do."""
    if device.type != "cuda":
        return None
    from splatkit.render.backends import _cuda_device
    from splatkit.render.backends.cuda import CudaBackend

    if _cuda_device.obstacle() is not None:
        return None
    backend = get_backend("cuda", device)
    return backend.rows if isinstance(backend, CudaBackend) else None
