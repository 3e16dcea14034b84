"""The last stage of the training step on the CPU: one native pass over the Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import ScreenSplats


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


def finish(
    gaussians: Gaussians,
    cameras: Cameras,
    options: ProjectOptions,
    splats: ScreenSplats,
    v_records: Tensor,
    adam: AdamState,
    update: UpdateOptions,
    statistics: DensityStatistics | None,
    sums: Tensor | None,
    moving: MovingHarmonics,
) -> None:
    """Update Gaussians, moments and statistics in place; see ``TrainingStep.finish``.

    Args:
        gaussians: the N Gaussians that ``splats`` shows.
        cameras: the C cameras of ``splats``.
        options: how ``splats`` was made.
        splats: M records.
        v_records: [M,12] their gradient.
        adam: moments; ``adam.step`` grows by one.
        update: rates and regularisers.
        statistics: running sums, or None.
        sums: [M,2] of blend weight times score and of blend weight, over pixels, or None.
        moving: the same one in every update of these Gaussians.

    Raises:
        SplatkitError: a tensor cannot be updated in place (not float32, or not contiguous).
    """
    tensors = {
        name: (getattr(gaussians, name), adam.first[name], adam.second[name])
        for name in PARAMETER_NAMES
    }
    check_updatable(gaussians, adam, statistics)
    fields = None
    if statistics is not None:
        fields = [
            statistics.gradient_sum,
            statistics.visible_count,
            statistics.score_sum,
            statistics.weight_sum,
            statistics.extent_max,
        ]
    degree = min(options.sh_degree, gaussians.sh_degree)
    moving_bases = moving.count(degree, adam)
    adam.step += 1
    _native.finish(
        [tuple(tensor.detach() for tensor in trio) for trio in tensors.values()],
        splats.records.detach(),
        v_records.contiguous(),
        splats.gaussian_ids,
        splats.camera_ids,
        cameras.viewmats.detach().to(torch.float32).contiguous(),
        cameras.Ks.detach().to(torch.float32).contiguous(),
        (splats.width, splats.height),
        degree,
        gaussians.antialiased,
        options.eps2d,
        [update.rates[name] for name in (*PARAMETER_NAMES, "sh_rest")],
        (*update.betas, update.epsilon),
        adam.step,
        (update.opacity_weight, update.scale_weight),
        fields,
        None if fields is None else sums,
        moving_bases,
    )
    moving.updated(adam)


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
