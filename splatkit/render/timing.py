"""How long a backend takes for an image, and for its gradients."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.render.api import render
from splatkit.render.backends import Backend

_WARM_UP = 2


@dataclass(frozen=True)
class RenderTimes:
    """Medians over the runs of one scene and camera."""

    backend: str
    device: str
    gaussians: int
    width: int
    height: int
    forward_ms: float
    frames_per_second: float
    forward_backward_ms: float | None
    """None where gradients were not asked for."""
    peak_memory_bytes: int | None
    """Largest memory that torch held on the GPU; None on the CPU."""


def device_name(device: torch.device) -> str:
    """The GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def median_ms(device: torch.device, runs: int, work: Callable[[], object]) -> float:
    """Median time of ``work`` in milliseconds, the device waited for each time."""
    times = []
    for _ in range(_WARM_UP + runs):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[_WARM_UP:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_backend(
    backend: Backend, gaussians: Gaussians, camera: Cameras, runs: int = 7, gradients: bool = False
) -> RenderTimes:
    """Time a backend on one view.

    Args:
        backend: what to time.
        gaussians: float32, on any device.
        camera: a batch of one.
        runs: timed repetitions.
        gradients: also time an image with the gradients of all parameters.
    """
    device = backend.device
    gaussians, camera = gaussians.detach().to(device), camera.to(torch.float32).to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with torch.no_grad():
        forward = median_ms(device, runs, lambda: render(gaussians, camera, backend=backend))
    both = None
    if gradients:
        leaves = gaussians.map(lambda t: t.clone().requires_grad_())
        weight = torch.ones(1, camera.height, camera.width, 3, device=device)

        def differentiate() -> None:
            image = render(leaves, camera, backend=backend).rgb
            torch.autograd.grad(image, list(leaves.parameters().values()), weight)

        both = median_ms(device, runs, differentiate)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return RenderTimes(
        backend.name,
        device_name(device),
        len(gaussians),
        camera.width,
        camera.height,
        forward,
        1e3 / forward,
        both,
        peak,
    )


def synthetic_scene(count: int, width: int, height: int) -> tuple[Gaussians, Cameras]:
    """Gaussians that fill the view of one camera about as densely as a trained scene does.

    Args:
        count: Gaussians; the more there are, the smaller they are.
        width: pixels.
        height: pixels.
    """
    g = torch.Generator().manual_seed(0)
    focal = 0.8 * width
    depths = 2.0 + 8.0 * torch.rand(count, generator=g)
    across = torch.rand(count, 2, generator=g) * torch.tensor([width, height]) * 1.1
    offsets = (across - torch.tensor([width, height]) * 0.55) / focal * depths[:, None]
    # About eight Gaussians side by side and behind one another on every pixel.
    size = (8.0 * width * height / (9.0 * max(count, 1))) ** 0.5 / focal
    log_scales = (size * depths).log()[:, None] + 0.5 * torch.randn(count, 3, generator=g)
    sh = 0.1 * torch.randn(count, 16, 3, generator=g)
    sh[:, 0] += torch.randn(count, 3, generator=g)
    gaussians = Gaussians(
        means=torch.cat((offsets, depths[:, None]), 1),
        quats=torch.randn(count, 4, generator=g),
        log_scales=log_scales,
        logit_opacities=torch.randn(count, generator=g),
        sh=sh,
    )
    K = intrinsics(focal, focal, width / 2, height / 2).float()
    return gaussians, Cameras(torch.eye(4)[None], K[None], width, height)
