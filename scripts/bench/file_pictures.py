"""How a mesh file looks in other people's programs, from the cameras of photos held out.

    python scripts/bench/file_pictures.py RUN [--mode splats] [--json]

three.js in Chromium and OpenGL draw ``RUN/mesh/MODE.glb``; their pictures stand beside our own and
beside the photos. ``SPLATKIT_NODE_MODULES`` is a ``node_modules`` folder: npm install three@0.187.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

import pytest
import torch
import tyro
from figure import figure, print_figures
from machine import measure_machine
from torch import Tensor

from splatkit.core import UsageError, drain
from splatkit.io import mesh_glb
from splatkit.mesh.pipeline import draw
from splatkit.train.behind import trained_scene
from splatkit.train.evaluate import compare
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import View, load_views
from splatkit.train.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.mesh.outside import opengl, three  # noqa: E402

LEAST = {"surface": 48.0, "splats": 40.0}
"""dB between another program's picture and ours."""
AGREE = 1.0
"""dB that splats may be farther from our picture than two other programs are from each other: their
edges are everywhere, and each program has its own samples."""
OFF_PHOTOS = 0.3
"""dB between our PSNR against the photos and another program's."""


@dataclass(frozen=True)
class Options:
    """What to compare."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """The run folder, for the mesh, the photos and their cameras."""
    mode: Literal["surface", "splats"] = "surface"
    """Which product."""
    json: bool = False
    """Print one JSON object."""


def picture_figures(options: Options) -> list[dict[str, Any]]:
    """The least PSNR of each pair over the photos held out, and what differs against these."""
    file = options.run / "mesh" / f"{options.mode}.glb"
    name, how = f"{options.run.name} {options.mode}", f"file_pictures.py {file.name}"
    least = LEAST[options.mode]
    mesh, views = mesh_glb.read(file), _held_out(options.run)
    cameras = [view.camera for view in views]
    ours = [draw(mesh, view, torch.zeros(3)).clamp(0, 1) for view in views]
    try:
        with three(file) as drawn_by_three:
            others = {"three.js": [drawn_by_three(camera) for camera in cameras]}
        others["OpenGL"] = opengl(mesh, cameras)
    except pytest.skip.Exception as missing:
        return [figure(f"{name} in three.js and OpenGL", None, "dB", least, str(missing))]
    agreed = _least(*others.values())
    told = f"{how}, least of {len(views)} held-out photos"
    figures = [figure(f"{name}, three.js and OpenGL", agreed, "dB", None, told)]
    if options.mode == "splats":
        least = min(least, agreed - AGREE)
    near = _against_photos(ours, views)
    for other, pictures in others.items():
        theirs = _against_photos(pictures, views)
        beside = f"{how}: {theirs:.2f} dB, ours {near:.2f}"
        off = f"{name}, {other} against the photos"
        figures += [
            figure(f"{name}, {other} and ours", _least(ours, pictures), "dB", least, told),
            figure(off, abs(theirs - near), "dB from ours", OFF_PHOTOS, beside, -1),
        ]
    return figures


def _held_out(run: Path) -> list[View]:
    """A run's photos held out, of the size that it was trained at.

    Raises:
        UsageError: there are none, or the programs' black is not what is behind the scene.
    """
    scene, config = trained_scene(RunFolder(run))
    if not scene.held_out_photos or any(scene.background or ()):
        raise UsageError(f"{run}: expected photos held out, of a scene before black or none")
    return drain(load_views(scene.held_out_photos, config.picture_size, scene.background))


def _least(some: list[Tensor], others: list[Tensor]) -> float:
    return min(map(psnr, some, others))


def _against_photos(pictures: list[Tensor], views: list[View]) -> float:
    """Mean PSNR of pictures [H,W,3] against photos."""
    return fmean(
        compare(view.name, to_8bit(picture), *view.truth(picture.device)).psnr
        for picture, view in zip(pictures, views, strict=True)
    )


def main(options: Options) -> None:
    """Measure and print."""
    print_figures(picture_figures(options), str(measure_machine()), options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
