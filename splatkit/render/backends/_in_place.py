"""What updates of Gaussians in place share: which tensors they take, how many harmonics move."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.render.backends.base import AdamState, DensityStatistics


class MovingHarmonics:
    """Knows how many spherical harmonics an update has to touch.

    Where neither a gradient nor a moment ever reached, Adam leaves a value as it is: harmonics
    above the degree in use need not even be read, and they are most of what an update reads.
    """

    def __init__(self) -> None:
        self._count = 0
        self._state: tuple[int, ...] = ()

    def count(self, degree: int, adam: AdamState) -> int:
        """Harmonics to update when ``degree`` is in use; before each update of ``adam``."""
        used = count_from_degree(degree)
        if self._state != self._describe(adam):
            # New tensors, or changed by someone else: look once.
            above = (adam.first["sh"][:, used:], adam.second["sh"][:, used:])
            self._count = adam.first["sh"].shape[1] if any(t.any() for t in above) else used
        self._count = max(self._count, used)
        return self._count

    def updated(self, adam: AdamState) -> None:
        """To be called after the update."""
        self._state = self._describe(adam)

    @staticmethod
    def _describe(adam: AdamState) -> tuple[int, ...]:
        """Changes when the moments become others; torch counts changes in place."""
        first, second = adam.first["sh"], adam.second["sh"]
        return (first.data_ptr(), first._version, second.data_ptr(), second._version, adam.step)


def check_updatable(
    gaussians: Gaussians, adam: AdamState, statistics: DensityStatistics | None
) -> None:
    """Refuse what cannot be updated in place.

    Raises:
        SplatkitError: a tensor is not float32, not contiguous, or not where the Gaussians are.
    """
    like = gaussians.means
    for name in PARAMETER_NAMES:
        value = getattr(gaussians, name)
        for tensor in (value, adam.first[name], adam.second[name]):
            _check_one(name, tensor, value.shape, like.device)
    for tensor in () if statistics is None else vars(statistics).values():
        _check_one("statistics", tensor, like.shape[:1], like.device)


def _check_one(name: str, tensor: Tensor, shape: torch.Size, device: torch.device) -> None:
    fits = tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.shape == shape
    if not fits or tensor.device != device:
        raise SplatkitError(
            f"{name}: the update in place needs contiguous float32 {list(shape)} on {device}, got "
            f"{tensor.dtype} {list(tensor.shape)} on {tensor.device} with strides "
            f"{tensor.stride()}"
        )
