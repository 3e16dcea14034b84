"""The gsplat library behind our interface: the yardstick of the benchmarks (optional extra).

It needs a CUDA device; its kernels are compiled by its own means (a CUDA toolkit, or a wheel that
holds them). Where it clamps and cuts elsewhere than we do, ``GSPLAT_CONSTANTS`` says so.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, check
from splatkit.core.errors import SplatkitError, UsageError
from splatkit.render.backends._torch_step import TorchStep, l1_ssim
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.constants import BlendConstants
from splatkit.render.screen import (
    COLORS,
    CONICS,
    DEPTHS,
    EXTENTS,
    MEANS2D,
    OPACITIES,
    Blended,
    BlendRequest,
    ScreenSplats,
)

GSPLAT_CONSTANTS = BlendConstants(alpha_max=0.999)
"""gsplat 1.5.3's thresholds."""
TILE = 16


def gsplat_obstacle() -> str | None:
    """Why gsplat cannot be used here, in one line; None where it can."""
    if not torch.cuda.is_available():
        return "gsplat needs an NVIDIA GPU and a CUDA build of torch"
    if find_spec("gsplat") is None:
        return "gsplat is not installed; install it with: pip install 'splatkit[gsplat]'"
    try:
        from gsplat.cuda import _backend
    except Exception as error:
        # It compiles itself when it is imported, which fails in many ways.
        return f"gsplat cannot be loaded: {' '.join(str(error).split()) or type(error).__name__}"
    if _backend._C is None:
        return "gsplat finds neither its compiled kernels nor a CUDA toolkit to compile them with"
    return None


class GsplatBackend:
    """Projection, tiles and blending by gsplat; loss and update in plain torch.

    Args:
        device: where its tensors live.
        library: the functions of ``gsplat``; the installed package when None.
    """

    name = "gsplat"

    def __init__(self, device: torch.device, library: Any = None) -> None:
        if library is None:
            reason = gsplat_obstacle()
            if reason is not None:
                raise UsageError(f"backend gsplat: {reason}")
            import gsplat as library
        self.device = device
        self._gsplat = library

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        check(
            means=(gaussians.means, "N 3"),
            sh=(gaussians.sh, "N K 3"),
            viewmats=(cameras.viewmats, "C 4 4"),
            Ks=(cameras.Ks, "C 3 3"),
        )
        opacities = gaussians.opacities
        projected = self._gsplat.fully_fused_projection(
            gaussians.means,
            None,
            gaussians.quats,
            gaussians.scales,
            cameras.viewmats,
            cameras.Ks,
            cameras.width,
            cameras.height,
            eps2d=options.eps2d,
            near_plane=options.near,
            packed=True,
            calc_compensations=gaussians.antialiased,
            opacities=opacities,
        )
        *ids, radii, means2d, depths, conics, compensations = projected
        camera_ids, gaussian_ids = (i.long() for i in ids[1:3])
        seen = opacities[gaussian_ids]
        if gaussians.antialiased:
            seen = seen * compensations
        directions = gaussians.means[gaussian_ids] - cameras.positions[camera_ids]
        degree = min(options.sh_degree, gaussians.sh_degree)
        colors = self._gsplat.spherical_harmonics(degree, directions, gaussians.sh[gaussian_ids])
        offset = means2d.new_tensor(options.pixel_offset)
        records = torch.cat(
            (
                means2d - offset,
                conics,
                seen[:, None],
                (colors + 0.5).clamp_min(0.0),
                depths[:, None],
                radii.to(means2d),
            ),
            -1,
        )
        return ScreenSplats.of(
            gaussians,
            cameras,
            records,
            gaussian_ids.int(),
            camera_ids.int(),
        )

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        if request is not None and request != BlendRequest():
            raise SplatkitError(
                "backend gsplat: it gives rgb, alpha, depth, normal and features, not "
                "depth_median, weights, top_k or gradient; use another backend for these"
            )
        records = splats.records
        values, behind = records[:, COLORS], background
        if channels is not None:
            values = torch.cat((values, channels), -1)
            behind = torch.cat((behind, behind.new_zeros(len(behind), channels.shape[1])), -1)
        tiles = (-(-splats.width // TILE), -(-splats.height // TILE))
        means2d = records[:, MEANS2D]
        _, isect_ids, flatten_ids = self._gsplat.isect_tiles(
            means2d.detach(),
            records[:, EXTENTS].detach().ceil().int(),
            records[:, DEPTHS].detach(),
            TILE,
            *tiles,
            packed=True,
            n_images=splats.num_cameras,
            image_ids=splats.camera_ids.long(),
            gaussian_ids=splats.gaussian_ids.long(),
        )
        offsets = self._gsplat.isect_offset_encode(isect_ids, splats.num_cameras, *tiles)
        images, alphas = self._gsplat.rasterize_to_pixels(
            means2d,
            records[:, CONICS],
            values,
            records[:, OPACITIES],
            splats.width,
            splats.height,
            TILE,
            offsets,
            flatten_ids,
            backgrounds=behind,
            packed=True,
        )
        return Blended(
            images[..., :3], alphas[..., 0], None if channels is None else images[..., 3:]
        )

    def l1_ssim(
        self, rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
    ) -> tuple[float, Tensor]:
        return l1_ssim(rgb, targets, ssim_weight, mask)

    def training_step(self) -> TorchStep:
        return TorchStep(self)
