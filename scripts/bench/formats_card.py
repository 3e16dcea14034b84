"""Figures of the scene formats: fidelity, size, speed, and what other programs make of them.

The other programs come from npm; ``SPLATKIT_NODE_MODULES`` names the ``node_modules`` of:

    npm install three@0.187 @sparkjsdev/spark@2.2.0 playcanvas@2.23 \\
        @playcanvas/splat-transform@3.7.0 gltf-validator@2.0.0-dev.3.10
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from figure import figure
from formats import COUNT, format_figures, measured_rows

from splatkit.core import UsageError, drain
from splatkit.export.convert import export_scene
from splatkit.export.prepare import ExportOptions
from splatkit.export.targets import TARGETS
from splatkit.io.registry import FORMATS

EXACT = 150.0
"""Decibels that stand for no difference at all."""
ALL = ("-m", "long or not long")
SUITES = {
    "every pair of formats": ("tests/io/test_pairs.py", "tests/io/test_format_pairs.py", *ALL),
    "damaged files": ("tests/io/test_format_fuzz.py", *ALL, "-s"),
    "splat-transform": ("tests/io/test_outside_programs.py", *ALL),
    "its GLB, its SOG and gltf-validator": ("tests/io/test_outside_gltf.py", *ALL),
    "plyfile, numpy, csv, glTF by hand, usd-core": ("tests/export/test_outside_readers.py",),
    "OpenUSD's schema and validators": ("tests/io/test_usd.py", "-k", "schema or validators"),
    "viewers in Chromium": ("tests/export/test_outside_viewers.py", *ALL, "-s"),
    "the page in Chromium": ("tests/io/test_html_browser.py", *ALL, "-s"),
    "info": ("tests/io/test_info.py",),
    "quick": ("tests/io", "tests/export"),
}
"""Tests whose passes are counted; a skipped one counts as not passed."""
QUICK_SECONDS = 180.0
"""What the quick tests may take."""
LEAST_PSNR = 35.0
"""Decibels between another program's picture and ours."""
LOOSE = "three sample.glb"
"""three.js cuts Gaussians where others do not: the line by its constants is the one that counts."""


def formats_figures(runs: Path, scene: Path | None) -> list[dict[str, Any]]:
    """All figures; ``scene`` is a trained one, by default the first of the trainings."""
    source = scene or next(
        (ply.parents[1] for ply in sorted(runs.glob("*/exports/scene.ply"))), None
    )
    if source is None:
        raise UsageError("formats: expected a trained scene, got none; name one with --scene RUN")
    figures = fidelity_figures(source)
    figures += format_figures(measured_rows(None, COUNT, None))
    for name, words in SUITES.items():
        figures += suite_figures(name, words)
    return figures


def fidelity_figures(source: Path) -> list[dict[str, Any]]:
    """Decibels and bytes of each format and target, by ``splatkit export``'s own check."""
    figures = []
    ways: list[tuple[str, str, str | None]] = [
        (form.name, f"a{form.suffix}", None) for form in FORMATS if form.write is not None
    ]
    ways += [(f"--target {name}", "a", name) for name in TARGETS]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, file, target in ways:
            how = f"splatkit export {source.name} {file}" + (
                f" --target {target}" if target else ""
            )
            done = drain(export_scene(source, Path(folder, file), ExportOptions(target=target)))
            assert done.proof is not None
            psnr = EXACT if done.proof.psnr is None else done.proof.psnr
            kept = float(done.proof.handedness == "kept")
            figures.append(figure(f"{name} PSNR", psnr, "dB", done.proof.least_psnr, how))
            figures.append(figure(f"{name} left and right", kept, "", 1.0, how))
            each = done.bytes / max(done.num_gaussians, 1)
            figures.append(figure(f"{name} size", each, "bytes", None, how, -1))
    return figures


def suite_figures(name: str, words: tuple[str, ...]) -> list[dict[str, Any]]:
    """How many tests of a file passed and how many did not, and the figures that they print."""
    command = [sys.executable, "-m", "pytest", "-q", *words]
    start = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env=os.environ | programs()
    )
    seconds, told = time.perf_counter() - start, done.stdout
    counts = {
        word: int(number) for number, word in re.findall(r"(\d+) (\w+)", told.splitlines()[-1])
    }
    bad = float(sum(counts.get(word, 0) for word in ("failed", "skipped", "errors", "error")))
    how = f"pytest {' '.join(words)}"
    figures = [
        figure(f"{name}: passed", float(counts.get("passed", 0)), "tests", 1.0, how),
        figure(f"{name}: failed or skipped", bad, "tests", 0.0, how, -1),
    ]
    damaged = [int(number) for number in re.findall(r": (\d+) damaged files", told)]
    if damaged:
        figures.append(figure("damaged files read", float(sum(damaged)), "files", 100_000.0, how))
    if name == "quick":
        figures.append(figure("quick tests", seconds, "s", QUICK_SECONDS, how, -1))
    for what, decibels in re.findall(r"(\w[^:\n]*): (\d+\.\d) dB", told):
        goal = None if what == LOOSE else LEAST_PSNR
        figures.append(figure(f"{what} in Chromium", float(decibels), "dB", goal, how))
    return figures


def programs() -> dict[str, str]:
    """Where the tests find the programs of ``SPLATKIT_NODE_MODULES``."""
    modules = os.environ.get("SPLATKIT_NODE_MODULES")
    if modules is None:
        return {}
    return {
        "SPLATKIT_SPLAT_TRANSFORM": str(Path(modules, "@playcanvas/splat-transform/bin/cli.mjs")),
        "SPLATKIT_GLTF_VALIDATOR": str(Path(modules, "gltf-validator")),
    }
