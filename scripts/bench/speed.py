"""Figures of the rasterizer and the training step, from the programs that measure them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from figure import figure
from raster import BLENDS_GOALS
from raster import GOALS as RASTER_GOALS
from step import MEMORY_GOAL, SCALING_GOAL, STEP_GOAL

HERE = Path(__file__).parent


def speed_figures() -> list[dict[str, Any]]:
    """G11 to G16 of docs/performance.md."""
    return raster_figures(measured("raster.py")) + step_figures(measured("step.py"))


def measured(program: str) -> dict[str, Any]:
    """What a benchmark prints, in a process of its own so that memory and threads start fresh."""
    words = [sys.executable, str(HERE / program), "--json"]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def raster_figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Blend rates, times, scaling and determinism of the rasterizer."""
    scale, how = report["machine"]["scale"], "scripts/bench/raster.py, scaled to the reference"
    figures = []
    for name, goals in RASTER_GOALS.items():
        told = report[name]
        figures.append(
            figure(f"G12 raster {name}", told["raster_ms_scaled"], "ms", goals["pass"], how, -1)
        )
        for direction, rate in told["blends_per_second_core_millions"].items():
            goal = BLENDS_GOALS[direction]["pass"]
            figures.append(
                figure(f"G11 {direction} {name}", rate / scale, "M blends/s/core", goal, how)
            )
        figures.append(
            figure(f"G15 raster {name}", told["scaling"], "x", SCALING_GOAL["pass"], how)
        )
        figures.append(figure(f"G16 raster {name}", float(told["deterministic"]), "", 1.0, how))
    return figures


def step_figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Time, memory, scaling and determinism of whole training steps."""
    how = "scripts/bench/step.py, scaled to the reference"
    figures = []
    for name, told in report["scenes"].items():
        goal = STEP_GOAL["pass"] if name == "bench_100k" else None
        figures += [
            figure(f"G13 step {name}", told["scaled_ms"]["step"], "ms", goal, how, -1),
            figure(f"G14 memory {name}", told["memory_gb"], "GB", MEMORY_GOAL["pass"], how, -1),
            figure(f"G15 step {name}", told["scaling"], "x", SCALING_GOAL["pass"], how),
            figure(f"G16 step {name}", float(told["same_bits"]), "", 1.0, how),
        ]
    return figures
