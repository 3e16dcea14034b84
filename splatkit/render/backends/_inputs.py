"""What the fast backends ask of their inputs, in the same words on the CPU and on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError
from splatkit.render.screen import BlendRequest, ScreenSplats

MAX_IMAGE_SIDE = 65535
"""Pixels; their numbers are kept in 16 bits."""
MAX_TOP_K = 32


def check_scene(gaussians: Gaussians, cameras: Cameras) -> None:
    """Refuse what cannot be projected.

    Raises:
        SplatkitError: a shape is not as said, or images are too large.
    """
    check(
        means=(gaussians.means, "N 3"),
        quats=(gaussians.quats, "N 4"),
        log_scales=(gaussians.log_scales, "N 3"),
        logit_opacities=(gaussians.logit_opacities, "N"),
        sh=(gaussians.sh, "N K 3"),
        viewmats=(cameras.viewmats, "C 4 4"),
        Ks=(cameras.Ks, "C 3 3"),
    )
    if max(cameras.width, cameras.height) > MAX_IMAGE_SIDE:
        raise SplatkitError(
            f"cameras: expected images of at most {MAX_IMAGE_SIDE} pixels a side, "
            f"got {cameras.width}x{cameras.height}"
        )


def check_splats(
    splats: ScreenSplats, background: Tensor, channels: Tensor | None, request: BlendRequest
) -> None:
    """Refuse what cannot be blended; ``check_ids`` looks at the ids.

    Raises:
        SplatkitError: a shape is not as said, or too much is asked for.
    """
    sizes = check(records=(splats.records, "M 12"), background=(background, "C 3"))
    if sizes["C"] != splats.num_cameras:
        raise SplatkitError(
            f"background: expected [{splats.num_cameras},3], got {list(background.shape)}"
        )
    if channels is not None:
        check(records=(splats.records, "M 12"), channels=(channels, "M F"))
    if not 0 <= request.top_k <= MAX_TOP_K:
        raise SplatkitError(f"top_k: expected 0 to {MAX_TOP_K}, got {request.top_k}")


def check_ids(splats: ScreenSplats) -> None:
    """Refuse records that name no Gaussian or camera; waits for the device.

    Raises:
        SplatkitError: an id is out of range, or cameras are not in order.
    """
    count = len(splats)
    ends = {"gaussian_ids": splats.num_gaussians, "camera_ids": splats.num_cameras}
    for name, end in ends.items():
        ids = getattr(splats, name)
        if ids.dtype != torch.int32 or tuple(ids.shape) != (count,):
            raise SplatkitError(
                f"{name}: expected int32 [{count}], got {ids.dtype} {list(ids.shape)}"
            )
        if count and not 0 <= int(ids.min()) <= int(ids.max()) < end:
            raise SplatkitError(
                f"{name}: expected values of 0 to {end - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}"
            )
    if splats.num_cameras > 1 and not bool((splats.camera_ids.diff() >= 0).all()):
        raise SplatkitError("camera_ids: expected records in the order of their cameras")


def loss_inputs(
    rgb: Tensor, targets: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the kernels of ``Backend.l1_ssim`` read: float32 render, uint8 photos and mask.

    Raises:
        SplatkitError: a shape or type is not as said.
    """
    check(floating=False, rgb=(rgb, "C H W 3"), targets=(targets, "C H W 3"))
    if targets.dtype != torch.uint8:
        raise SplatkitError(f"targets: expected uint8 photos (0..255), got {targets.dtype}")
    if mask is not None:
        check(floating=False, rgb=(rgb, "C H W 3"), mask=(mask, "C H W"))
        mask = mask.to(torch.uint8).contiguous()
    return rgb.detach().to(torch.float32).contiguous(), targets.contiguous(), mask


def image_gradients(
    rgb: Tensor, v_rgb: Tensor, v_alpha: Tensor | None, scores: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """What ``TrainingStep.backward`` is given for the images it drew, as kernels read it.

    Raises:
        SplatkitError: a shape differs from that of the images.
    """
    check(rgb=(rgb, "C H W 3"), v_rgb=(v_rgb, "C H W 3"))
    if v_alpha is not None:
        check(rgb=(rgb, "C H W 3"), v_alpha=(v_alpha, "C H W"))
    if scores is not None:
        check(rgb=(rgb, "C H W 3"), scores=(scores, "C H W"))
    v_alpha = None if v_alpha is None else v_alpha.detach().contiguous()
    scores = None if scores is None else scores.detach().contiguous()
    return v_rgb.detach().contiguous(), v_alpha, scores
