"""What every rasterizer backend provides; the reference's plain code is the specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats


@dataclass(frozen=True)
class ProjectOptions:
    """How Gaussians become screen-space splats."""

    sh_degree: int = 4
    """Harmonics above this degree are left out; at most the stored degree counts."""
    eps2d: float = 0.3
    """Variance added to both screen axes, pixel^2 (the low-pass of one pixel)."""
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    """Pixels are sampled at their centre plus this, pixels."""
    near: float = 0.01
    """Gaussians with camera z at or below this are not drawn, scene units."""
    frame: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom, pixels, of the part of the image that spans the field of view;
    all of it when None. Gaussians far outside have the shape that they would have near its edge, so
    pictures of the same view with and without a border are alike only if their frames are. The
    backend ``gsplat`` takes all of the image."""

    def frame_of(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The frame in an image of that size."""
        return (0.0, 0.0, float(width), float(height)) if self.frame is None else self.frame


@dataclass
class AdamState:
    """Adam's moments of the five parameter tensors, by name (Kingma and Ba 2015)."""

    first: dict[str, Tensor]
    """Running mean of the gradient, shaped like the parameter."""
    second: dict[str, Tensor]
    """Running mean of its square."""
    step: int = 0
    """Updates made so far; the bias correction uses ``step`` after counting the current one."""

    @staticmethod
    def zeros_like(gaussians: Gaussians) -> AdamState:
        """Moments of a new optimisation."""
        return AdamState(
            {name: torch.zeros_like(t) for name, t in gaussians.parameters().items()},
            {name: torch.zeros_like(t) for name, t in gaussians.parameters().items()},
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> AdamState:
        """The moments with ``function`` applied to each (a selection, a copy)."""
        return AdamState(
            {name: function(self.first[name]) for name in PARAMETER_NAMES},
            {name: function(self.second[name]) for name in PARAMETER_NAMES},
            self.step,
        )


@dataclass(frozen=True)
class UpdateOptions:
    """One optimiser step over all Gaussians."""

    rates: dict[str, float]
    """Learning rate by parameter name; ``sh_rest`` is the one of the harmonics above degree 0."""
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-15
    opacity_weight: float = 0.0
    """Adds this times the mean opacity over all N to the loss (pushes the useless away)."""
    scale_weight: float = 0.0
    """Adds this times the mean scale over all 3 N to the loss."""


@dataclass
class DensityStatistics:
    """Per-Gaussian sums since the last reset, for densification; all [N] float32."""

    gradient_sum: Tensor
    """Sum over steps and cameras of the norm of d loss / d (x, y), screen centre in units of half
    the image's width and height (the measure of Kerbl et al. 2023)."""
    visible_count: Tensor
    """How many (step, camera) pairs drew it."""
    score_sum: Tensor
    """Sum over pixels of blend weight times the caller's per-pixel score."""
    weight_sum: Tensor
    """Sum over pixels of blend weight."""
    extent_max: Tensor
    """Largest screen half extent seen, as a fraction of the image's longer side."""

    @staticmethod
    def zeros(count: int, device: torch.device | str = "cpu") -> DensityStatistics:
        """Statistics before the first step."""
        return DensityStatistics(*(torch.zeros(count, device=device) for _ in range(5)))


class TrainingStep(Protocol):
    """One training step without autograd: forward, (any image loss), backward, finish.

    Workspaces live in the object and are reused from step to step.
    """

    def forward(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
    ) -> tuple[Tensor, Tensor]:
        """rgb [C,H,W,3] and alpha [C,H,W]; both stay valid until the next forward.

        Tensors are on the backend's device; background [3] or [C,3], and cameras on a GPU too.
        """
        ...

    def backward(
        self, v_rgb: Tensor, v_alpha: Tensor | None = None, scores: Tensor | None = None
    ) -> Tensor:
        """Gradient [M,12] of the screen records (the seam that several machines exchange).

        A backend that counts visible pairs on a GPU returns more rows than there are records.

        Args:
            v_rgb: [C,H,W,3] d loss / d rgb.
            v_alpha: [C,H,W] d loss / d alpha.
            scores: [C,H,W] per-pixel scores gathered into ``score_sum`` and ``weight_sum``.
        """
        ...

    def finish(
        self,
        gaussians: Gaussians,
        adam: AdamState,
        update: UpdateOptions,
        statistics: DensityStatistics | None = None,
    ) -> None:
        """Adjoint of projection, harmonics and activations, then Adam, in place.

        Every Gaussian is stepped, invisible ones with gradient zero. ``adam.step`` grows by one.
        """
        ...


class Rasterizer(Protocol):
    """Two differentiable operations, of which ``render`` is the composition."""

    device: torch.device
    """Where its tensors live."""

    def project(
        self, gaussians: Gaussians, cameras: Cameras, options: ProjectOptions
    ) -> ScreenSplats:
        """Project, cull and colour; the only place that decides visibility.

        Differentiable with respect to the five parameter tensors and ``cameras.viewmats``.
        """
        ...

    def blend(
        self,
        splats: ScreenSplats,
        background: Tensor,
        channels: Tensor | None = None,
        request: BlendRequest | None = None,
    ) -> Blended:
        """Blend front to back by camera z, ties by Gaussian index.

        Differentiable with respect to ``splats.records``, ``background`` [C,3] and
        ``channels`` [M,F].
        """
        ...


class Backend(Rasterizer, Protocol):
    """A rasterizer with a name, the image loss and the fused step."""

    name: str

    def l1_ssim(
        self, rgb: Tensor, targets: Tensor, ssim_weight: float, mask: Tensor | None = None
    ) -> tuple[float | Tensor, Tensor]:
        """Image loss (1 - w) L1 + w (1 - SSIM), means over pixels and channels, and d loss / d rgb.

        SSIM after Wang et al. 2004: 11x11 Gaussian window of sigma 1.5, zero padding at the
        border, C1 = 0.01^2, C2 = 0.03^2.

        Args:
            rgb: [C,H,W,3] float render.
            targets: [C,H,W,3] uint8 photos, 255 is 1.0.
            ssim_weight: w in 0..1.
            mask: [C,H,W] uint8; pixels at 0 take the render's own value as target, and so
                add neither loss nor gradient.

        Returns:
            The loss, and its gradient, which is valid until the next call. A GPU gives the loss as
            a scalar tensor that may not be there yet: ``float(loss)`` waits for it.
        """
        ...

    def training_step(self) -> TrainingStep:
        """A new fused step with its own workspaces."""
        ...


@runtime_checkable
class Displays(Protocol):
    """A backend with a way of its own to draw pictures that are only looked at."""

    def draw(
        self, gaussians: Gaussians, cameras: Cameras, background: Tensor, options: ProjectOptions
    ) -> tuple[Tensor, Tensor]:
        """rgb [C,H,W,3] and alpha [C,H,W] within 1/255 of what ``blend`` gives, no gradients.

        Args:
            gaussians: on the backend's device.
            cameras: likewise.
            background: [C,3].
            options: as for ``project``.
        """
        ...


@runtime_checkable
class RunsAhead(Protocol):
    """A backend whose host can run ahead of the device that draws."""

    def ahead(self) -> Rasterizer:
        """A rasterizer that never waits for the device, but for the first picture of its size.

        It serves one training. Rows of its splats that are no records have no meaning; they name
        Gaussians and cameras that there are, and no gradient comes from them.
        """
        ...


def rasterizer_ahead(backend: Backend) -> Rasterizer:
    """What draws inside a training step without waiting: the backend itself where none waits."""
    return backend.ahead() if isinstance(backend, RunsAhead) else backend
