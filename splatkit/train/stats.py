"""``eval/stats.json``: what came out of a run, in figures that were measured."""

from __future__ import annotations

from dataclasses import asdict, fields
from statistics import fmean
from typing import Any

from splatkit import __version__
from splatkit.core import Scene
from splatkit.train.evaluate import Comparison
from splatkit.train.machine import device_name, peak_memory_bytes

FIGURES = tuple(f.name for f in fields(Comparison) if f.name != "name")
"""What is measured on each photo: psnr, ssim, psnr_cc, ssim_cc, lpips."""


def make_stats(
    name: str,
    scene: Scene,
    results: list[Comparison],
    run: dict[str, Any],
) -> dict[str, Any]:
    """The statistics document.

    Args:
        name: what the scene is called.
        scene: its photos, for the counts.
        results: comparisons of the held-out photos that have a camera.
        run: backend, iterations, seconds_ingest, seconds_train, num_gaussians, seed and
            export_psnr.
    """
    held_out = len(scene.held_out_photos)
    return {
        "scene": name,
        "device": device_name(),
        **run,
        "peak_memory_bytes": peak_memory_bytes(),
        "photos": {
            "found": len(scene.photos) + len(scene.missing),
            "registered": len(scene.photos),
            "held_out": held_out + len(scene.missing_held_out),
            "held_out_registered": held_out,
        },
        **compared(results),
        "version": __version__,
    }


def compared(results: list[Comparison]) -> dict[str, Any]:
    """The part of the document that comparisons give: means and figures by photo.

    A figure is null where there is nothing to compare or its weights are not at hand.
    """
    photos = [asdict(result) for result in results]

    def mean(figure: str) -> float | None:
        values = [photo[figure] for photo in photos]
        return fmean(values) if values and None not in values else None

    return {"mean": {figure: mean(figure) for figure in FIGURES}, "per_photo": photos}
