"""The training step in plain torch and autograd: what the fused steps are tested against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    Rasterizer,
    UpdateOptions,
)
from splatkit.render.screen import EXTENTS, MEANS2D, ScreenSplats

SSIM_RADIUS = 5
"""The window has 2 * 5 + 1 = 11 taps."""
SSIM_SIGMA = 1.5
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2


def ssim_window(like: Tensor) -> Tensor:
    """[11] Gaussian weights that sum to 1 (Wang et al. 2004)."""
    places = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (places / SSIM_SIGMA) ** 2)
    return (weights / weights.sum()).to(like)


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of two image stacks at every pixel and channel.

    Args:
        first: [C,H,W,D] values 0..1.
        second: the same.

    Returns:
        [C,H,W,D] after Wang et al. 2004, windows cut by the border see zeros there.
    """
    weights = ssim_window(first)

    def blur(image: Tensor) -> Tensor:
        planes = image.movedim(-1, 1).flatten(0, 1)[:, None]
        # In float32 on GPUs too, which round to 10 bits otherwise.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
            planes = torch.nn.functional.conv2d(planes, weights.view(1, 1, -1, 1), padding=(5, 0))
            planes = torch.nn.functional.conv2d(planes, weights.view(1, 1, 1, -1), padding=(0, 5))
        return planes[:, 0].unflatten(0, (image.shape[0], image.shape[-1])).movedim(1, -1)

    mean1, mean2 = blur(first), blur(second)
    variance1 = blur(first * first) - mean1 * mean1
    variance2 = blur(second * second) - mean2 * mean2
    covariance = blur(first * second) - mean1 * mean2
    return ((2 * mean1 * mean2 + SSIM_C1) * (2 * covariance + SSIM_C2)) / (
        (mean1 * mean1 + mean2 * mean2 + SSIM_C1) * (variance1 + variance2 + SSIM_C2)
    )


def image_loss(rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None) -> Tensor:
    """The differentiable loss of ``Backend.l1_ssim``, a scalar."""
    wanted = targets.to(rgb.dtype) / 255
    if mask is not None:
        seen = mask.bool()[..., None]
        wanted = torch.where(seen, wanted, rgb.detach())
        rgb = torch.where(seen, rgb, rgb.detach())
    l1 = (rgb - wanted).abs().mean()
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim_map(rgb, wanted).mean())


def l1_ssim(
    rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
) -> tuple[float, Tensor]:
    """``Backend.l1_ssim`` by autograd."""
    with torch.enable_grad():
        leaf = rgb.detach().requires_grad_()
        loss = image_loss(leaf, targets, ssim_weight, mask)
        (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient


@dataclass(frozen=True)
class _Drawn:
    """One forward with its graph."""

    leaves: dict[str, Tensor]
    splats: ScreenSplats
    ones: Tensor
    coverage: Tensor
    rgb: Tensor
    alpha: Tensor

    def weigh(self, scores: Tensor) -> Tensor:
        """[M] sum over pixels of blend weight times score [C,H,W]."""
        (sums,) = torch.autograd.grad(
            self.coverage, self.ones, scores[..., None], retain_graph=True
        )
        return sums[:, 0]


class TorchStep:
    """``TrainingStep`` over any differentiable rasterizer.

    Args:
        rasterizer: whose ``project`` and ``blend`` are differentiated.
    """

    def __init__(self, rasterizer: Rasterizer) -> None:
        self._rasterizer = rasterizer
        self._drawn: _Drawn | None = None
        self._v_records: Tensor | None = None
        self._sums: tuple[Tensor, Tensor] | None = None

    def forward(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
    ) -> tuple[Tensor, Tensor]:
        leaves = {n: t.detach().requires_grad_() for n, t in gaussians.parameters().items()}
        with torch.enable_grad():
            copy = Gaussians(**leaves, extra={}, antialiased=gaussians.antialiased)
            splats = self._rasterizer.project(copy, cameras, options)
            # The gradient of a channel of ones is the pixel scores weighted by the blend weights.
            ones = torch.ones_like(splats.records[:, :1]).requires_grad_()
            blended = self._rasterizer.blend(splats, background, ones)
        if blended.channels is None:
            raise SplatkitError("training step: the rasterizer returned no channels")
        self._drawn = _Drawn(leaves, splats, ones, blended.channels, blended.rgb, blended.alpha)
        self._v_records = self._sums = None
        return blended.rgb.detach(), blended.alpha.detach()

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        if self._drawn is None:
            raise SplatkitError("training step: backward() needs a forward() before it")
        drawn = self._drawn
        v_alpha = torch.zeros_like(drawn.alpha) if v_alpha is None else v_alpha
        (self._v_records,) = torch.autograd.grad(
            (drawn.rgb, drawn.alpha),
            drawn.splats.records,
            (v_rgb, v_alpha),
            retain_graph=True,
        )
        if scores is not None:
            self._sums = (drawn.weigh(scores), drawn.weigh(torch.ones_like(scores)))
        return self._v_records

    def finish(
        self,
        gaussians: Gaussians,
        adam: AdamState,
        update: UpdateOptions,
        statistics: DensityStatistics | None = None,
    ) -> None:
        if self._drawn is None or self._v_records is None:
            raise SplatkitError("training step: finish() needs a backward() before it")
        gradients = torch.autograd.grad(
            self._drawn.splats.records,
            [self._drawn.leaves[name] for name in PARAMETER_NAMES],
            self._v_records,
            allow_unused=True,
        )
        count = max(1, len(gaussians))
        adam.step += 1
        with torch.no_grad():
            if statistics is not None:
                _gather(statistics, self._drawn.splats, self._v_records, self._sums)
            for name, gradient in zip(PARAMETER_NAMES, gradients, strict=True):
                parameter = getattr(gaussians, name)
                gradient = torch.zeros_like(parameter) if gradient is None else gradient
                if name == "logit_opacities":
                    o = gaussians.opacities
                    gradient = gradient + update.opacity_weight / count * o * (1 - o)
                elif name == "log_scales":
                    gradient = gradient + update.scale_weight / (3 * count) * gaussians.scales
                _adam(parameter, gradient, adam, update, name)
        self._drawn = self._v_records = None


def _gather(
    statistics: DensityStatistics,
    splats: ScreenSplats,
    v_records: Tensor,
    sums: tuple[Tensor, Tensor] | None,
) -> None:
    """Add one step's records to the running statistics."""
    ids = splats.gaussian_ids.long()
    half_size = v_records.new_tensor([splats.width / 2, splats.height / 2])
    norms = (v_records[:, MEANS2D] * half_size).norm(dim=-1)
    extents = splats.records[:, EXTENTS].detach().amax(-1) / max(splats.width, splats.height)
    statistics.gradient_sum.index_add_(0, ids, norms.to(statistics.gradient_sum))
    statistics.visible_count.index_add_(0, ids, torch.ones_like(ids).float())
    statistics.extent_max.scatter_reduce_(0, ids, extents.to(statistics.extent_max), "amax")
    if sums is not None:
        statistics.score_sum.index_add_(0, ids, sums[0].to(statistics.score_sum))
        statistics.weight_sum.index_add_(0, ids, sums[1].to(statistics.weight_sum))


def _adam(
    parameter: Tensor, gradient: Tensor, adam: AdamState, update: UpdateOptions, name: str
) -> None:
    """One update of one parameter tensor in place (Kingma and Ba 2015, algorithm 1)."""
    beta1, beta2 = update.betas
    first, second = adam.first[name], adam.second[name]
    first.mul_(beta1).add_(gradient, alpha=1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    direction = (first / (1 - beta1**adam.step)) / (
        (second / (1 - beta2**adam.step)).sqrt() + update.epsilon
    )
    if name == "sh":
        parameter[:, :1] -= update.rates["sh"] * direction[:, :1]
        parameter[:, 1:] -= update.rates["sh_rest"] * direction[:, 1:]
    else:
        parameter -= update.rates[name] * direction
