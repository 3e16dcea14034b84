"""Figures of a GPU: the training step by size, against gsplat, and one file of all parts.

Called by scripts/gpu_check.sh; each part prints one JSON document.

    python scripts/bench/gpu.py kernels|peer|train|merge FOLDER
"""

from __future__ import annotations

import datetime
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

from splatkit.core import Gaussians
from splatkit.render import get_backend
from splatkit.render.backends import Backend
from splatkit.render.backends._cuda_compile import Compiler, nvrtc_version
from splatkit.render.backends._cuda_device import obstacle
from splatkit.render.backends.base import AdamState, ProjectOptions, UpdateOptions
from splatkit.render.backends.gsplat import gsplat_obstacle
from splatkit.render.timing import device_name, median_ms, synthetic_scene, time_backend

ROOT = Path(__file__).parents[2]
SIZES = (100_000, 1_000_000, 5_000_000)
WIDTH, HEIGHT = 1920, 1080
STEPS = 40
"""Steps before timing: every form is tried and launches are replayed."""
RATES = dict.fromkeys(("means", "quats", "log_scales", "logit_opacities", "sh", "sh_rest"), 1e-9)
TRAIN_SECONDS = 150
"""Training time of each scene and backend."""


def figure(
    name: str, value: float | None, unit: str, goal: float | None, ok: bool, how: str
) -> dict[str, Any]:
    """One line of a scorecard."""
    return {"id": name, "value": value, "unit": unit, "goal": goal, "pass": ok, "how": how}


def step_ms(backend: Backend, scene: Gaussians, camera: Any) -> tuple[float, float]:
    """Milliseconds of a whole training step, and peak memory in GiB."""
    device = backend.device
    model, view = scene.to(device), camera.to(device)
    adam, fused = AdamState.zeros_like(model), backend.training_step()
    photo = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8, device=device)
    background, options = torch.zeros(1, 3, device=device), ProjectOptions()
    torch.cuda.reset_peak_memory_stats(device)

    def step() -> None:
        rgb, _ = fused.forward(model, view, background, options)
        _, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
        fused.backward(v_rgb)
        fused.finish(model, adam, UpdateOptions(rates=RATES))

    for _ in range(STEPS):
        step()

    def ten() -> None:
        for _ in range(10):
            step()

    return median_ms(device, 7, ten) / 10, torch.cuda.max_memory_allocated(device) / 2**30


def kernels() -> list[dict[str, Any]]:
    """Start, render and step times at three sizes (goal G3 at one million)."""
    began = time.perf_counter()
    backend = get_backend("cuda")
    scene, camera = synthetic_scene(1000, 64, 48)
    time_backend(backend, scene, camera, runs=1, gradients=True)
    rows = [
        figure(
            "start", time.perf_counter() - began, "s", None, True,
            "open the GPU and compile or load the kernels of a render with gradients",
        )
    ]  # fmt: skip
    for count in SIZES:
        scene, camera = synthetic_scene(count, WIDTH, HEIGHT)
        times = time_backend(backend, scene, camera, runs=7, gradients=True)
        ms, memory = step_ms(backend, scene, camera)
        goal = 4.0 if count == 1_000_000 else None
        how = f"{count:,} made-up Gaussians, {WIDTH}x{HEIGHT}, median of 7"
        rows += [
            figure(f"step_{count}", ms, "ms", goal, goal is None or ms <= goal, how + " tens"),
            figure(f"memory_{count}", memory, "GiB", None, True, how),
            figure(f"forward_{count}", times.forward_ms, "ms", None, True, how),
            figure(f"gradients_{count}", times.forward_backward_ms, "ms", None, True, how),
        ]
        del scene
        torch.cuda.empty_cache()
    return rows


def peer() -> list[dict[str, Any]]:
    """Ours against gsplat 1.5.3 on the same scene in the same run (goals G4, G8, G9)."""
    reason = gsplat_obstacle()
    if reason is not None:
        return [figure("peer", None, "", None, False, reason)]
    rows = []
    for count in SIZES[:2]:
        scene, camera = synthetic_scene(count, WIDTH, HEIGHT)
        ours, theirs = (
            time_backend(get_backend(name), scene, camera, runs=15, gradients=True)
            for name in ("cuda", "gsplat")
        )
        both = (theirs.forward_backward_ms or 0.0) / (ours.forward_backward_ms or 1.0)
        frames = theirs.forward_ms / ours.forward_ms
        memory = (ours.peak_memory_bytes or 0) / (theirs.peak_memory_bytes or 1)
        how = f"gsplat over splatkit, {count:,} made-up Gaussians, {WIDTH}x{HEIGHT}, same run"
        ratio = "peak memory of an image with gradients, splatkit over gsplat"
        rows += [
            figure(f"G4_{count}", both, "x", 2.5, both >= 2.5, how + ", image with gradients"),
            figure(f"G8_{count}", frames, "x", 2.0, frames >= 2.0, how + ", image"),
            figure(f"G9_{count}", memory, "x", 0.7, memory <= 0.7, ratio),
        ]
        for times in (ours, theirs):
            name, told = f"{times.backend}_{count}", json.dumps(asdict(times))
            rows.append(figure(name, times.forward_ms, "ms", None, True, told))
    return rows


def train() -> list[dict[str, Any]]:
    """Held-out PSNR after the same training time on the CPU and on the GPU, and ms a step."""
    places = [ROOT / "data" / "sample" / "photos"]
    places += [Path(p) for p in os.environ.get("GPU_CHECK_SETS", "").split(os.pathsep) if p]
    rows = []
    for place in places:
        if not place.exists():
            rows.append(
                figure(f"train_{place.name}", None, "dB", None, False, f"{place} is missing")
            )
            continue
        for backend in ("cuda", "cpu"):
            name = re.sub(r"\W+", "_", f"{place.parent.name}_{place.name}_{backend}")
            out = ROOT / "build" / "gpu_check" / "runs" / name
            command = [sys.executable, "-m", "splatkit", "train", str(place), "-o", str(out)]
            command += ["--backend", backend, "--time-limit", f"{TRAIN_SECONDS}s"]
            if not (out / "eval" / "stats.json").exists():
                subprocess.run(command, check=True, cwd=ROOT)
            stats = json.loads((out / "eval" / "stats.json").read_text())
            how = f"{stats['iterations']} steps in {stats['seconds_train']:.0f} s on {backend}"
            rows.append(figure(name, stats["mean"]["psnr"], "dB", None, True, how))
    return rows


def compile_figures() -> list[dict[str, Any]]:
    """Time to compile the default kernels and to find them again; needs no GPU."""
    from kernels import DEFAULTS

    architecture = 90
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        Compiler(architecture, Path(folder)).prepare(DEFAULTS)
        first = time.perf_counter() - began
        began = time.perf_counter()
        again = Compiler(architecture, Path(folder))
        again.prepare(DEFAULTS)
        later = time.perf_counter() - began
    how = (
        f"{len(DEFAULTS)} files for sm_{architecture}, NVRTC {'.'.join(map(str, nvrtc_version()))}"
    )
    found = later <= 1.0 and again.compiled == 0
    return [
        figure("compile", first, "s", 10.0, first <= 10.0, f"default set: {how}"),
        figure("later_start", later, "s", 1.0, found, f"the same from disk: {how}"),
    ]


def figures_here() -> list[dict[str, Any]]:
    """What can be measured on this machine: everything, or without a GPU the compilation."""
    reason = obstacle()
    if reason is None:
        return compile_figures() + kernels() + peer()
    missing = figure("gpu", None, "", None, False, f"nothing was measured on a GPU: {reason}")
    return [*compile_figures(), missing]


def merge(folder: Path) -> Path:
    """All parts that are done in ``benchmarks/results/DATE-DEVICE.json``."""
    device = torch.device("cuda", 0)
    parts = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    properties = torch.cuda.get_device_properties(device)
    document = {
        "device": device_name(device),
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "commit": _commit(),
        "parts": parts,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    out = ROOT / "benchmarks" / "results" / f"{datetime.date.today().isoformat()}-{slug}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".writing")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(out)
    return out


def _commit() -> str | None:
    answer = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def main() -> None:
    part, folder = sys.argv[1], Path(sys.argv[2])
    reason = obstacle()
    if reason is not None:
        raise SystemExit(f"gpu_check: {reason}")
    if part == "merge":
        print(merge(folder))
        return
    figures = {"kernels": kernels, "peer": peer, "train": train}[part]()
    print(json.dumps({"name": part, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
