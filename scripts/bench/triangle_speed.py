"""The triangle op's speed: beside the plainest loop that is right, and beside OpenGL.

    python scripts/bench/triangle_speed.py [--json]

Colours at the vertices, random triangles of about 10 pixels, forward, least of some runs. The plain
loop (plain_triangles.cpp) is compiled with -O3 for this machine. All three have to show the same.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from figure import figure, print_figures
from machine import measure_machine
from opengl import OpenGLMesh

from splatkit import _native
from splatkit.core import Cameras, Triangles, intrinsics
from splatkit.core.srgb import linear_of_srgb
from splatkit.render import render_triangles, set_threads
from splatkit.train.metrics import psnr

SOURCE = Path(__file__).with_name("plain_triangles.cpp")
WIDTH, HEIGHT = 640, 480
LEAST_PSNR = 40.0
"""dB that the ways of drawing agree to: edges fall on one side of a pixel's middle or the other."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    runs: int = 5
    """The shortest counts."""
    solid: int = 200_000
    """Triangles drawn solid."""
    soft: int = 50_000
    """Triangles drawn soft."""
    json: bool = False
    """Print one JSON object."""


def scene(count: int) -> tuple[Triangles, Cameras]:
    """Random triangles in a ball, and a camera that sees all of it."""
    generator = torch.Generator().manual_seed(0)
    view = torch.eye(4)[None]
    view[0, 2, 3] = 2.0
    camera = Cameras(view, intrinsics(600, 600, WIDTH / 2, HEIGHT / 2).float()[None], WIDTH, HEIGHT)
    middles = torch.randn(count, 1, 3, generator=generator) * 0.5
    middles = middles * (1.2 / middles.norm(dim=-1, keepdim=True)).clamp_max(1)
    corners = middles + 0.012 * torch.randn(count, 3, 3, generator=generator)
    faces = torch.arange(3 * count, dtype=torch.int32).view(-1, 3)
    colors = torch.rand(3 * count, 3, generator=generator)
    return Triangles(corners.view(-1, 3), faces, colors, torch.full((3 * count,), 0.9)), camera


def plain_loop(folder: Path) -> Callable[[Triangles, Cameras, float], torch.Tensor]:
    """The compiled loop as a function of mesh, camera and softness that gives [H,W,3]."""
    compiler = shutil.which("c++") or shutil.which("g++") or "c++"
    library = folder / "plain.so"
    words = ["-O3", "-march=native", "-std=c++20", "-shared", "-fPIC", str(SOURCE), "-o"]
    subprocess.run([compiler, *words, str(library)], check=True)
    function = ctypes.CDLL(str(library)).draw

    def draw(mesh: Triangles, camera: Cameras, softness: float) -> torch.Tensor:
        picture = torch.empty(camera.height, camera.width, 3)
        colors = mesh.colors if softness else linear_of_srgb(mesh.colors)
        view = camera.viewmats[0, :3].contiguous()
        K = camera.Ks[0]
        pinhole = torch.stack((K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        arrays = (mesh.vertices, mesh.faces, colors, mesh.opacities)
        pointers = [ctypes.c_void_p(array.data_ptr()) for array in arrays]
        function(
            *pointers,
            len(mesh),
            ctypes.c_void_p(view.data_ptr()),
            ctypes.c_void_p(pinhole.data_ptr()),
            camera.width,
            camera.height,
            ctypes.c_float(softness),
            ctypes.c_float(0.01),
            ctypes.c_void_p(picture.data_ptr()),
        )
        return picture

    return draw


def least(work: Callable[[], Any], runs: int) -> float:
    """Milliseconds of the shortest run."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def speed_figures(options: Options) -> list[dict[str, Any]]:
    """Milliseconds of each way, and how many times faster the op is."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        plain = plain_loop(Path(folder))
        for kind, count, softness in (("solid", options.solid, 0.0), ("soft", options.soft, 0.5)):
            figures += _kind_figures(kind, count, softness, plain, options.runs)
    return figures


def _kind_figures(
    kind: str,
    count: int,
    softness: float,
    plain: Callable[[Triangles, Cameras, float], torch.Tensor],
    runs: int,
) -> list[dict[str, Any]]:
    mesh, camera = scene(count)
    how = f"{count:,} triangles, {WIDTH}x{HEIGHT}, least of {runs}"

    def ours() -> torch.Tensor:
        drawn = render_triangles(mesh, camera, softness=softness).rgb
        assert drawn is not None
        return drawn[0]

    with torch.no_grad():
        picture = ours()
        agree = psnr(plain(mesh, camera, softness), picture)
        slow = least(lambda: plain(mesh, camera, softness), runs)
        figures = [
            figure(f"{kind}: they show the same", agree, "dB", LEAST_PSNR, how),
            figure(f"{kind}: plain loop, 1 thread", slow, "ms", None, how, -1),
        ]
        for threads in dict.fromkeys((1, _native.num_threads())):
            set_threads(threads)
            fast = least(ours, runs)
            name = f"{kind}: the op, {threads} thread{'s' * (threads > 1)}"
            figures.append(figure(name, fast, "ms", None, how, -1))
            figures.append(figure(f"{name}, times the plain loop", slow / fast, "x", 1.0, how))
        set_threads(0)
    if kind == "solid":
        figures += _opengl_figures(mesh, camera, picture, runs, how)
    mesh.vertices.requires_grad_()
    assert mesh.colors is not None
    mesh.colors.requires_grad_()
    both = least(lambda: ours().sum().backward(), runs)
    figures.append(figure(f"{kind}: the op, forward and backward", both, "ms", None, how, -1))
    return figures


def _opengl_figures(
    mesh: Triangles, camera: Cameras, picture: torch.Tensor, runs: int, how: str
) -> list[dict[str, Any]]:
    drawing = OpenGLMesh(mesh, WIDTH, HEIGHT)
    took = least(lambda: drawing.draw(camera), runs)
    agree = psnr(torch.from_numpy(drawing.pixels().copy()).float() / 255, picture)
    name = f"solid: OpenGL ({drawing.renderer})"
    drawing.close()
    return [
        figure(name, took, "ms", None, how, -1),
        figure("solid: OpenGL shows the same", agree, "dB", None, how),
    ]


def main(options: Options) -> None:
    """Measure and print."""
    print_figures(speed_figures(options), str(measure_machine()), options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
