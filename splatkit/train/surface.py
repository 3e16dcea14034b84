"""Depth and normals worth having: Gaussians made flat, their normals made to agree with depth.

Photos alone leave Gaussians round and in several layers: pictures are right, surfaces are not. Two
terms change that, for meshes and relighting that come after. Normal consistency (Huang et al. 2024,
"2D Gaussian Splatting", section 4): the normal that is blended into a pixel and the one that the
depths of its neighbours tell shall be the same. Flattening (Chen et al. 2024, "PGSR", section 3.1):
the smallest of a Gaussian's three scales shall vanish.

Both work on pictures of their own, smaller and on some steps only, through ``render`` and its
gradients; these enter Adam's moments before the step's own, so that any backend can do it. Nothing
here waits for a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.core.cameras import unprojected
from splatkit.render import Rendered, render
from splatkit.render.backends.base import AdamState, Rasterizer, UpdateOptions
from splatkit.train.photos import View

_COVERED = 0.5
"""Alpha from which a pixel shows a surface."""
_MOVED = ("means", "quats", "log_scales", "logit_opacities")
"""What both terms move: everything but colours."""
_SMOOTH = 0.05
"""Depths of neighbours that differ by a larger share of them are not of one surface."""


@dataclass(frozen=True)
class Surface:
    """How surfaces are made; it works when ``--surface`` asks for it, and with few photos."""

    few_photos: int = 30
    """With fewer photos than this it works unasked: they leave shapes open, and new views gain by
    surfaces that hang together."""

    normal_weight: float = 0.05
    """Weight of the mean of 1 - cosine between the two normals."""
    flat_weight: float = 10.0
    """Weight of the mean smallest scale, in units of the scene's extent."""
    start: float = 0.35
    """Progress from which it counts: large shapes come first, from the photos alone."""
    every: int = 4
    """It is looked at in one of so many steps, and weighs as much more there."""
    shrink: int = 2
    """Pictures are divided by this in width and height."""
    cost: float = 0.5
    """Time that it adds to steps, as a share of what goes with their pixels; for forecasts."""

    def is_due(self, step: int, progress: float) -> bool:
        """Whether a step takes it in."""
        return progress >= self.start and step % self.every == 0


def add_surface_gradients(
    gaussians: Gaussians,
    adam: AdamState,
    view: View,
    options: Surface,
    update: UpdateOptions,
    extent: float,
    rasterizer: Rasterizer,
) -> Tensor:
    """Take both terms into Adam's moments, before the step that updates them.

    Args:
        gaussians: N Gaussians.
        adam: their optimiser's state; moments are changed.
        view: the photo of this step, for its camera.
        options: see there.
        update: what the step's optimiser is told.
        extent: radius of the cameras, world units.
        rasterizer: draws; see ``rasterizer_ahead``.

    Returns:
        The weighted loss, a scalar that may not be there yet; 0 and no change where it is not
        finite.
    """
    leaves = {n: t.detach().requires_grad_(n in _MOVED) for n, t in gaussians.parameters().items()}
    camera = view.camera
    small = camera.resized(
        max(2, camera.width // options.shrink), max(2, camera.height // options.shrink)
    )
    with torch.enable_grad():
        copy = Gaussians(**leaves, extra={}, antialiased=gaussians.antialiased)
        seen = render(copy, small, sh_degree=0, outputs=("depth", "normal"), backend=rasterizer)
        loss = options.normal_weight * normal_disagreement(seen, small)
        flat = leaves["log_scales"].exp().amin(-1).mean() / extent
        loss = options.every * (loss + options.flat_weight * flat)
        # Where it is not finite no gradient passes, but NaN, which counts as none.
        loss = torch.where(loss.isfinite(), loss, 0)
        gradients = torch.autograd.grad(loss, [leaves[name] for name in _MOVED], allow_unused=True)
    beta1, beta2 = update.betas
    for name, gradient in zip(_MOVED, gradients, strict=True):
        if gradient is not None:
            gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
            # The step multiplies the moments by beta before it adds its own gradient.
            adam.first[name].add_(gradient, alpha=(1 - beta1) / beta1)
            adam.second[name].addcmul_(gradient, gradient, value=(1 - beta2) / beta2)
    return loss.detach()


def normal_disagreement(seen: Rendered, cameras: Cameras) -> Tensor:
    """Mean of 1 - cosine between blended normals and those of the depths, over covered pixels.

    Args:
        seen: one picture with depth and normal.
        cameras: the camera that saw it.
    """
    assert seen.depth is not None
    assert seen.normal is not None
    told, smooth = normals_from_depth(seen.depth, cameras)
    cosine = (seen.normal[:, 1:-1, 1:-1] * told).sum(-1)
    counts = smooth & (seen.alpha[:, 1:-1, 1:-1] > _COVERED)
    return ((1 - cosine) * counts).sum() / counts.sum().clamp_min(1)


def normals_from_depth(depth: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Unit normals of the surface that depths are of, towards the camera, and where it is smooth.

    Args:
        depth: [1,H,W] camera z, scene units; 0 where nothing is.
        cameras: the camera.

    Returns:
        [1,H-2,W-2,3] in the world frame and [1,H-2,W-2] bool, of the pixels that have neighbours on
        all sides.
    """
    points = unprojected(depth, cameras.Ks[0])
    across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    # x right, y down, z forward: this order points at the camera.
    normals = torch.nn.functional.normalize(torch.linalg.cross(down, across), dim=-1)
    middle = depth[:, 1:-1, 1:-1].detach()
    near = torch.stack(
        (depth[:, 1:-1, 2:], depth[:, 1:-1, :-2], depth[:, 2:, 1:-1], depth[:, :-2, 1:-1])
    ).detach()
    smooth = ((near - middle).abs() < _SMOOTH * middle).all(0) & (near > 0).all(0)
    return normals @ cameras.viewmats[0, :3, :3], smooth
