"""What the kernels can read, and tensors made so that they can."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._inputs import check_scene
from splatkit.render.backends.base import ProjectOptions

MAX_PAIRS = 1 << 30
"""Pairs of camera and Gaussian of one launch stay below this."""
ALIGNMENT = 16
"""Where quats and sh begin in memory, bytes."""


def check_inputs(driver: Driver, gaussians: Gaussians, cameras: Cameras) -> None:
    """Refuse what the kernels cannot read.

    Raises:
        SplatkitError: a shape, type or device is not as said, or there is too much of it.
    """
    check_scene(gaussians, cameras)
    check_kind(driver, "means", gaussians.means)
    if len(cameras) * len(gaussians) >= MAX_PAIRS:
        raise SplatkitError(
            f"cameras: expected fewer than {MAX_PAIRS:,} pairs of camera and Gaussian at once, got "
            f"{len(cameras)} x {len(gaussians):,}; render fewer cameras at once"
        )


def check_kind(driver: Driver, name: str, tensor: Tensor) -> None:
    """Refuse a tensor of another type or device.

    Raises:
        SplatkitError: it is not float32 on the driver's device.
    """
    if tensor.dtype != torch.float32 or tensor.device != driver.device:
        raise SplatkitError(
            f"{name}: expected float32 on {driver.device}, got {tensor.dtype} on {tensor.device}"
        )


def readable(tensor: Tensor) -> Tensor:
    """The tensor without history, contiguous and aligned, copied where it is not."""
    tensor = tensor.detach().contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


@dataclass(frozen=True)
class Sources:
    """What a projection reads, each tensor as kernels can."""

    parameters: list[Tensor]
    """In the order of ``PARAMETER_NAMES``."""
    viewmats: Tensor
    Ks: Tensor
    options: ProjectOptions
    degree: int
    """Of the harmonics in use."""
    antialiased: bool

    @staticmethod
    def of(gaussians: Gaussians, cameras: Cameras, options: ProjectOptions) -> Sources:
        """Those of Gaussians and cameras that were checked."""
        return Sources(
            [readable(tensor) for tensor in gaussians.parameters().values()],
            readable(cameras.viewmats),
            readable(cameras.Ks),
            options,
            min(options.sh_degree, gaussians.sh_degree),
            gaussians.antialiased,
        )
