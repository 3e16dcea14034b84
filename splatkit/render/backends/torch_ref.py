"""The specification: projection and blending in plain torch, slow, clear, any float dtype.

EWA projection after Zwicker et al. 2001 and Kerbl et al. 2023; the antialiased mode after
Yu et al. 2024 (Mip-Splatting). All other backends are tested against this file.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.sh import basis, count_from_degree
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends._torch_step import TorchStep, l1_ssim
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.constants import DEFAULT_CONSTANTS, BlendConstants
from splatkit.render.screen import (
    COLORS,
    CONICS,
    DEPTHS,
    MEANS2D,
    OPACITIES,
    Blended,
    BlendRequest,
    ScreenSplats,
)

PIXELS_TIMES_SPLATS = 1 << 22
"""Size of the largest intermediate [pixels, splats] tensor, elements."""


class TorchReference:
    """Plain torch backend.

    Args:
        constants: thresholds; others than the defaults serve comparisons with other libraries.
        smooth_cutoff: replace the step of alpha at ``alpha_min`` by a cubic ramp that ends at
            twice that value, so that finite differences of whole renders exist. For tests.
    """

    name = "torch_ref"
    device = torch.device("cpu")

    def __init__(
        self, constants: BlendConstants = DEFAULT_CONSTANTS, smooth_cutoff: bool = False
    ) -> None:
        self.constants = constants
        self.smooth_cutoff = smooth_cutoff

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        parts, gaussian_ids, camera_ids = [], [], []
        for index in range(len(cameras)):
            records, visible = self._project_one(gaussians, cameras[index : index + 1], options)
            ids = visible.nonzero().squeeze(1)
            parts.append(records[ids])
            gaussian_ids.append(ids.int())
            camera_ids.append(torch.full_like(ids, index, dtype=torch.int32))
        return ScreenSplats.of(
            gaussians,
            cameras,
            torch.cat(parts) if parts else gaussians.means.new_zeros(0, 12),
            torch.cat(gaussian_ids) if parts else torch.zeros(0, dtype=torch.int32),
            torch.cat(camera_ids) if parts else torch.zeros(0, dtype=torch.int32),
        )

    def _project_one(
        self, gaussians: Gaussians, camera: Cameras, options: ProjectOptions
    ) -> tuple[Tensor, Tensor]:
        """Records [N,12] of one camera, and which of them are visible [N]."""
        rotation, translation = camera.viewmats[0, :3, :3], camera.viewmats[0, :3, 3]
        K, width, height = camera.Ks[0], camera.width, camera.height
        fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]

        points = gaussians.means @ rotation.T + translation
        in_front = points[:, 2] > options.near
        # Hidden rows take harmless values so that no NaN reaches anyone's gradient.
        points = torch.where(in_front[:, None], points, points.new_tensor([0.0, 0.0, 1.0]))
        x, y, z = points.unbind(-1)

        left, top, right, bottom = options.frame_of(width, height)
        margin_x = self.constants.frustum_margin * 0.5 * (right - left) / fx
        margin_y = self.constants.frustum_margin * 0.5 * (bottom - top) / fy
        tx = (x / z).clamp((left - cx) / fx - margin_x, (right - cx) / fx + margin_x)
        ty = (y / z).clamp((top - cy) / fy - margin_y, (bottom - cy) / fy + margin_y)
        zero = torch.zeros_like(z)
        jacobian = torch.stack(
            (fx / z, zero, -fx * tx / z, zero, fy / z, -fy * ty / z), -1
        ).unflatten(-1, (2, 3))
        axes = rotation_from_quat(gaussians.quats) * gaussians.scales[:, None, :]
        screen_axes = jacobian @ rotation @ axes
        cov = screen_axes @ screen_axes.mT
        xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
        det_before = xx * yy - xy * xy
        xx, yy = xx + options.eps2d, yy + options.eps2d
        det = xx * yy - xy * xy
        safe_det = torch.where(det > 0, det, torch.ones_like(det))

        opacities = gaussians.opacities
        if gaussians.antialiased:
            ratio = det_before / safe_det
            positive = ratio > 0
            factor = torch.where(positive, ratio, torch.ones_like(ratio)).sqrt()
            opacities = opacities * torch.where(positive, factor, torch.zeros_like(factor))

        px = fx * x / z + cx - options.pixel_offset[0]
        py = fy * y / z + cy - options.pixel_offset[1]
        reach = 2 * torch.log((opacities.detach() / self.constants.alpha_min).clamp_min(1.0))
        extent_x, extent_y = (reach * xx.detach()).sqrt(), (reach * yy.detach()).sqrt()
        visible = (
            in_front
            & (det > 0)
            & (opacities > self.constants.alpha_min)
            & (px + extent_x > 0)
            & (px - extent_x < width)
            & (py + extent_y > 0)
            & (py - extent_y < height)
        )

        degree = min(options.sh_degree, gaussians.sh_degree)
        center = -(rotation.T @ translation)
        offsets = gaussians.means - center
        directions = offsets / offsets.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        coefficients = gaussians.sh[:, : count_from_degree(degree)]
        colors = (basis(degree, directions)[..., None] * coefficients).sum(1) + 0.5
        records = torch.cat(
            (
                torch.stack((px, py, yy / safe_det, -xy / safe_det, xx / safe_det, opacities), -1),
                colors.clamp_min(0.0),
                torch.stack((z, extent_x, extent_y), -1),
            ),
            -1,
        )
        return records, visible & torch.isfinite(records).all(-1)

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        request = request or BlendRequest()
        images = []
        statistics = [
            torch.zeros(splats.num_gaussians, dtype=splats.records.dtype),
            torch.zeros(splats.num_gaussians, dtype=splats.records.dtype),
            torch.zeros(splats.num_gaussians, dtype=torch.int32),
        ]
        for camera in range(splats.num_cameras):
            rows = (splats.camera_ids == camera).nonzero().squeeze(1)
            rows = rows[torch.sort(splats.records[rows, DEPTHS].detach(), stable=True).indices]
            images.append(
                self._blend_one(splats, rows, background[camera], channels, request, statistics)
            )
        stacked = {
            name: torch.stack([image[name] for image in images])
            for name in (images[0] if images else ())
        }
        if request.weights:
            names = ("weight_sum", "weight_max", "weight_count")
            stacked.update(zip(names, statistics, strict=True))
        return Blended(**stacked)

    def _blend_one(
        self,
        splats: ScreenSplats,
        rows: Tensor,
        background: Tensor,
        channels: Tensor | None,
        request: BlendRequest,
        statistics: list[Tensor],
    ) -> dict[str, Tensor]:
        """All images of one camera; ``rows`` are its records in depth order."""
        height, width = splats.height, splats.width
        records = splats.records[rows]
        values = records[:, COLORS]
        if channels is not None:
            values = torch.cat((values, channels[rows]), -1)
        ids = splats.gaussian_ids[rows].long()
        step = max(1, PIXELS_TIMES_SPLATS // max(1, len(rows)))
        pieces: list[dict[str, Tensor]] = []
        for start in range(0, height * width, step):
            pixels = torch.arange(start, min(start + step, height * width))
            x = (pixels % width + 0.5).to(records.dtype)
            y = (pixels // width + 0.5).to(records.dtype)
            weights, after = self._weights(records, x, y)
            transmittance = 1 - weights.sum(-1)
            blended = weights @ values
            piece = {
                "rgb": blended[:, :3] + transmittance[:, None] * background,
                "alpha": weights.sum(-1),
            }
            if channels is not None:
                piece["channels"] = blended[:, 3:]
            with torch.no_grad():
                if request.depth_median:
                    piece["depth_median"] = _median_depth(weights, after, records[:, DEPTHS])
                if request.top_k:
                    piece["top_weights"], piece["top_ids"] = _top_k(weights, ids, request.top_k)
                if request.weights:
                    total, largest, count = statistics
                    total.index_add_(0, ids, weights.sum(0))
                    count.index_add_(0, ids, (weights > 0).sum(0).int())
                    largest.scatter_reduce_(0, ids, weights.amax(0), "amax")
            if request.gradient:
                piece["rgb_dx"], piece["rgb_dy"] = self._rgb_gradient(
                    records.detach(), x, y, background.detach()
                )
            pieces.append(piece)
        return {
            name: torch.cat([p[name] for p in pieces]).unflatten(0, (height, width))
            for name in pieces[0]
        }

    def _weights(self, records: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Blend weights [P,M] of depth-ordered records, and the transmittance after each."""
        c = self.constants
        means, conics, opacities = records[:, MEANS2D], records[:, CONICS], records[:, OPACITIES]
        dx = x[:, None] - means[:, 0]
        dy = y[:, None] - means[:, 1]
        q = 0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) + conics[:, 1] * dx * dy
        alphas = opacities * torch.exp(-q)
        if math.isfinite(c.reach):
            alphas = torch.where(q <= 0.5 * c.reach**2, alphas, 0)
        if self.smooth_cutoff:
            ramp = ((alphas - c.alpha_min) / c.alpha_min).clamp(0, 1)
            alphas = alphas * ramp * ramp * (3 - 2 * ramp)
        else:
            alphas = torch.where(alphas >= c.alpha_min, alphas, torch.zeros_like(alphas))
        alphas = alphas.clamp_max(c.alpha_max)
        after = torch.cumprod(1 - alphas, -1)
        before = torch.cat((torch.ones_like(after[:, :1]), after[:, :-1]), -1)
        # The product only falls, so the splat that ends a pixel also hides all behind it.
        return torch.where(after > c.transmittance_min, alphas * before, 0), after

    def _rgb_gradient(
        self, records: Tensor, x: Tensor, y: Tensor, background: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Derivatives [P,3] of rgb with respect to the pixels' x and y."""
        with torch.enable_grad():
            x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
            weights, _ = self._weights(records, x, y)
            # A pixel depends on its own place alone, so the sum's gradient is each one's.
            rgb = weights @ (records[:, COLORS] - background) + background
            parts = [
                torch.autograd.grad(rgb[:, c].sum(), (x, y), retain_graph=True) for c in range(3)
            ]
        dx, dy = (torch.stack(part, -1) for part in zip(*parts, strict=True))
        return dx, dy

    def l1_ssim(
        self, rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
    ) -> tuple[float, Tensor]:
        return l1_ssim(rgb, targets, ssim_weight, mask)

    def training_step(self) -> TorchStep:
        return TorchStep(self)


def _median_depth(weights: Tensor, after: Tensor, depths: Tensor) -> Tensor:
    """[P] z of the first blended splat with transmittance <= 0.5 behind it, else of the last."""
    if weights.shape[1] == 0:
        return weights.new_zeros(weights.shape[0])
    blended = weights > 0
    places = torch.arange(weights.shape[1])
    last = torch.where(blended, places, -1).amax(-1)
    crossing = torch.where(blended & (after <= 0.5), places, weights.shape[1]).amin(-1)
    chosen = torch.minimum(crossing, last)
    return torch.where(chosen >= 0, depths[chosen.clamp_min(0)], 0)


def _top_k(weights: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """[P,k] largest weights (equal ones: the nearer first) and their Gaussians, -1 where none."""
    order = torch.sort(weights, dim=-1, descending=True, stable=True).indices[:, :k]
    best = weights.gather(-1, order)
    chosen = torch.where(best > 0, ids[order], -1).int()
    missing = k - order.shape[1]
    if missing > 0:
        best = torch.nn.functional.pad(best, (0, missing))
        chosen = torch.nn.functional.pad(chosen, (0, missing), value=-1)
    return best, chosen
