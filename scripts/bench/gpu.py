"""Figures of a GPU: the training step by size, against gsplat, and one file of all parts.

Called by scripts/gpu_check.sh; each part prints one JSON document, also where it broke off: then
with the figures that it had, and the exit code tells.

    python scripts/bench/gpu.py prepare|kernels|peer|train|merge FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from figure import figure
from gpu_merge import merge
from gpu_peer import gsplat_step, loss_name
from gpu_step import StageDriver, step_ms, training_step
from gpu_train import Rows, prepare, train
from gpu_upscale import neural_figures
from kernels import DEFAULTS

from splatkit.core import Cameras, Gaussians, Triangles
from splatkit.render import get_backend, render, render_triangles
from splatkit.render.backends._cuda_compile import Compiler, nvrtc_version
from splatkit.render.backends._cuda_device import obstacle
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.backends.gsplat import gsplat_obstacle
from splatkit.render.timing import median_ms, synthetic_scene, time_backend

ROOT = Path(__file__).parents[2]
SIZES = (100_000, 1_000_000, 5_000_000)
WIDTH, HEIGHT = 1920, 1080
BROKEN = 4
"""Exit code of a part that broke off."""


def kernels() -> Rows:
    """Start, step, stages, pictures, memory at three sizes, upscaling (goals G3, G16, U6)."""
    began = time.perf_counter()
    backend = get_backend("cuda")
    scene, camera = synthetic_scene(1000, 64, 48)
    time_backend(backend, scene, camera, runs=1, gradients=True)
    how = "open the GPU and compile or load the kernels of a render with gradients"
    yield figure("start", time.perf_counter() - began, "s", None, how)
    for count in SIZES:
        scene, camera = synthetic_scene(count, WIDTH, HEIGHT)
        yield from _step_figures(backend, scene, camera)
        yield from _picture_figures(backend, scene, camera)
        yield from _triangle_figures(backend, count, camera)
        del scene
        torch.cuda.empty_cache()
    yield from neural_figures()


def _step_figures(backend: Any, scene: Gaussians, camera: Cameras) -> list[dict[str, Any]]:
    count, device = len(scene), backend.device
    how = f"{count:,} made-up Gaussians, {WIDTH}x{HEIGHT}, median of 7 tens"
    ms, memory = step_ms(device, lambda: training_step(backend, scene, camera))
    goal = 4.0 if count == 1_000_000 else None
    driver = backend.driver
    in_order = CudaBackend(driver, deterministic=True, capture=backend._capture)
    exact, _ = step_ms(device, lambda: training_step(in_order, scene, camera))
    staged = StageDriver(driver)
    stages = staged.milliseconds(training_step(CudaBackend(staged), scene, camera))
    return [
        figure(f"G3 step {count}", ms, "ms", goal, how, -1),
        figure(f"memory {count}", memory / 2**30, "GiB", None, f"peak of torch, {how}"),
        figure(f"G16 deterministic {count}", exact / ms, "x", 1.3, f"against the other, {how}", -1),
        *(
            figure(f"stage {name} {count}", value, "ms", None, "mean of 20 steps, not replayed")
            for name, value in sorted(stages.items(), key=lambda item: -item[1])
        ),
    ]


def _picture_figures(backend: Any, scene: Gaussians, camera: Cameras) -> list[dict[str, Any]]:
    count, how = len(scene), f"{len(scene):,} made-up Gaussians, {WIDTH}x{HEIGHT}, median of 7"
    times = time_backend(backend, scene, camera, runs=7, gradients=True)
    ms, exact, shown = shown_ms(backend, scene, camera)
    error = float((exact - shown).double().square().mean().clamp_min(1e-12))
    return [
        figure(f"forward {count}", times.forward_ms, "ms", None, how),
        figure(f"gradients {count}", times.forward_backward_ms, "ms", None, how),
        figure(f"shown {count}", 1e3 / ms, "frames/s", None, f"rendering only, {how}"),
        figure(
            f"shown likeness {count}", -10 * torch.tensor(error).log10().item(), "dB", 45.0,
            "rendering only against the picture of training",
        ),
    ]  # fmt: skip


def _triangle_figures(backend: Any, count: int, camera: Cameras) -> Rows:
    """A wavy sheet across the picture, of about so many triangles."""
    columns = max(2, round((count / 2) ** 0.5))
    across = torch.linspace(-1.0, 1.0, columns)
    y, x = torch.meshgrid(across, across, indexing="ij")
    z = 3.0 + 0.2 * torch.sin(40.0 * x) * torch.cos(30.0 * y)
    corner = torch.arange(columns - 1)
    first = (corner[:, None] * columns + corner).flatten()
    right, below = first + 1, first + columns
    halves = (torch.stack((first, right, below), -1), torch.stack((right, below + 1, below), -1))
    sheet = Triangles(
        torch.stack((2.0 * x, 1.2 * y, z), -1).reshape(-1, 3),
        torch.cat(halves).int(),
        colors=torch.rand(columns * columns, 3),
    ).to(backend.device)
    camera = camera.to(backend.device)
    with torch.no_grad():
        ms = median_ms(backend.device, 7, lambda: render_triangles(sheet, camera, backend=backend))
    how = f"a sheet of {len(sheet.faces):,} solid triangles, {WIDTH}x{HEIGHT}, median of 7"
    yield figure(f"triangles {count}", 1e3 / ms, "frames/s", None, how)


def shown_ms(
    backend: Any, scene: Gaussians, camera: Cameras
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Time of a picture that is only shown; that picture and the exact one."""
    device = backend.device
    scene, camera = scene.to(device), camera.to(device)
    with torch.no_grad():
        exact = render(scene, camera, backend=backend).rgb
        # Both forms are tried first.
        for _ in range(10):
            render(scene, camera, backend=backend, display=True)
        shown = render(scene, camera, backend=backend, display=True).rgb
        ms = median_ms(device, 7, lambda: render(scene, camera, backend=backend, display=True))
    return ms, exact, shown


def peer() -> Rows:
    """Ours against gsplat on the same scene in the same run (goals G1's step, G4, G8, G9)."""
    reason = gsplat_obstacle()
    if reason is not None:
        yield figure("peer", None, "", None, reason)
        return
    import gsplat

    backend = get_backend("cuda")
    for count in SIZES[:2]:
        yield from _peer_figures(gsplat, backend, *synthetic_scene(count, WIDTH, HEIGHT))
        torch.cuda.empty_cache()


def _peer_figures(library: Any, backend: Any, scene: Gaussians, camera: Cameras) -> Rows:
    count, device = len(scene), backend.device
    mine, memory = step_ms(device, lambda: training_step(backend, scene, camera))
    torch.cuda.empty_cache()
    other, their_memory = step_ms(device, lambda: gsplat_step(library, scene, camera, device))
    torch.cuda.empty_cache()
    ours, theirs = (
        time_backend(get_backend(name), scene, camera, runs=15, gradients=True)
        for name in ("cuda", "gsplat")
    )
    both = (theirs.forward_backward_ms or 0.0) / (ours.forward_backward_ms or 1.0)
    frames = theirs.forward_ms / shown_ms(backend, scene, camera)[0]
    how = f"gsplat {library.__version__} over splatkit, {count:,} made-up Gaussians, same run"
    yield figure(f"G1 step {count}", other / mine, "x", 3.5, f"{how}; {loss_name()}")
    yield figure(f"G4 gradients {count}", both, "x", 2.5, f"{how}, image with gradients")
    yield figure(f"G8 frames {count}", frames, "x", 2.0, f"{how}, image that is shown")
    told = "memory of torch for training steps, splatkit over gsplat"
    yield figure(f"G9 memory {count}", memory / their_memory, "x", 0.7, told, -1)
    yield figure(f"gsplat step {count}", other, "ms", None, "median of 7 tens")
    for times in (ours, theirs):
        told = json.dumps(asdict(times))
        yield figure(f"{times.backend} {count}", times.forward_ms, "ms", None, told)


def compile_figures(architecture: int = 90) -> list[dict[str, Any]]:
    """Time to compile the default kernels and to find them again; needs no GPU."""
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        _compile_all(Compiler(architecture, Path(folder)))
        first, work = time.perf_counter() - began, time.process_time() - worked
        began = time.perf_counter()
        again = Compiler(architecture, Path(folder))
        _compile_all(again)
        later = time.perf_counter() - began
    version = ".".join(map(str, nvrtc_version()))
    how = f"{len(DEFAULTS)} files for sm_{architecture}, NVRTC {version}, {os.cpu_count()} cores"
    return [
        figure("compile", first, "s", 10.0, f"default set: {how}", -1),
        figure(
            "compile work",
            work,
            "s",
            None,
            f"processor time of the same, whoever else works: {how}",
        ),
        figure("later start", later, "s", 1.0, f"the same from disk: {how}", -1),
        figure("compiled again", float(again.compiled), "files", 0.0, how, -1),
    ]


def _compile_all(compiler: Compiler) -> None:
    compiler.begin(DEFAULTS)
    for one in DEFAULTS:
        compiler.cubin(*one)


def figures_here() -> list[dict[str, Any]]:
    """What can be measured on this machine: everything, or without a GPU the compilation."""
    reason = obstacle()
    if reason is None:
        return [*compile_figures(), *kernels(), *peer()]
    return [*compile_figures(), figure("gpu", None, "", None, f"nothing was measured: {reason}")]


PARTS = {"prepare": prepare, "kernels": kernels, "peer": peer, "train": train}


def _stop(*_: object) -> None:
    raise InterruptedError("the time was up")


def main() -> int:
    """Print a part's document; how it ended."""
    part, folder = sys.argv[1], Path(sys.argv[2])
    reason = None if part == "prepare" else obstacle()
    if reason is not None:
        raise SystemExit(f"gpu_check: {reason}")
    if part == "merge":
        print(merge(folder, ROOT))
        return 0
    signal.signal(signal.SIGTERM, _stop)
    rows: list[dict[str, Any]] = []
    status = 0
    try:
        for row in PARTS[part]():
            rows.append(row)
    except Exception as error:
        # What was measured until then took time on a machine that may be gone soon.
        traceback.print_exc()
        rows.append(figure("broke off", None, "", None, f"{type(error).__name__}: {error}"))
        status = BROKEN
    print(json.dumps({"name": part, "figures": rows}, indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main())
