"""Figures of whole trainings: the sample against its truth, and the real photo sets.

Every training is one call of ``splatkit train`` in a process of its own. Its run folder stays,
and a run that has its ``eval/stats.json`` is read instead of repeated, so that a stopped
scorecard goes on where it was. Delete the folder to measure again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figure import figure
from PIL import Image
from robust import forecast_figure, robust_figures, worst_forecast

from splatkit.core import Cameras, intrinsics
from splatkit.core.scene import camera_of
from splatkit.io.files import read_json
from splatkit.io.registry import read_gaussians
from splatkit.io.scene import load_scene
from splatkit.render import render

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
LONG_SIDE = "640"
POSE_GOAL, DEPTH_GOAL = 0.003, 0.02
EXACT_POSES = ("--preset", "draft", "--resize", LONG_SIDE)
"""Fixed steps, which two quiet cores do in less than ten minutes; results do not hang on load."""
ONE_COLOR, SURFACE = "-one-color", "-surface"
"""Ends of the names of trainings without harmonics, and with ``--surface``."""
SHORT_SECONDS, RUNS_OF_SHORT = 150.0, 3
"""What else a machine does for some seconds decides about the forecasts of a short run: it runs so
often, and the median counts."""


@dataclass(frozen=True)
class Training:
    """One training that the scorecard promises."""

    name: str
    source: str
    """Folder of photos, relative to SPLATKIT_DATA."""
    options: tuple[str, ...] = ()
    model: str | None = None
    """COLMAP model to take cameras from, relative to SPLATKIT_DATA."""
    goal: float | None = None
    """Least mean PSNR over held-out photos, dB; of ``photo`` where that is given."""
    photo: str | None = None
    """The one held-out photo that the goal is about."""


END_TO_END = tuple(
    Training(f"{name}-end-to-end", f"{name}/{photos}", ("--preset", "draft"))
    for name, photos in (
        ("fox", "images"), ("kitchen", "images"), ("llff_fern", "images"),
        ("banana", "images"), ("sceaux", "images"), ("lego400", "."),
    )
)  # fmt: skip
TEN_MINUTES = (
    Training("fox", "fox/images", EXACT_POSES, "fox/sparse_ref/0", 27.0),
    Training("kitchen", "kitchen/images", EXACT_POSES, "kitchen/sparse_ref/0", 20.5),
    Training("llff_fern", "llff_fern/images", EXACT_POSES, "llff_fern/sparse_ref/0", 23.5),
    Training("banana", "banana/images", EXACT_POSES, "banana/sparse_ref/0", 28.0),
    Training("sceaux", "sceaux/images", EXACT_POSES, "sceaux/sparse_ref/0", 23.0, "100_7108"),
    Training("lego400", "lego400", (*EXACT_POSES, "--iterations", "8000"), None, 32.0),
)
HALVED = tuple(
    Training(f"{name}-default", f"{name}/images", (), f"{name}/sparse_ref/0")
    for name in ("banana", "llff_fern", "kitchen", "fox")
)
"""With every default, and again with half of the Gaussians that the default is on this machine."""
MOST_LOST_HALF = 0.3
"""dB that half of the Gaussians may cost."""


def train_once(name: str, source: Path, options: tuple[str, ...], runs: Path) -> dict[str, Any]:
    """The statistics of a run, made now or found; ``command`` and ``seconds`` stand with them."""
    run = runs / name
    words = ["splatkit", "train", str(source), "-o", str(run), *options]
    told = run / "scorecard.json"
    if not (told.is_file() and (run / "eval" / "stats.json").is_file()):
        start = time.perf_counter()
        resume = ["--resume"] if (run / "config.json").is_file() else []
        call = [sys.executable, "-m", *words, *resume]
        # Standard output is the scorecard's own.
        done = subprocess.run(call, stdout=sys.stderr, check=False)
        if done.returncode:
            return {"error": f"exit code {done.returncode}", "command": " ".join(words)}
        told.write_text(
            json.dumps({"command": " ".join(words), "seconds": time.perf_counter() - start})
        )
    return json.loads((run / "eval" / "stats.json").read_text()) | json.loads(told.read_text())


def training_figure(training: Training, runs: Path) -> dict[str, Any]:
    """PSNR of one training on a real photo set, or why there is none."""
    data = os.environ.get("SPLATKIT_DATA")
    figure_id = f"psnr {training.name}"
    if not data or not (Path(data) / training.source).exists():
        why = f"photo set not found under SPLATKIT_DATA={data}; see data/README.md"
        return figure(figure_id, None, "dB", training.goal, why)
    stats = _trained(training, training.name, Path(data), runs)
    if "error" in stats:
        return figure(figure_id, None, "dB", training.goal, f"{stats['error']}: {stats['command']}")
    values = [p["psnr"] for p in stats["per_photo"] if (training.photo or "") in p["name"]]
    photos = stats["photos"]
    how = (
        f"{stats['command']}; {len(values)} of {photos['held_out']} held-out photos, "
        f"{photos['registered']} of {photos['found']} photos placed, "
        f"{stats['num_gaussians']} Gaussians, {stats['iterations']} steps, "
        f"ingest {stats['seconds_ingest']:.0f} s, training {stats['seconds_train']:.0f} s"
    )
    value = float(np.mean(values)) if values else None
    return figure(figure_id, value, "dB", training.goal, how)


def _trained(training: Training, name: str, data: Path, runs: Path) -> dict[str, Any]:
    options = training.options
    if training.model:
        options = (*options, "--model", str(data / training.model))
    return train_once(name, data / training.source, options, runs)


def halved_figure(training: Training, runs: Path) -> dict[str, Any]:
    """What half of the Gaussians costs on held-out photos."""
    whole = training_figure(training, runs)
    name = training.name.replace("-default", "")
    figure_id = f"dB lost with half of the Gaussians, {name}"
    if whole["value"] is None:
        return whole | {"id": figure_id, "goal": MOST_LOST_HALF}
    told = read_json(runs / training.name / "config.json")["max_gaussians"]
    fewer = ("--max-gaussians", str(told // 2))
    half = training_figure(
        replace(training, name=f"{name}-half", options=(*training.options, *fewer)), runs
    )
    if half["value"] is None:
        return half | {"id": figure_id, "goal": MOST_LOST_HALF}
    how = f"{half['how']}: {half['value']:.2f} dB; with {told:,} {whole['value']:.2f} dB"
    return figure(figure_id, whole["value"] - half["value"], "dB", MOST_LOST_HALF, how, -1)


def training_forecast(training: Training, runs: Path) -> dict[str, Any]:
    """How right the remaining time of a finished training was; a short one runs again for it."""
    logs = [runs / training.name / "log.jsonl"]
    if worst_forecast(logs[0])[1] < SHORT_SECONDS:
        for number in range(2, RUNS_OF_SHORT + 1):
            name = f"{training.name}-{number}"
            _trained(training, name, Path(os.environ["SPLATKIT_DATA"]), runs)
            logs.append(runs / name / "log.jsonl")
    return forecast_figure(training.name, *logs)


def sample_figures(runs: Path) -> list[dict[str, Any]]:
    """The sample, end to end: held-out PSNR, camera positions and depth against the truth."""
    stats = train_once("sample", SAMPLE / "photos", ("--preset", "draft"), runs)
    if "error" in stats:
        return [figure("psnr sample", None, "dB", 27.0, f"{stats['error']}: {stats['command']}")]
    how = f"{stats['command']}; whole run {stats['seconds']:.0f} s"
    pose, depth = truth_errors(runs / "sample")
    memory = stats["peak_memory_bytes"] / 1e9
    return [
        figure("psnr sample", stats["mean"]["psnr"], "dB", 27.0, how),
        figure("pose error sample", pose, "of the extent", POSE_GOAL, "RMS of camera centres", -1),
        figure("depth error sample", depth, "of the depth", DEPTH_GOAL, "median over pixels", -1),
        figure("peak memory sample", memory, "GB", None, "whole run, evaluation included", -1),
        forecast_figure("sample", runs / "sample" / "log.jsonl"),
    ]


def truth_errors(run: Path) -> tuple[float, float]:
    """Errors of a run on the sample: camera centres (RMS over the extent), depth (median ratio)."""
    truth = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
    viewmats = {f["name"]: torch.tensor(f["viewmat"], dtype=torch.float64) for f in truth["frames"]}
    scene = load_scene(run / "scene")
    names = [p.name for p in scene.photos if p.name in viewmats]
    true = torch.stack([-viewmats[n][:3, :3].mT @ viewmats[n][:3, 3] for n in names])
    found = torch.stack([camera_of(p).positions[0] for p in scene.photos if p.name in viewmats])
    scale, rotation, shift = similarity(true, found)
    aligned = scale * true @ rotation.mT + shift
    extent = float((found - found.mean(0)).norm(dim=-1).max())
    pose = float((aligned - found).square().sum(-1).mean().sqrt()) / extent

    gaussians = read_gaussians(run / "exports" / "scene.ply")
    divisor = truth["depth"]["divisor"]
    width, height = truth["width"] // divisor, truth["height"] // divisor
    K = intrinsics(truth["fx"], truth["fy"], truth["cx"], truth["cy"])
    ratios = []
    for name in names:
        path = SAMPLE / "truth" / "depth" / Path(name).with_suffix(".png").name
        metres = torch.from_numpy(np.array(Image.open(path)).astype(np.float32))
        metres = metres * truth["depth"]["unit_metres"]
        view = torch.eye(4, dtype=torch.float64)
        view[:3, :3] = viewmats[name][:3, :3] @ rotation.mT
        center = scale * true[names.index(name)] @ rotation.mT + shift
        view[:3, 3] = -view[:3, :3] @ center
        camera = Cameras(view[None].float(), K[None].float(), truth["width"], truth["height"])
        camera = camera.resized(width, height)
        rendered = render(gaussians, camera, outputs=("depth_median",))
        assert rendered.depth_median is not None
        seen = (rendered.alpha[0] > 0.5) & (metres > 0)
        ratios.append((rendered.depth_median[0][seen] / (scale * metres[seen]) - 1).abs())
    return pose, float(torch.cat(ratios).median())


def similarity(
    source: torch.Tensor, target: torch.Tensor
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Scale, rotation and shift that take points [N,3] nearest to others (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, singular, vt = torch.linalg.svd(b.mT @ a)
    signs = torch.ones(3, dtype=a.dtype)
    signs[2] = torch.sign(torch.linalg.det(u @ vt))
    rotation = u @ torch.diag(signs) @ vt
    scale = float((singular * signs).sum() / a.square().sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def train_figures(runs: Path, only: str = "") -> list[dict[str, Any]]:
    """Figures of the training that ``only`` names, or of all whose name contains it."""
    figures = sample_figures(runs) if only in "sample" and (SAMPLE / "photos").is_dir() else []
    known = (*END_TO_END, *TEN_MINUTES, *HALVED)
    trainings = [t for t in known if t.name == only] or [t for t in known if only in t.name]
    if only in "robust":
        figures += robust_figures(runs)
    for training in trainings:
        measured = halved_figure if training in HALVED else training_figure
        figures.append(measured(training, runs))
        if training in TEN_MINUTES and figures[-1]["value"] is not None:
            figures.append(training_forecast(training, runs))
    return figures
