"""Figures of a GPU: the training step by size, against gsplat, and one file of all parts.

Called by scripts/gpu_check.sh; each part prints one JSON document.

    python scripts/bench/gpu.py kernels|peer|train|merge FOLDER
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from figure import figure
from gpu_merge import merge
from gpu_peer import gsplat_step, loss_name
from gpu_step import StageDriver, step_ms, training_step
from kernels import DEFAULTS

from splatkit.core import Cameras, Gaussians
from splatkit.render import get_backend, render
from splatkit.render.backends._cuda_compile import Compiler, nvrtc_version
from splatkit.render.backends._cuda_device import obstacle
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.backends.gsplat import gsplat_obstacle
from splatkit.render.timing import median_ms, synthetic_scene, time_backend

ROOT = Path(__file__).parents[2]
SIZES = (100_000, 1_000_000, 5_000_000)
WIDTH, HEIGHT = 1920, 1080
PART_SECONDS = 480
"""A part ends within nine minutes; what is left is for starting and merging."""
TRAIN_SECONDS = 120
"""Training time of each scene and backend."""
UNFINISHED = 3
"""Exit code of a part that goes on when it is started again."""


def kernels() -> list[dict[str, Any]]:
    """Start, step, stages, pictures and memory at three sizes (goals G3, G16)."""
    began = time.perf_counter()
    backend = get_backend("cuda")
    scene, camera = synthetic_scene(1000, 64, 48)
    time_backend(backend, scene, camera, runs=1, gradients=True)
    how = "open the GPU and compile or load the kernels of a render with gradients"
    rows = [figure("start", time.perf_counter() - began, "s", None, how)]
    for count in SIZES:
        scene, camera = synthetic_scene(count, WIDTH, HEIGHT)
        rows += _step_figures(backend, scene, camera)
        rows += _picture_figures(backend, scene, camera)
        del scene
        torch.cuda.empty_cache()
    return rows


def _step_figures(backend: Any, scene: Gaussians, camera: Cameras) -> list[dict[str, Any]]:
    count, device = len(scene), backend.device
    how = f"{count:,} made-up Gaussians, {WIDTH}x{HEIGHT}, median of 7 tens"
    ms, memory = step_ms(device, training_step(backend, scene, camera))
    goal = 4.0 if count == 1_000_000 else None
    driver = backend._driver
    exact, _ = step_ms(device, training_step(CudaBackend(driver, True), scene, camera))
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


def peer() -> list[dict[str, Any]]:
    """Ours against gsplat on the same scene in the same run (goals G1's step, G4, G8, G9)."""
    reason = gsplat_obstacle()
    if reason is not None:
        return [figure("peer", None, "", None, reason)]
    import gsplat

    rows = []
    backend = get_backend("cuda")
    for count in SIZES[:2]:
        scene, camera = synthetic_scene(count, WIDTH, HEIGHT)
        ours, theirs = (
            time_backend(get_backend(name), scene, camera, runs=15, gradients=True)
            for name in ("cuda", "gsplat")
        )
        both = (theirs.forward_backward_ms or 0.0) / (ours.forward_backward_ms or 1.0)
        frames = theirs.forward_ms / shown_ms(backend, scene, camera)[0]
        mine, memory = step_ms(backend.device, training_step(backend, scene, camera))
        torch.cuda.empty_cache()
        other = gsplat_step(gsplat, scene, camera, backend.device)
        their_step, their_memory = step_ms(backend.device, other)
        how = f"gsplat {gsplat.__version__} over splatkit, {count:,} made-up Gaussians, same run"
        rows += [
            figure(f"G1 step {count}", their_step / mine, "x", 3.5, f"{how}; {loss_name()}"),
            figure(f"G4 gradients {count}", both, "x", 2.5, f"{how}, image with gradients"),
            figure(f"G8 frames {count}", frames, "x", 2.0, f"{how}, image that is shown"),
            figure(
                f"G9 memory {count}", memory / their_memory, "x", 0.7,
                "peak of torch in training steps, splatkit over gsplat", -1,
            ),
            figure(f"gsplat step {count}", their_step, "ms", None, "median of 7 tens"),
        ]  # fmt: skip
        for times in (ours, theirs):
            told = json.dumps(asdict(times))
            rows.append(figure(f"{times.backend} {count}", times.forward_ms, "ms", None, told))
        del scene, other
        torch.cuda.empty_cache()
    return rows


def train() -> list[dict[str, Any]]:
    """Held-out PSNR after the same training time: this backend, gsplat where it is, the CPU.

    A training that is done is not repeated; when the part's time is up, the next start goes on.
    """
    ends = time.monotonic() + PART_SECONDS
    places = [ROOT / "data" / "sample" / "photos"]
    places += [Path(p) for p in os.environ.get("GPU_CHECK_SETS", "").split(os.pathsep) if p]
    names = ["cuda", *(["gsplat"] if gsplat_obstacle() is None else []), "cpu"]
    rows = []
    for place in places:
        if not place.exists():
            rows.append(figure(f"train {place.name}", None, "dB", None, f"{place} is missing"))
            continue
        for backend in names:
            name = re.sub(r"\W+", "_", f"{place.parent.name}_{place.name}_{backend}")
            out = ROOT / "build" / "gpu_check" / "runs" / name
            stats = _trained(place, out, backend, ends)
            how = f"{stats['iterations']} steps in {stats['seconds_train']:.0f} s on {backend}"
            rows.append(figure(name, stats["mean"]["psnr"], "dB", None, how))
    return rows


def _trained(place: Path, out: Path, backend: str, ends: float) -> dict[str, Any]:
    """Statistics of a training, which goes on where it stopped."""
    told = out / "eval" / "stats.json"
    if not told.exists():
        left = ends - time.monotonic()
        if left < 1.5 * TRAIN_SECONDS:
            print(f"{out.name}: no time left in this part; start it again", file=sys.stderr)
            raise SystemExit(UNFINISHED)
        command = [sys.executable, "-m", "splatkit", "train", str(place), "-o", str(out)]
        command += ["--backend", backend, "--time-limit", f"{TRAIN_SECONDS}s"]
        if any(out.glob("checkpoints/step_*.npz")):
            command.append("--resume")
        try:
            subprocess.run(command, check=True, cwd=ROOT, timeout=left, stdout=sys.stderr)
        except subprocess.TimeoutExpired:
            print(f"{out.name}: not finished; start this part again", file=sys.stderr)
            raise SystemExit(UNFINISHED) from None
    return json.loads(told.read_text())


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
        return compile_figures() + kernels() + peer()
    return [*compile_figures(), figure("gpu", None, "", None, f"nothing was measured: {reason}")]


PARTS = {"kernels": kernels, "peer": peer, "train": train}


def main() -> None:
    part, folder = sys.argv[1], Path(sys.argv[2])
    reason = obstacle()
    if reason is not None:
        raise SystemExit(f"gpu_check: {reason}")
    if part == "merge":
        print(merge(folder, ROOT))
        return
    print(json.dumps({"name": part, "figures": PARTS[part]()}, indent=1))


if __name__ == "__main__":
    main()
