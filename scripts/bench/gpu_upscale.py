"""Milliseconds of upscaling on a GPU: what the network takes (goal U6), and reconstruction."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from figure import figure
from torch import Tensor

from splatkit.core import Cameras
from splatkit.enhance.inference import enhanced, make_engine
from splatkit.enhance.network import load_network
from splatkit.enhance.small import small_view
from splatkit.enhance.spatial import hermite
from splatkit.render.backends._cuda_device import obstacle

PICTURES = (("s", 1920, 1080, 0.6), ("m", 1920, 1080, 1.5), ("s", 3840, 2160, 3.0))
"""Network, width, height and the goal in milliseconds."""
RATIO = 2.0
WARM_UP, RUNS = 10, 51
HOW = f"features, network and sum at {RATIO:g}x, CUDA events, median of {RUNS}"


def neural_figures() -> list[dict[str, Any]]:
    """Of pictures of noise: the time depends on their size alone."""
    reason = obstacle()
    device = torch.device("cuda")
    figures = []
    for network, width, height, goal in PICTURES:
        name, how = f"U6 neural {network} {width}x{height}", HOW
        ms = None
        if reason is None:
            ms, plain = _milliseconds(device, network, width, height)
            told = f"Hermite at {RATIO:g}x, CUDA events, median of {RUNS}"
            figures.append(figure(f"hermite {width}x{height}", plain, "ms", None, told))
        else:
            how = f"not measured: {reason}"
        figures.append(figure(name, ms, "ms", goal, how, -1))
    return list({told["id"]: told for told in figures}.values())


def _milliseconds(
    device: torch.device, network: str, width: int, height: int
) -> tuple[float, float]:
    """Of what the network adds, and of the reconstruction."""
    view = small_view(Cameras(torch.eye(4)[None], torch.eye(3)[None], width, height), RATIO)
    shape = (view.camera.height, view.camera.width, 3)
    rgb, dx, dy = (torch.rand(shape).to(device) for _ in range(3))
    alpha = torch.ones(shape[:2]).to(device)
    engine = make_engine(load_network(network), device)
    base = hermite(rgb, dx, dy, view.placing, width, height)

    def reconstruct() -> Tensor:
        return hermite(rgb, dx, dy, view.placing, width, height, out=base)

    plain = _median(device, reconstruct)
    return _median(device, lambda: enhanced(engine, base, rgb, alpha, view.placing)), plain


def _median(device: torch.device, work: Callable[[], object]) -> float:
    """Milliseconds on the device between two events around ``work``, launching included."""
    marks = []
    for _ in range(WARM_UP + RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record(torch.cuda.current_stream(device))
        work()
        end.record(torch.cuda.current_stream(device))
        marks.append((begin, end))
    torch.cuda.synchronize(device)
    return statistics.median(begin.elapsed_time(end) for begin, end in marks[WARM_UP:])
