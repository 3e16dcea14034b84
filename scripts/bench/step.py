"""Times of the whole CPU training step, stage by stage, with goals G13 to G16.

Needs the scene of $SPLATKIT_DATA/sceaux/bench (see data/README.md): SH degree 3, L1 + SSIM, density
statistics on, one photo a step. A time is the median over steps; ``--best`` takes the shortest,
for a machine that others use too. Rates are so small that the scene stays what it is.

    SPLATKIT_DATA=... python scripts/bench/step.py [--json]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import tyro
from machine import measure_machine
from raster import load

from splatkit import _native
from splatkit.core import Cameras, Gaussians
from splatkit.render import get_backend
from splatkit.render.backends import _cpu_finish, _cpu_loss, _cpu_step
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.train.machine import peak_memory_bytes

STAGES = {
    "project": ("project", "take_projected"),
    "bin": ("bin",),
    "blend": ("blend",),
    "loss": ("image_loss",),
    "blend_adj": ("blend_adj",),
    "finish": ("finish",),
}
"""Native functions of each stage; ``rest`` is what Python needs between them."""
RATES = dict.fromkeys(("means", "quats", "log_scales", "logit_opacities", "sh", "sh_rest"), 1e-9)
STEP_GOAL = {"pass": 49.0, "aim": 35.0}
"""G13: the step at 100k, milliseconds on the scale of machine.py, two threads."""
SCALING_GOAL = {"pass": 1.85, "aim": 1.95}
"""G15: one thread's time over two threads'."""
MEMORY_GOAL = {"pass": 0.8, "aim": 0.6}
"""G14: peak resident memory after 400 steps, GB, torch included."""
MEMORY_STEPS = 400


@dataclass(frozen=True)
class Options:
    """What to measure."""

    scenes: tuple[str, ...] = ("bench_100k", "bench_20k")
    """PLY files of the bench folder."""
    steps: int = 24
    """Timed steps."""
    threads: int = 2
    """Threads; scaling is measured from one to this."""
    best: bool = False
    """Report the shortest step instead of the median."""
    processor_time: bool = False
    """Count the calling thread's processor time; says what one thread needs on a busy machine."""
    memory: bool = True
    """Also take 400 steps in a process of their own and report its memory (G14)."""
    json: bool = False
    """Print one JSON object."""


class Stopwatch:
    """Stands in for the native module and adds up the seconds of every function."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        function = getattr(_native, name)
        if isinstance(function, type):
            return function

        def timed(*arguments: Any) -> Any:
            start = self.clock()
            result = function(*arguments)
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start
            return result

        return timed


class Training:
    """A scene in training; ``step`` makes one step with the next photo."""

    def __init__(self, gaussians: Gaussians, cameras: list[Cameras]) -> None:
        self.gaussians = gaussians.clone()
        self.backend = get_backend("cpu")
        self.fused = self.backend.training_step()
        self.adam = AdamState.zeros_like(self.gaussians)
        self.statistics = DensityStatistics.zeros(len(self.gaussians))
        self.background = torch.zeros(1, 3)
        self.options = ProjectOptions(sh_degree=3)
        self.update = UpdateOptions(rates=RATES)
        self.photos = [(camera, self._photo(camera, i)) for i, camera in enumerate(cameras)]
        self.count = 0

    def _photo(self, camera: Cameras, seed: int) -> torch.Tensor:
        """The scene as it is, with noise: a photo that training is near."""
        rgb, _ = self.fused.forward(self.gaussians, camera, self.background, self.options)
        noise = torch.randn(rgb.shape, generator=torch.Generator().manual_seed(seed))
        return ((rgb + 0.05 * noise).clamp(0, 1) * 255).to(torch.uint8)

    def step(self) -> None:
        camera, photo = self.photos[self.count % len(self.photos)]
        self.count += 1
        rgb, _ = self.fused.forward(self.gaussians, camera, self.background, self.options)
        _, v_rgb = self.backend.l1_ssim(rgb, photo, 0.2)
        self.fused.backward(v_rgb)
        self.fused.finish(self.gaussians, self.adam, self.update, self.statistics)


def time_steps(
    training: Training,
    count: int,
    pick: Callable[[list[float]], float],
    clock: Callable[[], float],
) -> dict[str, float]:
    """Milliseconds of the whole step and of its stages."""
    watch = Stopwatch(clock)
    for module in (_cpu_step, _cpu_finish, _cpu_loss):
        vars(module)["_native"] = watch
    samples: list[dict[str, float]] = []
    try:
        for _ in range(count + 3):
            watch.seconds.clear()
            start = clock()
            training.step()
            whole = clock() - start
            sample = {
                stage: 1e3 * sum(watch.seconds.get(name, 0.0) for name in names)
                for stage, names in STAGES.items()
            }
            samples.append(
                {**sample, "rest": 1e3 * whole - sum(sample.values()), "step": 1e3 * whole}
            )
    finally:
        for module in (_cpu_step, _cpu_finish, _cpu_loss):
            vars(module)["_native"] = _native
    # The first steps fill workspaces.
    return {name: pick([sample[name] for sample in samples[3:]]) for name in samples[0]}


def same_bits(gaussians: Gaussians, cameras: list[Cameras], threads: int) -> bool:
    """G16: whether three steps leave the same bits with one thread and with several."""
    results = []
    for count in (1, threads):
        _native.set_num_threads(count)
        training = Training(gaussians, cameras)
        for _ in range(3):
            training.step()
        results.append((training.gaussians, training.adam))
    (first, first_adam), (other, other_adam) = results
    return all(
        torch.equal(tensor, getattr(other, name))
        and torch.equal(first_adam.second[name], other_adam.second[name])
        for name, tensor in first.parameters().items()
    )


def peak_memory(scene: str, threads: int) -> float:
    """G14: GB of a fresh process that loads the scene and takes 400 steps."""
    output = subprocess.run(
        [sys.executable, __file__, "--measure-memory", scene, str(threads)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(output.stdout.split()[-1])


def measure_memory(scene: str, threads: int) -> None:
    """Body of the process of ``peak_memory``."""
    _native.set_num_threads(threads)
    training = Training(*load(scene, 3))
    for _ in range(MEMORY_STEPS):
        training.step()
    print((peak_memory_bytes() or 0) / 1e9)


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    pick = min if options.best else statistics.median
    clock = time.thread_time if options.processor_time else time.perf_counter
    _native.set_num_threads(options.threads)
    machine = measure_machine()
    # Rates are wall-clock rates: processor time is reported as it is.
    scale = 1.0 if options.processor_time else machine.scale
    report: dict[str, Any] = {"machine": asdict(machine), "scale": scale, "scenes": {}}
    if not options.json:
        print("processor time of one thread, not scaled" if options.processor_time else machine)
    for name in options.scenes:
        gaussians, cameras = load(name, 3)
        training = Training(gaussians, cameras)
        times = {}
        for threads in (1, options.threads):
            _native.set_num_threads(threads)
            times[threads] = time_steps(training, options.steps, pick, clock)
        several = times[options.threads]
        scene = {
            "ms": times,
            "scaled_ms": {stage: ms * scale for stage, ms in several.items()},
            "scaling": times[1]["step"] / several["step"],
            "same_bits": same_bits(gaussians, cameras, options.threads),
        }
        if options.memory:
            scene["memory_gb"] = peak_memory(name, options.threads)
        report["scenes"][name] = scene
        if not options.json:
            show(name, scene, options.threads)
    if options.json:
        print(json.dumps(report))


def show(name: str, scene: dict[str, Any], threads: int) -> None:
    """Print one scene's table and its goals."""
    print(f"\n{name}: ms with 1 thread, ms with {threads}, scaled, ratio")
    for stage, scaled in scene["scaled_ms"].items():
        one, several = scene["ms"][1][stage], scene["ms"][threads][stage]
        print(f"  {stage:10} {one:8.2f} {several:8.2f} {scaled:8.2f} {one / several:6.2f}")
    step = scene["scaled_ms"]["step"]
    if name == "bench_100k":
        print(f"  G13 step {step:.1f} ms scaled (pass {STEP_GOAL['pass']}, aim {STEP_GOAL['aim']})")
    if "memory_gb" in scene:
        print(
            f"  G14 memory {scene['memory_gb']:.2f} GB after {MEMORY_STEPS} steps "
            f"(pass {MEMORY_GOAL['pass']}, aim {MEMORY_GOAL['aim']})"
        )
    print(
        f"  G15 scaling {scene['scaling']:.2f} "
        f"(pass {SCALING_GOAL['pass']}, aim {SCALING_GOAL['aim']})"
    )
    print(f"  G16 same bits with 1 and {threads} threads: {scene['same_bits']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure-memory"]:
        measure_memory(sys.argv[2], int(sys.argv[3]))
    else:
        main(tyro.cli(Options, description=__doc__))
