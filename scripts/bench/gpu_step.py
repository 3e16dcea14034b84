"""Milliseconds of a training step on a GPU, whole and kernel by kernel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Cameras, Gaussians
from splatkit.render.backends import Backend
from splatkit.render.backends._cuda_compile import Options
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.timing import median_ms

WARM_UP = 40
"""Steps before timing: every form is tried and launches are replayed."""
RATES: dict[str, float] = dict.fromkeys((*PARAMETER_NAMES, "sh_rest"), 1e-9)
"""Too small to change the scene while it is timed."""


def photo_of(camera: Cameras, device: torch.device) -> Tensor:
    """[1,H,W,3] uint8 noise: nothing to learn, but nothing that is skipped either."""
    generator = torch.Generator().manual_seed(1)
    size = (1, camera.height, camera.width, 3)
    return torch.randint(0, 256, size, generator=generator).to(torch.uint8).to(device)


def training_step(backend: Backend, scene: Gaussians, camera: Cameras) -> Callable[[], None]:
    """One step as training does it, to be called again and again."""
    device = backend.device
    model, view = scene.to(device), camera.to(device)
    adam, fused = AdamState.zeros_like(model), backend.training_step()
    statistics = DensityStatistics.zeros(len(model), device)
    photo, background = photo_of(camera, device), torch.zeros(1, 3, device=device)
    options, update = ProjectOptions(), UpdateOptions(rates=RATES)

    def step() -> None:
        rgb, _ = fused.forward(model, view, background, options)
        _, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
        fused.backward(v_rgb, None, torch.sub(rgb, photo, alpha=1 / 255).abs_().mean(-1))
        fused.finish(model, adam, update, statistics)

    return step


def step_ms(
    device: torch.device, make: Callable[[], Callable[[], None]], runs: int = 7
) -> tuple[float, int]:
    """Milliseconds of a step (median of tens), and the memory of torch that it takes, in bytes.

    Args:
        device: a GPU.
        make: gives the step, with the model and all that it works on.
        runs: how many tens.
    """
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step = make()
    for _ in range(WARM_UP):
        step()

    def ten() -> None:
        for _ in range(10):
            step()

    ms = median_ms(device, runs, ten) / 10
    return ms, torch.cuda.max_memory_allocated(device) - before


class StageDriver:
    """A driver that times every launch with events; launches are not replayed then.

    Args:
        driver: of the GPU.
    """

    def __init__(self, driver: Driver) -> None:
        self.device = driver.device
        self._driver = driver
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def prepare(self, wanted: Iterable[tuple[str, Options]]) -> None:
        """Hand on."""
        self._driver.prepare(wanted)

    def launch(
        self, kernel: str, options: Options, blocks: int, threads: int, values: Mapping[str, Any]
    ) -> None:
        """Launch between two events."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        stream = torch.cuda.current_stream(self.device)
        begin.record(stream)
        self._driver.launch(kernel, options, blocks, threads, values)
        end.record(stream)
        self._events.append((kernel, begin, end))

    def milliseconds(self, step: Callable[[], None], steps: int = 20) -> dict[str, float]:
        """Mean time of each kernel in a step."""
        for _ in range(WARM_UP):
            step()
        self._events.clear()
        for _ in range(steps):
            step()
        torch.cuda.synchronize(self.device)
        sums: dict[str, float] = defaultdict(float)
        for kernel, begin, end in self._events:
            sums[kernel] += begin.elapsed_time(end) / steps
        return dict(sums)
