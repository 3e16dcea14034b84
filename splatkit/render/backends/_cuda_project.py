"""Launches of the projection: Gaussians to records.

Like all launches, these are enqueued on torch's current stream and wait for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_inputs import Sources
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_work import Work
from splatkit.render.screen import RECORD_SIZE

HALF_RECORD_FLOATS = 8
"""A packed record is 32 bytes."""
CAMERA_THREADS = 32


@dataclass
class Records:
    """What is blended, with room for more than there are."""

    records: Tensor
    gaussian_ids: Tensor
    camera_ids: Tensor | None
    """None where there is one camera and nobody asked."""
    depth_keys: Tensor
    """Sort like camera z; sorting writes over them."""


@dataclass
class Projected(Records):
    """Records of one projection, and what leads from them back to Gaussians."""

    cameras: Tensor
    """[C,CAMERA_FLOATS] as ``prepare_cameras`` made them."""
    rows: Tensor | None
    """[C,N] record of each pair, -1 where there is none; None where nobody asked."""


def project_options(degree: int, bases: int, half_records: bool) -> Options:
    """Macros of ``project.cu``."""
    return options_of(
        {"SK_SH_DEGREE": degree, "SK_BASES": bases, "SK_HALF_RECORDS": int(half_records)}
    )


def prepare_cameras(work: Work, sources: Sources, compiled: Options) -> Tensor:
    """[C,CAMERA_FLOATS] what all splats of an image share.

    Args:
        work: launches, and images.
        sources: cameras and how to project.
        compiled: macros of the projection that follows, so that its file is compiled once.
    """
    frame, options = work.frame, sources.options
    shown = options.frame_of(frame.width, frame.height)
    cameras = work.allocate("cameras", frame.cameras, constant("CAMERA_FLOATS"))
    work.driver.launch(
        "prepare_cameras",
        compiled,
        divided(frame.cameras, CAMERA_THREADS),
        CAMERA_THREADS,
        {
            "viewmats": sources.viewmats,
            "Ks": sources.Ks,
            "cameras": cameras,
            "num_cameras": frame.cameras,
            "width": frame.width,
            "height": frame.height,
            "antialiased": int(sources.antialiased),
            "eps2d": options.eps2d,
            "near": options.near,
            "offset_x": options.pixel_offset[0],
            "offset_y": options.pixel_offset[1],
            **dict(zip(("left", "top", "right", "bottom"), shown, strict=True)),
        },
    )
    return cameras


def project(
    work: Work, sources: Sources, with_cameras: bool = False, with_rows: bool = False
) -> Projected:
    """Gaussians to records.

    Args:
        work: with room for every pair of camera and Gaussian.
        sources: Gaussians, cameras and how to project them.
        with_cameras: name the camera of each record even where there is one only.
        with_rows: note where each pair went, for gradients.
    """
    frame, capacity = work.frame, work.capacity
    means, quats, log_scales, logit_opacities, sh = sources.parameters
    compiled = project_options(sources.degree, sh.shape[1], frame.choice.half_records)
    room = capacity.records
    floats = HALF_RECORD_FLOATS if frame.choice.half_records else RECORD_SIZE

    def indices(name: str, *shape: int) -> Tensor:
        return work.allocate(name, *shape, dtype=torch.int32)

    found = Projected(
        work.allocate("records", room, floats),
        indices("gaussian_ids", room),
        indices("camera_ids", room) if with_cameras or frame.cameras > 1 else None,
        indices("depth_keys", room),
        prepare_cameras(work, sources, compiled),
        indices("rows", frame.cameras, capacity.gaussians) if with_rows else None,
    )
    work.driver.launch(
        "project",
        compiled,
        frame.cameras * divided(len(means), constant("PROJECT_THREADS")),
        constant("PROJECT_THREADS"),
        {
            "means": means,
            "quats": quats,
            "log_scales": log_scales,
            "logit_opacities": logit_opacities,
            "sh": sh,
            "cameras": found.cameras,
            "records": found.records,
            "gaussian_ids": found.gaussian_ids,
            "camera_ids": found.camera_ids,
            "rows": found.rows,
            "depth_keys": found.depth_keys,
            "counters": work.scratch.counters,
            "lookback": work.scratch.project_lookback,
            "count": len(means),
            "num_cameras": frame.cameras,
            "record_capacity": room,
        },
    )
    return found
