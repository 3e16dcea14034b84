"""Small random scenes for tests of the rasterizers, and how results are compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.core.transforms import look_at
from splatkit.render import Rendered, render
from splatkit.render.backends import Backend

DIFFERENTIABLE = ("rgb", "alpha", "depth", "normal", "features")
OUTPUTS = ("rgb", "alpha", "depth", "depth_median", "normal", "weights", "top_k")
UP = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One line of the case table."""

    name: str
    width: int = 61
    height: int = 45
    count: int = 150
    cameras: int = 2
    degree: int = 3
    antialiased: bool = False
    features: int = 2
    center: tuple[float, float] = (0.5, 0.5)
    """Principal point as a fraction of the image."""
    distance: float = 4.0
    """Cameras' distance from the middle of a cloud of radius 1."""
    log_scale: float = -2.2
    """Mean logarithm of the scales."""
    eps2d: float = 0.3
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    frame: tuple[float, float, float, float] | None = None


CASES = (
    Case("odd size"),
    Case("antialiased", antialiased=True, log_scale=-4.0),
    Case("degree 0", degree=0, features=0, cameras=1),
    Case("degree 1", degree=1, width=33, height=17),
    Case("degree 4", degree=4, width=64, height=32, features=5),
    Case("principal point outside", center=(1.2, -0.1)),
    Case("camera inside the cloud", distance=0.2, log_scale=-3.0),
    Case("large splats", log_scale=-0.5, count=60),
    Case("small splats", log_scale=-5.0, count=400, eps2d=0.1),
    Case("shifted pixels", pixel_offset=(0.25, -0.375), width=31, height=50),
    Case("with a border", distance=0.3, log_scale=-1.5, frame=(20.0, 12.0, 41.5, 33.0)),
    Case("many channels", features=20, cameras=1, count=80),
    Case("one row", height=1, width=100),
    Case("one pixel", height=1, width=1),
)


def random_gaussians(case: Case, seed: int = 0) -> Gaussians:
    """A cloud of float64 Gaussians of radius 1 around the origin."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    sh = normal(case.count, (case.degree + 1) ** 2, 3) * 0.3
    sh[:, 0] += 0.8
    return Gaussians(
        means=normal(case.count, 3) * 0.5,
        quats=normal(case.count, 4),
        log_scales=normal(case.count, 3) * 0.5 + case.log_scale,
        logit_opacities=normal(case.count) * 2 + 0.5,
        sh=sh,
        antialiased=case.antialiased,
    )


def cameras_around(case: Case) -> Cameras:
    """float64 cameras on a ring that look at the origin."""
    angle = torch.arange(case.cameras, dtype=torch.float64) * 2.1 + 0.3
    eyes = case.distance * torch.stack((angle.sin(), -0.3 + 0 * angle, -angle.cos()), -1)
    viewmats = look_at(eyes, torch.zeros_like(eyes), UP.expand_as(eyes))
    focal = 1.1 * max(case.width, case.height, 8)
    K = intrinsics(focal, focal * 1.03, case.width * case.center[0], case.height * case.center[1])
    return Cameras(viewmats, K.repeat(case.cameras, 1, 1), case.width, case.height)


@dataclass
class Result:
    """Images and gradients of one rendering of a case, float64."""

    images: dict[str, Tensor]
    gradients: dict[str, Tensor]


def run(case: Case, backend: Backend, dtype: torch.dtype, seed: int = 0) -> Result:
    """Render a case with every output, and differentiate a random weighting of the images."""
    values = random_gaussians(case, seed).to(dtype)
    leaves = {n: t.clone().requires_grad_() for n, t in values.parameters().items()}
    gaussians = Gaussians(**leaves, antialiased=case.antialiased)
    cameras = cameras_around(case).to(dtype)
    leaves["viewmats"] = cameras.viewmats = cameras.viewmats.clone().requires_grad_()
    g = torch.Generator().manual_seed(seed + 1)
    leaves["background"] = torch.rand(case.cameras, 3, generator=g).to(dtype).requires_grad_()
    if case.features:
        features = torch.randn(case.count, case.features, generator=g, dtype=torch.float64)
        leaves["features"] = features.to(dtype).requires_grad_()
    rendered = render(
        gaussians,
        cameras,
        features=leaves.get("features"),
        background=leaves["background"],
        eps2d=case.eps2d,
        pixel_offset=case.pixel_offset,
        frame=case.frame,
        outputs=OUTPUTS,
        top_k=3,
        backend=backend,
    )
    images = images_of(rendered)
    loss = sum(
        (images[name] * torch.randn(images[name].shape, generator=g, dtype=torch.float64)).sum()
        for name in DIFFERENTIABLE
        if name in images
    )
    assert isinstance(loss, Tensor)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return Result(
        {name: image.detach() for name, image in images.items()},
        {name: grad.double() for name, grad in zip(leaves, gradients, strict=True)},
    )


def images_of(rendered: Rendered) -> dict[str, Tensor]:
    """All outputs that are there, float64 (ids too)."""
    return {name: t.double() for name, t in vars(rendered).items() if t is not None}


def relative_l2(value: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the expected norm (0 where both are 0)."""
    difference = (value - expected).norm().item()
    return difference / max(expected.norm().item(), 1e-30) if difference else 0.0


def worst_over_rms(value: Tensor, expected: Tensor) -> float:
    """Largest difference of one element over the root mean square of all."""
    difference = (value - expected).abs().max().item() if value.numel() else 0.0
    return difference / max(expected.square().mean().sqrt().item(), 1e-30) if difference else 0.0
