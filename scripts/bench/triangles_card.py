"""Figures of the triangles: pictures and shape of both products, other programs, and the op."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from figure import figure
from formats_card import suite_figures
from geometry import surface_errors

from splatkit.core import Cameras, Triangles, UsageError, drain, intrinsics
from splatkit.io import mesh_glb
from splatkit.io.scene import load_scene
from splatkit.mesh.options import MeshOptions
from splatkit.mesh.pipeline import LEAST_REIMPORT_PSNR, make_mesh
from splatkit.render import render_triangles
from splatkit.train.run_folder import RunFolder

TRUTH = Path(__file__).parents[2] / "data" / "sample" / "truth"
BEHIND = {"surface": 4.0, "splats": 2.0}
"""dB that a product may lie behind the Gaussians it was made from."""
TIME_LIMIT = "20m"


def triangles_figures(runs: Path, scene: Path | None) -> list[dict[str, Any]]:
    """All figures; ``scene`` is a run of the sample, by default the first of the trainings."""
    run = scene or next((p.parents[1] for p in sorted(runs.glob("*/exports/scene.ply"))), None)
    if run is None:
        raise UsageError("triangles: expected a run folder, got none; name one with --scene RUN")
    figures: list[dict[str, Any]] = []
    for mode in ("surface", "splats"):
        figures += _product(run, mode)
    figures += suite_figures("the op: gradients and parity", ("tests/render/test_triangles.py",))
    figures += suite_figures(
        "three.js and OpenGL", ("tests/mesh/test_outside_renderers.py", "-m", "long")
    )
    return figures + _speed()


def _product(run: Path, mode: str) -> list[dict[str, Any]]:
    how = f"splatkit mesh {run.name} --mode {mode} --time-limit {TIME_LIMIT}"
    options = MeshOptions(mode=mode, time_limit=TIME_LIMIT)  # pyright: ignore[reportArgumentType]
    made = drain(make_mesh(run, None, options))
    stats, trained = made.stats, json.loads(RunFolder(run).stats.read_text())
    behind = trained["mean"]["psnr"] - stats["mean"]["psnr"]
    figures = [
        figure(f"{mode} PSNR, held-out photos", stats["mean"]["psnr"], "dB", None, how),
        figure(f"{mode} behind its Gaussians", behind, "dB", BEHIND[mode], how, -1),
        figure(f"{mode} read again", stats["reimport_psnr"], "dB", LEAST_REIMPORT_PSNR, how),
        figure(f"{mode} triangles", float(stats["triangles"]), "", 200_000.0, how, -1),
        figure(f"{mode} seconds", stats["seconds"], "s", 1200.0, how, -1),
        figure(f"{mode} median edge", stats["median_edge_pixels"], "pixels", None, how),
    ]
    if mode == "surface":
        crowded = float(stats["non_manifold_edges"])
        figures.append(figure("surface non-manifold edges", crowded, "", 0.0, how, -1))
        errors = surface_errors(mesh_glb.read(made.path), load_scene(RunFolder(run).scene), TRUTH)
        against = f"{how}, against data/sample/truth"
        chamfer = 100 * errors["chamfer"]
        figures.append(figure("surface Chamfer", chamfer, "% of diagonal", 0.5, against, -1))
        figures.append(figure("surface F1 at 1%", errors["f1"], "", 0.85, against))
    return figures


def _speed() -> list[dict[str, Any]]:
    """Milliseconds of the op at 640x480, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    view = torch.eye(4)[None]
    view[0, 2, 3] = 2.0
    camera = Cameras(view, intrinsics(600, 600, 320, 240).float()[None], 640, 480)
    figures = []
    for count, softness in ((50_000, 0.5), (200_000, 0.0)):
        middles = torch.randn(count, 1, 3, generator=generator) * 0.5
        corners = middles + 0.012 * torch.randn(count, 3, 3, generator=generator)
        colors = torch.rand(3 * count, 3, generator=generator).requires_grad_()
        faces = torch.arange(3 * count, dtype=torch.int32).view(-1, 3)
        vertices = corners.view(-1, 3).requires_grad_()
        mesh = Triangles(vertices, faces, colors, torch.full((3 * count,), 0.9))

        def forward(mesh: Triangles = mesh, softness: float = softness) -> torch.Tensor:
            drawn = render_triangles(mesh, camera, softness=softness).rgb
            assert drawn is not None
            return drawn.sum()

        def both(forward: Callable[[], torch.Tensor] = forward) -> None:
            forward().backward()

        kind = "soft" if softness else "solid"
        for name, work in (("forward", forward), ("forward and backward", both)):
            how = f"render_triangles, {count:,} triangles, 640x480, least of 5"
            times = []
            for _ in range(5):
                start = time.perf_counter()
                work()
                times.append(time.perf_counter() - start)
            figures.append(figure(f"{kind} {name}", 1000 * min(times), "ms", None, how, -1))
    return figures
