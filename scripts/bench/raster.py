"""Times of the CPU rasterizer, stage by stage, with counts and goals G11, G12, G15, G16.

Needs the scene of $SPLATKIT_DATA/sceaux/bench (see data/README.md). Every time is the median over
runs of the mean over cameras; ``--best`` takes the shortest run, for a machine that others use.

    SPLATKIT_DATA=... python scripts/bench/raster.py [--json]
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from machine import Machine, measure_machine

from splatkit import _native
from splatkit.core import Cameras, Gaussians
from splatkit.io import read_gaussians
from splatkit.render.backends._cpu_ops import draw, draw_adj, projection_settings
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import BlendRequest, ScreenSplats

GOALS = {
    "bench_100k": {"pass": 19.3, "aim": 14.5},
    "bench_20k": {"pass": 12.3, "aim": 9.7},
}
"""G12: bin + blend + blend backward, milliseconds on the scale of machine.py, two threads."""
BLENDS_GOALS = {"forward": {"pass": 400, "aim": 900}, "backward": {"pass": 250, "aim": 550}}
"""G11: millions a second and core, on the same scale."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    runs: int = 7
    """Timed runs of every stage."""
    cameras: int = 3
    """Cameras of the scene, evenly spread."""
    threads: int = 2
    """Threads; scaling is measured from one to this."""
    best: bool = False
    """Report the shortest run instead of the median."""
    processor_time: bool = False
    """Count the processor's seconds of one thread instead of seconds that pass, for a machine that
    others use. Sets ``threads`` to 1; rates are per core, and G12 supposes two cores at 1.95x."""
    json: bool = False
    """Print one JSON object."""


@dataclass
class Stages:
    """Milliseconds an image by stage, and what was drawn an image."""

    ms: dict[str, float] = field(default_factory=dict)
    visible: float = 0.0
    instances: float = 0.0
    blends: float = 0.0

    @property
    def raster_ms(self) -> float:
        """Binning, forward and backward."""
        return self.ms["bin"] + self.ms["blend"] + self.ms["blend_adj"]


def load(name: str, count: int) -> tuple[Gaussians, list[Cameras]]:
    """A scene and some of its cameras."""
    if "SPLATKIT_DATA" not in os.environ:
        raise SystemExit("raster: set SPLATKIT_DATA to the folder of data sets (data/README.md)")
    folder = Path(os.environ["SPLATKIT_DATA"]) / "sceaux" / "bench"
    described = json.loads((folder / "cameras.json").read_text())
    listed = described["cameras"]
    chosen = [listed[i * len(listed) // count] for i in range(count)]
    cameras = [
        Cameras(
            torch.tensor(camera["viewmat"])[None],
            torch.tensor(camera["K"])[None],
            described["width"],
            described["height"],
        )
        for camera in chosen
    ]
    return read_gaussians(folder / f"{name}.ply"), cameras


class View:
    """The stages of one camera, callable in any order after ``prepare``."""

    def __init__(self, gaussians: Gaussians, camera: Cameras) -> None:
        self.camera = camera
        self.parameters = [t.detach().contiguous() for t in gaussians.parameters().values()]
        size = (camera.width, camera.height)
        self.given = (*self.parameters, camera.viewmats, camera.Ks)
        self.settings = projection_settings(gaussians, camera, ProjectOptions())
        self.staged, self.blending = _native.Projection(), _native.Blending()
        self.background = torch.zeros(1, 3)
        count = _native.project(self.staged, *self.given, *self.settings)
        self.splats = ScreenSplats(
            torch.empty(count, 12),
            torch.empty(count, dtype=torch.int32),
            torch.empty(count, dtype=torch.int32),
            len(gaussians),
            1,
            *size,
        )
        self.project()
        self.ids = (self.splats.gaussian_ids, self.splats.camera_ids)
        counted = draw(
            self.blending, self.splats, self.background, request=BlendRequest(weights=True)
        )
        assert counted.weight_count is not None
        self.blends = int(counted.weight_count.sum())
        self.blended = draw(self.blending, self.splats, self.background)
        self.v_rgb = torch.randn(self.blended.rgb.shape, generator=torch.Generator().manual_seed(0))
        self.v_records = torch.empty_like(self.splats.records)
        self.gradients = [torch.zeros_like(t) for t in self.parameters]

    def project(self) -> None:
        _native.project(self.staged, *self.given, *self.settings)
        splats = self.splats
        _native.take_projected(self.staged, splats.records, splats.gaussian_ids, splats.camera_ids)

    def bin(self) -> None:
        size = (self.splats.width, self.splats.height)
        _native.bin(self.blending, self.splats.records, *self.ids, 1, *size)

    def blend(self) -> None:
        _native.blend(
            self.blending, self.splats.records, *self.ids, None, self.background, False,
            self.blended.rgb, self.blended.alpha, *(None,) * 7,
        )  # fmt: skip

    def blend_adj(self) -> None:
        _native.blend_adj(
            self.blending, self.splats.records, *self.ids, None, False, self.blended.rgb,
            self.blended.alpha, None, self.v_rgb, None, None, None, self.v_records, None, None,
        )  # fmt: skip

    def project_adj(self) -> None:
        _native.project_adj(
            *self.given, *self.settings, self.v_records, *self.ids, *self.gradients, None
        )


STAGES: dict[str, Callable[[View], None]] = {
    "project": View.project,
    "bin": View.bin,
    "blend": View.blend,
    "blend_adj": View.blend_adj,
    "project_adj": View.project_adj,
}


def measure(views: list[View], options: Options, threads: int) -> Stages:
    """Times of all stages with that many threads."""
    _native.set_num_threads(threads)
    result = Stages(
        visible=statistics.mean(len(view.splats) for view in views),
        instances=statistics.mean(view.blending.instances for view in views),
        blends=statistics.mean(view.blends for view in views),
    )
    times: dict[str, list[float]] = {name: [] for name in STAGES}
    clock = time.thread_time if options.processor_time else time.perf_counter
    for _ in range(options.runs + 1):
        sums = dict.fromkeys(STAGES, 0.0)
        for view in views:
            for name, stage in STAGES.items():
                start = clock()
                stage(view)
                sums[name] += clock() - start
        for name, total in sums.items():
            times[name].append(1e3 * total / len(views))
    pick = min if options.best else statistics.median
    # The first run warms caches and grows workspaces.
    result.ms = {name: pick(values[1:]) for name, values in times.items()}
    return result


def deterministic(view: View) -> bool:
    """Whether images and gradients are the same bits with one, two and three threads (G16)."""
    results = []
    for threads in (1, 2, 3):
        _native.set_num_threads(threads)
        blended = draw(view.blending, view.splats, view.background)
        v_records, _, _ = draw_adj(view.blending, view.splats, blended, view.v_rgb)
        results.append((blended.rgb, blended.alpha, v_records))
    return all(torch.equal(a, b) for r in results[1:] for a, b in zip(results[0], r, strict=True))


def report(name: str, machine: Machine, one: Stages, many: Stages, options: Options) -> None:
    """Print the figures of a scene."""
    # One thread has nothing to be compared with on the scale of whole machines.
    scale, threads = 1.0 if options.processor_time else machine.scale, options.threads
    print(
        f"\n{name}: {many.visible:.0f} visible, {many.instances:.0f} instances, "
        f"{many.blends / 1e6:.2f} M blends an image"
    )
    print(f"{'stage':12}{'1 thread':>10}{f'{threads} threads':>11}{'scaled':>9}{'scaling':>9}  ms")
    for stage, ms in many.ms.items():
        print(
            f"{stage:12}{one.ms[stage]:10.2f}{ms:11.2f}{ms * scale:9.2f}{one.ms[stage] / ms:8.2f}x"
        )
    goal = GOALS[name]
    if options.processor_time:
        print(
            f"G12 bin + blend + blend_adj: {one.raster_ms:.2f} ms of one core, "
            f"{one.raster_ms / 1.95:.2f} on two at 1.95x, not scaled "
            f"(pass {goal['pass']}, aim {goal['aim']})"
        )
    else:
        print(
            f"G12 bin + blend + blend_adj: {many.raster_ms:.2f} ms, scaled "
            f"{many.raster_ms * scale:.2f} (pass {goal['pass']}, aim {goal['aim']}); "
            f"G15 scaling {one.raster_ms / many.raster_ms:.2f}x"
        )
    for direction, rate in blend_rates(many, threads).items():
        goal = BLENDS_GOALS[direction]
        print(
            f"G11 {direction}: {rate:.0f} M blends/s/core, scaled {rate / scale:.0f} "
            f"(pass {goal['pass']}, aim {goal['aim']})"
        )


def blend_rates(stages: Stages, threads: int) -> dict[str, float]:
    """Millions of blends a second and core."""
    return {
        direction: stages.blends / (stages.ms[stage] * 1e-3) / threads / 1e6
        for direction, stage in (("forward", "blend"), ("backward", "blend_adj"))
    }


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if options.processor_time:
        options = replace(options, threads=1, best=True)
    _native.set_num_threads(options.threads)
    machine = measure_machine()
    figures: dict[str, Any] = {"machine": asdict(machine) | {"scale": machine.scale}}
    if not options.json:
        print(machine)
    for name in GOALS:
        gaussians, cameras = load(name, options.cameras)
        views = [View(gaussians, camera) for camera in cameras]
        one, many = (measure(views, options, n) for n in (1, options.threads))
        same = deterministic(views[0])
        figures[name] = asdict(many) | {
            "one_thread_ms": one.ms,
            "raster_ms": many.raster_ms,
            "raster_ms_scaled": many.raster_ms * machine.scale,
            "blends_per_second_core_millions": blend_rates(many, options.threads),
            "scaling": one.raster_ms / many.raster_ms,
            "deterministic": same,
        }
        if not options.json:
            report(name, machine, one, many, options)
            print(f"G16 bitwise equal over 1, 2, 3 threads: {'yes' if same else 'NO'}")
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
