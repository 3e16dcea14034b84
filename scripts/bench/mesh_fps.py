"""Frames a second of an exported mesh in a real OpenGL program, from the cameras of its photos.

    python scripts/bench/mesh_fps.py RUN [--file RUN/mesh/surface.glb] [--json]

Pictures of 1280x720, one after another without waiting for a screen, each finished before the next.
Without a graphics card OpenGL is llvmpipe on the processor: a figure of this machine, from which
none of another follows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from figure import figure, print_figures
from machine import measure_machine
from opengl import OpenGLMesh

from splatkit.core import Cameras, UsageError
from splatkit.export import open_scene
from splatkit.io import mesh_glb

WIDTH, HEIGHT = 1280, 720


@dataclass(frozen=True)
class Options:
    """What to draw."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """The run folder, for the cameras."""
    file: Path | None = None
    """The mesh; RUN/mesh/surface.glb when None."""
    seconds: float = 5.0
    """To draw for."""
    json: bool = False
    """Print one JSON object."""


def fps_figures(options: Options) -> list[dict[str, Any]]:
    """Frames a second, and what draws them."""
    file = options.file or options.run / "mesh" / "surface.glb"
    mesh = mesh_glb.read(file)
    cameras = open_scene(options.run).cameras(WIDTH, HEIGHT)
    if cameras is None:
        raise UsageError(f"{options.run}: expected a run with photos, got none")
    drawing = OpenGLMesh(mesh, WIDTH, HEIGHT)
    # Once around, so that nothing is compiled or copied while time is taken.
    frames = _frames(drawing, cameras, 0.0)
    start = time.perf_counter()
    frames = _frames(drawing, cameras, options.seconds)
    rate = frames / (time.perf_counter() - start)
    how = (
        f"mesh_fps.py {file.name}: {len(mesh):,} triangles, {WIDTH}x{HEIGHT}, "
        f"{drawing.renderer}, {frames} frames"
    )
    drawing.close()
    return [figure(f"{options.run.name} {file.stem} in OpenGL", rate, "frames/s", None, how)]


def _frames(drawing: OpenGLMesh, cameras: Cameras, seconds: float) -> int:
    """Draw every camera, again and again until the time is over; how many pictures that were."""
    end, number = time.perf_counter() + seconds, 0
    while True:
        for index in range(len(cameras)):
            drawing.draw(cameras[index : index + 1])
            number += 1
        if time.perf_counter() >= end:
            return number


def main(options: Options) -> None:
    """Measure and print."""
    print_figures(fps_figures(options), str(measure_machine()), options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
