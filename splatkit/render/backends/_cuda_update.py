"""Launches that turn gradients of records into gradients or an update of Gaussians."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from splatkit.core import PARAMETER_NAMES
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import constant, divided, interface
from splatkit.render.backends._cuda_project import Projected
from splatkit.render.backends._cuda_work import Allocate
from splatkit.render.backends.base import AdamState, DensityStatistics, UpdateOptions

_NOTHING = [None] * len(PARAMETER_NAMES)


def finish_options(degree: int, bases: int, moving_bases: int, cameras: int) -> Options:
    """Macros of ``finish.cu`` for an update."""
    return options_of(
        {
            "SK_SH_DEGREE": degree,
            "SK_BASES": bases,
            "SK_MOVING_BASES": moving_bases,
            "SK_MANY_CAMERAS": int(cameras > 1),
        }
    )


def project_adj_options(degree: int, bases: int, cameras: int, view_gradient: bool) -> Options:
    """Macros of ``finish.cu`` for gradients."""
    return options_of(
        {
            "SK_SH_DEGREE": degree,
            "SK_BASES": bases,
            "SK_MANY_CAMERAS": int(cameras > 1),
            "SK_VIEW_GRADIENT": int(view_gradient),
        }
    )


def _arguments(parameters: list[Tensor], **given: Any) -> dict[str, Any]:
    """All fields of ``FinishParams``; what is not given is off. ``fill`` refuses unknown ones."""
    fields = {
        field.name: (_NOTHING if field.length else None) if field.is_pointer else 0
        for field in interface().structs["FinishParams"].fields
    }
    fields |= {"value": parameters, "count": len(parameters[0]), "rates": [0.0] * 6}
    return fields | given


def finish(
    driver: Driver,
    parameters: list[Tensor],
    adam: AdamState,
    update: UpdateOptions,
    statistics: DensityStatistics | None,
    degree: int,
    moving_bases: int,
    splats: Projected,
    v_records: Tensor,
    score_sums: Tensor | None,
) -> None:
    """One Adam update of every Gaussian in place; ``adam.step`` counts it already."""
    count, (beta1, beta2) = max(1, len(parameters[0])), update.betas
    sums = {} if statistics is None else vars(statistics)
    driver.launch(
        "finish",
        finish_options(degree, parameters[-1].shape[1], moving_bases, len(splats.cameras)),
        divided(len(parameters[0]), constant("FINISH_THREADS")),
        constant("FINISH_THREADS"),
        _arguments(
            parameters,
            first=[adam.first[name] for name in PARAMETER_NAMES],
            second=[adam.second[name] for name in PARAMETER_NAMES],
            records=splats.records,
            v_records=v_records,
            rows=splats.rows,
            cameras=splats.cameras,
            score_sums=score_sums if sums else None,
            num_cameras=len(splats.cameras),
            rates=[update.rates[name] for name in (*PARAMETER_NAMES, "sh_rest")],
            beta1=beta1,
            beta2=beta2,
            rest1=1.0 - beta1,
            rest2=1.0 - beta2,
            inverse_bias1=1.0 / (1.0 - beta1**adam.step),
            inverse_root_bias2=1.0 / math.sqrt(1.0 - beta2**adam.step),
            epsilon=update.epsilon,
            opacity_weight=update.opacity_weight / count,
            scale_weight=update.scale_weight / (3.0 * count),
            **sums,
        ),
    )


def project_adj(
    driver: Driver,
    allocate: Allocate,
    parameters: list[Tensor],
    gradients: list[Tensor | None],
    v_viewmats: Tensor | None,
    degree: int,
    cameras: Tensor,
    viewmats: Tensor,
    records: Tensor,
    v_records: Tensor,
    rows: Tensor,
) -> None:
    """Gradients of the parameters and of the cameras, each written whole where not None."""
    blocks = divided(len(parameters[0]), constant("FINISH_THREADS"))
    sums = None
    if v_viewmats is not None:
        sums = allocate("view_sums", len(cameras), blocks, constant("VIEW_GRADIENT_FLOATS"))
    options = project_adj_options(
        degree, parameters[-1].shape[1], len(cameras), v_viewmats is not None
    )
    arguments = _arguments(
        parameters,
        gradient=gradients,
        records=records,
        v_records=v_records,
        rows=rows,
        cameras=cameras,
        viewmats=viewmats,
        view_sums=sums,
        v_viewmats=v_viewmats,
        num_cameras=len(cameras),
    )
    driver.launch("project_adj", options, blocks, constant("FINISH_THREADS"), arguments)
    if v_viewmats is not None:
        driver.launch("view_adj", options, len(cameras), 32, arguments)
