"""The last stage of the training step on the CPU: one native pass over the Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.render.backends._in_place import MovingHarmonics, check_updatable
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.screen import ScreenSplats


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
