"""Figures of the triangles: pictures and shape of both products, other programs, and the op."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figure import figure
from formats_card import suite_figures
from geometry import surface_errors
from mesh_fps import Options as FpsOptions
from mesh_fps import fps_figures
from triangle_speed import Options as SpeedOptions
from triangle_speed import speed_figures

from splatkit.core import UsageError, drain
from splatkit.io.scene import load_scene
from splatkit.mesh.options import MeshOptions
from splatkit.mesh.pipeline import LEAST_REIMPORT_PSNR, make_mesh, read_surface
from splatkit.train.run_folder import RunFolder

TRUTH = Path(__file__).parents[2] / "data" / "sample" / "truth"
BEHIND = {"surface": 4.0, "splats": 2.0}
"""dB that a product may lie behind Gaussians of one colour for all directions, trained on the same
photos for the same time."""
TIME_LIMIT = "20m"


def triangles_figures(runs: Path, scene: Path | None, only: str = "") -> list[dict[str, Any]]:
    """Figures of the parts whose name contains ``only``.

    Args:
        runs: folder of trainings.
        scene: a run of the sample; the first of the trainings when None.
        only: part of a name: surface, splats, programs, frames or op.
    """
    run = scene or next((p.parents[1] for p in sorted(runs.glob("*/exports/scene.ply"))), None)
    if run is None:
        raise UsageError("triangles: expected a run folder, got none; name one with --scene RUN")
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "surface": lambda: _product(runs, run, "surface"),
        "splats": lambda: _product(runs, run, "splats"),
        "programs": _program_figures,
        "frames": lambda: _frame_figures(run),
        "op": _op_figures,
    }
    return [line for name, part in parts.items() if only in name for line in part()]


def _one_color(runs: Path, run: Path) -> float:
    """Held-out PSNR of Gaussians without harmonics, trained on a run's photos and cameras."""
    out = runs / f"{run.name}-one-color"
    if not RunFolder(out).stats.is_file():
        words = ("train", run, "-o", out, "--sh-degree", "0", "--time-limit", TIME_LIMIT)
        # Standard output is the scorecard's own.
        subprocess.run([sys.executable, "-m", "splatkit", *words], stdout=sys.stderr, check=True)
    return float(json.loads(RunFolder(out).stats.read_text())["mean"]["psnr"])


def _product(runs: Path, run: Path, mode: str) -> list[dict[str, Any]]:
    how = f"splatkit mesh {run.name} --mode {mode} --preset high --time-limit {TIME_LIMIT}"
    shape = {"collision": 5000, "convex": 32} if mode == "surface" else {}
    options = MeshOptions(mode=mode, preset="high", time_limit=TIME_LIMIT, **shape)  # pyright: ignore
    made = drain(make_mesh(run, None, options))
    stats = made.stats
    behind = _one_color(runs, run) - stats["mean"]["psnr"]
    figures = [
        figure(f"{mode} PSNR, held-out photos", stats["mean"]["psnr"], "dB", None, how),
        figure(f"{mode} behind Gaussians of degree 0", behind, "dB", BEHIND[mode], how, -1),
        figure(f"{mode} read again", stats["reimport_psnr"], "dB", LEAST_REIMPORT_PSNR, how),
        figure(f"{mode} triangles", float(stats["triangles"]), "", 200_000.0, how, -1),
        figure(f"{mode} seconds", stats["seconds"], "s", 1200.0, how, -1),
        figure(f"{mode} median edge", stats["median_edge_pixels"], "pixels", None, how),
    ]
    if mode == "surface":
        crowded = float(stats["non_manifold_edges"])
        figures.append(figure("surface non-manifold edges", crowded, "", 0.0, how, -1))
        closed = float(stats["collision"]["watertight"] and stats["collision"]["convex"])
        more = f"{how} --collision 5000 --convex 32"
        figures.append(figure("collision watertight, pieces convex", closed, "", 1.0, more))
        errors = surface_errors(read_surface(made.path)[0], load_scene(RunFolder(run).scene), TRUTH)
        against = f"{how}, against data/sample/truth"
        chamfer = 100 * errors["chamfer"]
        figures.append(figure("surface Chamfer", chamfer, "% of diagonal", 0.5, against, -1))
        figures.append(figure("surface F1 at 1%", errors["f1"], "", 0.85, against))
    return figures


def _program_figures() -> list[dict[str, Any]]:
    """Whether each outside program finds in a file what was put into it, and its version."""
    figures = []
    for program in ("Blender", "Godot", "assimp", "trimesh", "three.js"):
        words = ("tests/mesh/test_outside_programs.py", "-m", "long", "-k", f"right and {program}")
        command = [sys.executable, "-m", "pytest", "-q", "-rPs", *words]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
        version = re.search(rf"^{re.escape(program)} .*", told, re.MULTILINE)
        passed = None if version is None else float("1 passed" in told)
        how = f"{version[0] if version else f'{program} is not here'}: size, axes, material"
        figures.append(figure(f"{program} reads the file", passed, "", 1.0, how))
    figures += suite_figures(
        "three.js and OpenGL", ("tests/mesh/test_outside_renderers.py", "-m", "long")
    )
    folders = ("tests/mesh/", "tests/export/test_bundle.py")
    return figures + suite_figures("gltf-validator", (*folders, "-m", "long", "-k", "khronos"))


def _frame_figures(run: Path) -> list[dict[str, Any]]:
    """Frames a second of the meshes that the run has."""
    files = [run / "mesh" / f"{mode}.glb" for mode in BEHIND]
    return [line for file in files if file.is_file() for line in fps_figures(FpsOptions(run, file))]


def _op_figures() -> list[dict[str, Any]]:
    words = ("tests/render/test_triangles.py",)
    return suite_figures("the op: gradients and parity", words) + speed_figures(SpeedOptions())
