"""Figures of the triangles: pictures and shape of both products, other programs, and the op."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from figure import figure, figures_of
from file_pictures import Options as PictureOptions
from file_pictures import picture_figures
from formats_card import suite_figures
from geometry import surface_errors
from mesh_fps import Options as FpsOptions
from mesh_fps import fps_figures
from train import ONE_COLOR, SAMPLE, SURFACE, train_once
from triangle_speed import Options as SpeedOptions
from triangle_speed import speed_figures

from splatkit.core import drain
from splatkit.io.files import read_json
from splatkit.io.scene import load_scene
from splatkit.mesh.options import MeshOptions
from splatkit.mesh.pipeline import LEAST_REIMPORT_PSNR, MeshMade, make_mesh, read_surface
from splatkit.train.run_folder import RunFolder

REAL = tuple(f"{name}{end}" for name in ("fox", "kitchen", "llff_fern", "banana")
             for end in ("", SURFACE))  # fmt: skip
BEHIND = {"surface": 4.0, "splats": 2.0}
"""dB that a product may lie behind Gaussians of one colour for all directions, trained on the same
photos with the same settings."""
PRESET, TIME_LIMIT = "standard", "10m"
MOST_TRIANGLES, MOST_SECONDS = 200_000, 1200.0


def triangles_figures(runs: Path, scene: Path | None, only: str = "") -> list[dict[str, Any]]:
    """Figures of the parts whose name contains ``only``.

    Args:
        runs: folder of trainings; each set of ``REAL`` in it makes a part "NAME surface" and one
            "NAME splats", and for the files of these "NAME surface pictures" and so on.
        scene: a run of the sample, for its true mesh; when None ``sample`` in that folder, trained
            if it is not there.
        only: part of a name; the others are sample, programs, frames and op.

    Raises:
        UsageError: no part has such a name.
    """
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {}
    for name in REAL:
        if RunFolder(runs / name).ply.is_file():
            for mode in BEHIND:
                run = runs / name
                parts[f"{name} {mode}"] = partial(_product, run, mode)
                parts[f"{name} {mode} pictures"] = partial(_picture_figures, run, mode)
    parts |= {
        "sample": lambda: _shape_figures(runs, scene),
        "programs": _program_figures,
        "frames": lambda: _frame_figures(runs),
        "op": _op_figures,
    }
    return figures_of(parts, only)


def _made(run: Path, mode: str, **shape: int) -> tuple[MeshMade, str]:
    """A product of a run, and the command that makes it."""
    words = f"splatkit mesh {run.name} --mode {mode} --preset {PRESET} --time-limit {TIME_LIMIT}"
    how = " ".join((words, *(f"--{name} {value}" for name, value in shape.items())))
    options = MeshOptions(mode=mode, preset=PRESET, time_limit=TIME_LIMIT, **shape)  # pyright: ignore
    return drain(make_mesh(run, None, options)), how


def _one_color(run: Path) -> float:
    """Held-out PSNR of Gaussians without harmonics, trained with a run's preset, size and steps."""
    out = run.with_name(f"{run.name}{ONE_COLOR}")
    if not RunFolder(out).stats.is_file():
        told = read_json(RunFolder(run).config)
        steps = read_json(RunFolder(run).stats)["iterations"]
        words = ["train", run, "-o", out, "--sh-degree", "0", "--iterations", steps]
        for name in ("preset", "resize"):
            words += [] if told[name] is None else [f"--{name}", told[name]]
        command = [sys.executable, "-m", "splatkit", *map(str, words)]
        # Standard output is the scorecard's own.
        subprocess.run(command, stdout=sys.stderr, check=True)
    return float(read_json(RunFolder(out).stats)["mean"]["psnr"])


def _product(run: Path, mode: str) -> list[dict[str, Any]]:
    """How near a product comes to the photos of a run."""
    stats = (made := _made(run, mode))[0].stats
    one_color, name, how = _one_color(run), f"{run.name} {mode}", made[1]
    behind = one_color - stats["mean"]["psnr"]
    beside = f"{how}; Gaussians of degree 0 have {one_color:.2f} dB"
    limit = float(MOST_TRIANGLES)
    return [
        figure(f"{name} PSNR, held-out photos", stats["mean"]["psnr"], "dB", None, how),
        figure(f"{name} behind Gaussians", behind, "dB", BEHIND[mode], beside, -1),
        figure(f"{name} read again", stats["reimport_psnr"], "dB", LEAST_REIMPORT_PSNR, how),
        figure(f"{name} triangles", float(stats["triangles"]), "", limit, how, -1),
        figure(f"{name} seconds", stats["seconds"], "s", MOST_SECONDS, how, -1),
        figure(f"{name} median edge", stats["median_edge_pixels"], "pixels", None, how),
    ]


def _picture_figures(run: Path, mode: Any) -> list[dict[str, Any]]:
    """How a product's file looks in other programs."""
    return picture_figures(PictureOptions(run, mode))


def _shape_figures(runs: Path, scene: Path | None) -> list[dict[str, Any]]:
    """How near the surface of the sample comes to the true mesh, and what physics gets."""
    run = scene or runs / f"sample{SURFACE}"
    if scene is None:
        words = ("--preset", "draft", "--surface")
        told = train_once(run.name, SAMPLE / "photos", words, runs)
        if "error" in told:
            return [figure("surface Chamfer", None, "% of diagonal", 0.5, told["error"], -1)]
    made, how = _made(run, "surface", collision=5000, convex=32)
    truth = SAMPLE / "truth"
    errors = surface_errors(read_surface(made.path)[0], load_scene(RunFolder(run).scene), truth)
    against = f"{how}, against data/sample/truth"
    crowded = float(made.stats["non_manifold_edges"])
    told = made.stats["collision"]
    closed = float(told["watertight"] and told["convex"])
    return [
        figure("surface Chamfer", 100 * errors["chamfer"], "% of diagonal", 0.5, against, -1),
        figure("surface F1 at 1%", errors["f1"], "", 0.85, against),
        figure("surface non-manifold edges", crowded, "", 0.0, how, -1),
        figure("collision watertight, pieces convex", closed, "", 1.0, how),
    ]


def _program_figures() -> list[dict[str, Any]]:
    """Whether each outside program finds in a file what was put into it, and its version."""
    figures = []
    for program in ("Blender", "Godot", "assimp", "trimesh", "three.js"):
        words = ("tests/mesh/test_outside_programs.py", "-m", "long", "-k", f"right and {program}")
        command = [sys.executable, "-m", "pytest", "-q", "-rPs", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        version = re.search(rf"^{re.escape(program)} .*", done.stdout, re.MULTILINE)
        passed = None if version is None else float(done.returncode == 0)
        how = f"{version[0] if version else f'{program} is not here'}: size, axes, material"
        figures.append(figure(f"{program} reads the file", passed, "", 1.0, how))
    figures += suite_figures(
        "three.js and OpenGL", ("tests/mesh/test_outside_renderers.py", "-m", "long")
    )
    folders = ("tests/mesh/", "tests/export/test_bundle.py")
    return figures + suite_figures("gltf-validator", (*folders, "-m", "long", "-k", "khronos"))


def _frame_figures(runs: Path) -> list[dict[str, Any]]:
    """Frames a second of the meshes that runs have."""
    files = [(file.parents[1], file) for mode in BEHIND for file in runs.glob(f"*/mesh/{mode}.glb")]
    return [
        line for run, file in files if file.is_file() for line in fps_figures(FpsOptions(run, file))
    ]


def _op_figures() -> list[dict[str, Any]]:
    words = ("tests/render/test_triangles.py",)
    return suite_figures("the op: gradients and parity", words) + speed_figures(SpeedOptions())
