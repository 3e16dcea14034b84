"""Measure what the project promises: ``scripts/scorecard.py raster``, ``train``, ``formats`` ...

Prints a table, or with ``--json`` one document
``{name, machine, seconds, figures: [{id, value, unit, goal, pass, how}]}``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "bench"))


def raster(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Speed, memory and correctness of the rasterizer and the training step."""
    from speed import speed_figures

    return speed_figures()


def train(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Pictures of held-out photos, cameras and depth after whole trainings."""
    from train import train_figures

    return train_figures(options.runs, options.only)


def ingest(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Cameras of real photo sets, of the same made harder, of a flight and a video."""
    from ingest_card import ingest_figures

    return ingest_figures(options.runs, options.only)


def formats(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Fidelity, size and speed of every format, and what other programs make of the files."""
    from formats_card import formats_figures

    return formats_figures(options.runs, options.scene)


def triangles(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Pictures, shape and speed of meshes and of the triangle rasterizer."""
    from triangles_card import triangles_figures

    return triangles_figures(options.runs, options.scene, options.only)


def cuda(_: argparse.Namespace) -> list[dict[str, Any]]:
    """Compilation of the CUDA kernels; on a GPU their times, memory, and gsplat's beside them."""
    from gpu import figures_here

    return figures_here()


def viewer(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The viewer, from a camera move to the picture: alone, together, over a slow line."""
    from viewer import viewer_figures

    return viewer_figures(options.scene)


def upscale(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Upscaled pictures of trained scenes against plain renders: quality, rest, motion, speed."""
    from upscale import upscale_figures

    return upscale_figures(options.runs, options.only)


SCORECARDS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "raster": raster,
    "train": train,
    "ingest": ingest,
    "cuda": cuda,
    "formats": formats,
    "triangles": triangles,
    "viewer": viewer,
    "upscale": upscale,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SCORECARDS)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("build/scorecard"),
        help="folder of the trainings; finished ones are not repeated",
    )
    parser.add_argument("--only", default="", help="only what has a name containing this")
    parser.add_argument(
        "--scene",
        type=Path,
        help="of formats, triangles and viewer: a run folder; of formats also a scene file",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    figures = SCORECARDS[options.name](options)
    document = {
        "name": options.name,
        "machine": machine(),
        "seconds": round(time.perf_counter() - start, 1),
        "figures": figures,
    }
    print(json.dumps(document, indent=1) if options.json else table(document))
    sys.exit(0 if all(f["pass"] for f in figures) else 1)


def machine() -> dict[str, Any]:
    """Processor, cores, and its measured arithmetic and memory rates."""
    from machine import measure_machine

    return asdict(measure_machine())


def table(document: dict[str, Any]) -> str:
    """The figures as text for people."""
    rows = [("figure", "value", "goal", "", "how")]
    for f in document["figures"]:
        value = "-" if f["value"] is None else f"{f['value']:.4g} {f['unit']}"
        goal = "-" if f["goal"] is None else f"{f['goal']:.4g}"
        rows.append((f["id"], value, goal, "pass" if f["pass"] else "FAIL", f["how"]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join((*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]))
        for row in rows
    ]
    told = ", ".join(f"{key} {value}" for key, value in document["machine"].items())
    return "\n".join((*lines, "", f"{told}; {document['seconds']} s"))


if __name__ == "__main__":
    main()
