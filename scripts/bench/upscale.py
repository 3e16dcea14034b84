"""Figures of upscaling on trained scenes: ``scripts/scorecard.py upscale --runs FOLDER``.

Times are one thread's processor time, which does not depend on what else runs, or a GPU's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from figure import figure, figures_of
from gpu_upscale import neural_figures
from train import ONE_COLOR

from splatkit import _native
from splatkit.core import Cameras, Gaussians, SplatkitError, drain
from splatkit.enhance import UpscaleOptions, Upscaler
from splatkit.enhance.bench import USUAL, BenchOptions, bench_scene, table
from splatkit.enhance.network import SHAPES, WEIGHTS
from splatkit.enhance.per_scene import (
    SceneTraining,
    enlarged,
    on_screen,
    photo_size,
    train_for_scene,
)
from splatkit.enhance.small import small_view
from splatkit.enhance.spatial import hermite
from splatkit.export import OpenScene, open_scene
from splatkit.render import render
from splatkit.render.backends._cpu_ops import draw, project
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import BlendRequest
from splatkit.render.timing import synthetic_scene
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import load_views

SCENES = 3
BENCH = BenchOptions(modes=("bicubic", "fsr1", "hermite", "temporal", "neural"), ratios=(2.0, 3.0))
BENCH_M = replace(BENCH, modes=("neural",), network="m")
SIZE_4K = 3840, 2160
RUNS = 5
HOW = f"{SCENES} scenes, {BENCH.views} views, {BENCH.width}x{BENCH.height}"


def upscale_figures(runs: Path, only: str) -> list[dict[str, Any]]:
    """Figures of some parts: quality, rest, photos, networks, speed, gpu.

    Args:
        runs: folder of trainings; the first three with harmonics count.
        only: of the names of parts; all whose name contains it.

    Raises:
        SplatkitError: fewer than three scenes are there.
        UsageError: no part has such a name.
    """
    found = sorted(f.parents[1] for f in runs.glob("*/exports/scene.ply"))
    folders = [folder for folder in found if not folder.name.endswith(ONE_COLOR)]
    if len(folders) < SCENES:
        raise SplatkitError(
            f"{runs}: expected {SCENES} run folders or more, found {len(folders)}; make them with: "
            "scripts/scorecard.py train"
        )
    scenes = [open_scene(folder) for folder in folders[:SCENES]]
    parts: dict[str, Callable[[list[OpenScene]], list[dict[str, Any]]]] = {
        "quality": _quality_figures,
        "rest": _rest_figures,
        "photos": lambda scenes: [line for scene in scenes for line in _against_photos(scene)],
        "networks": lambda _: _network_figures(),
        "speed": _speed_figures,
        "gpu": lambda _: neural_figures(),
    }
    return figures_of({name: partial(part, scenes) for name, part in parts.items()}, only)


def _quality_figures(scenes: list[OpenScene]) -> list[dict[str, Any]]:
    """Against the plain render, still and in motion."""
    documents = [drain(bench_scene(scene, BENCH)) for scene in scenes]
    print(table(documents), file=sys.stderr)
    rows: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for document in documents:
        for row in document["rows"]:
            rows.setdefault((row["mode"], row["ratio"]), []).append(row)
    for scene in scenes:
        for row in drain(bench_scene(scene, BENCH_M))["rows"]:
            if row["mode"] == "neural":
                rows.setdefault(("neural m", row["ratio"]), []).append(row)

    def mean(field: str, mode: str, ratio: float) -> float:
        return statistics.fmean(row[field] for row in rows[mode, ratio])

    figures = []
    for ratio, least in ((2.0, 3.0), (3.0, 2.0)):
        value = mean("psnr", "hermite", ratio)
        over = value - mean("psnr", USUAL, ratio)
        figures.append(figure(f"hermite {ratio:g}x over bicubic, usual", over, "dB", least, HOW))
        figures.append(
            figure(f"hermite {ratio:g}x", value, "dB", 37.0 if ratio == 2 else None, HOW)
        )
        gain = mean("psnr", "neural", ratio) - value
        figures.append(figure(f"neural {ratio:g}x over hermite", gain, "dB", 0.5, HOW))
        over = mean("psnr", "neural", ratio) - mean("psnr", "fsr1", ratio)
        figures.append(figure(f"neural {ratio:g}x over FSR 1", over, "dB", 3.0, HOW))
        for mode in ("hermite", "temporal"):
            flicker = mean("warping", mode, ratio)
            figures.append(
                figure(f"{mode} {ratio:g}x warping error", flicker, "x plain", 1.1, HOW, sign=-1)
            )
        gain = mean("psnr", "neural m", ratio) - value
        figures.append(figure(f"neural m {ratio:g}x over hermite", gain, "dB", 0.5, HOW))
        fewer = mean("flip", "hermite", ratio) - mean("flip", "neural", ratio)
        figures.append(figure(f"neural {ratio:g}x, FLIP below hermite", fewer, "", 0.0, HOW))
    return figures


def _rest_figures(scenes: list[OpenScene]) -> list[dict[str, Any]]:
    return [
        figure(
            f"{scene.name} rest {ratio:g}x, largest error",
            _rest_error(scene, ratio),
            "1/255",
            1.0,
            f"one view of {BENCH.width}x{BENCH.height}, {ratio**2:g} frames",
            sign=-1,
        )
        for scene in scenes
        for ratio in (2.0, 3.0)
    ]


def _network_figures() -> list[dict[str, Any]]:
    sizes = {name: (WEIGHTS / f"{name}.safetensors").stat().st_size for name in SHAPES}
    return [
        figure(f"network {name}", size / 1e3, "kB", 100.0, "shipped file", sign=-1)
        for name, size in sizes.items()
    ]


def _speed_figures(scenes: list[OpenScene]) -> list[dict[str, Any]]:
    named = [("500k made up", *synthetic_scene(500_000, *SIZE_4K))]
    for scene in scenes:
        views = scene.cameras(*SIZE_4K)
        assert views is not None
        named.append((scene.name, scene.gaussians, views[len(views) // 2 :][:1].to(torch.float32)))
    figures = []
    for name, gaussians, camera in named:
        times = _times(gaussians, camera)
        for ratio, least in ((2.0, 1.5), (3.0, 2.2)):
            parts = ", ".join(f"{part} {ms:.0f}" for part, ms in times[ratio].items())
            speed = sum(times[1.0].values()) / sum(times[ratio].values())
            told = f"hermite, 4K, one thread, ms: {parts}"
            figures.append(figure(f"{name} {ratio:g}x", speed, "x plain", least, told))
    return figures


def _rest_error(scene: OpenScene, ratio: float) -> float:
    """Largest difference from the plain render after ratio^2 pictures at rest, in 1/255."""
    views = scene.cameras(BENCH.width, BENCH.height)
    assert views is not None
    camera = views[len(views) // 2 :][:1].to(torch.float32)
    upscaler = Upscaler(UpscaleOptions("temporal", ratio))
    picture = upscaler.frame(scene.gaussians, camera)
    for _ in range(int(ratio**2) - 1):
        picture = upscaler.frame(scene.gaussians, camera)
    with torch.no_grad():
        plain = render(scene.gaussians.to(picture.rgb.device), camera).rgb[0]
    return 255 * float((picture.rgb - plain).abs().max())


def _against_photos(scene: OpenScene) -> list[dict[str, Any]]:
    """What upscaling by 2 costs against held-out photos, by the plain render's PSNR, dB.

    Goals are of pictures of 1080 lines, to which the photos are enlarged. At the photos' own size,
    beside them, a small picture has a fourth of the pixels that the photo has details in.
    """
    photos = [photo for photo in scene.photos if photo.held_out]
    views = drain(load_views(photos, photo_size, scene.background))
    background = torch.tensor(scene.background)
    upscalers = {name: Upscaler(UpscaleOptions(name)) for name in ("off", "hermite", "neural")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.safetensors"
        told = drain(train_for_scene(scene, file, SceneTraining(target="photos")))
        network = str(file) if told["kept"] else SceneTraining.start
        upscalers["fitted"] = Upscaler(UpscaleOptions("neural", network=network))
        scores: dict[tuple[str, str], list[float]] = {}
        for view in views:
            truth, mask = view.truth(torch.device("cpu"))
            for size in ("own size", "1080p"):
                camera = view.camera
                if size == "1080p":
                    camera = on_screen(camera)
                    truth = enlarged(truth, camera)
                    mask = None if mask is None else enlarged(mask[..., None], camera)[..., 0] > 0.5
                for name, upscaler in upscalers.items():
                    shown = upscaler.frame(scene.gaussians, camera, background=background).rgb.cpu()
                    score = psnr(to_8bit(shown), truth, mask)
                    scores.setdefault((name, size), []).append(score)
    goals = {"hermite": -0.1, "neural": -0.1, "fitted": 0.0}
    names = {"fitted": "neural, fitted to photos,"}
    tried = told["psnr"]
    why = f"{tried['trained']:.2f} dB on held-out pieces, {tried['start']:.2f} before"
    notes = {"fitted": f"; {why}: {'kept' if told['kept'] else 'not kept, as shipped'}"}
    lines = []
    for (name, size), found in scores.items():
        plain = statistics.fmean(scores["off", size])
        if name == "off":
            continue
        lines.append(
            figure(
                f"{scene.name} 2x {names.get(name, name)} against photos, {size}",
                statistics.fmean(found) - plain,
                "dB",
                goals[name] if size == "1080p" else None,
                f"{len(views)} held-out photos; the plain render has {plain:.2f} dB"
                f"{notes.get(name, '')}",
            )
        )
    return lines


def _times(gaussians: Gaussians, camera: Cameras) -> dict[float, dict[str, float]]:
    """Median milliseconds of the parts of a plain picture (1) and of upscaled ones."""
    before = _native.num_threads()
    _native.set_num_threads(1)
    work, out = _native.Blending(), torch.empty(camera.height, camera.width, 3)
    runs: dict[float, list[dict[str, float]]] = {1.0: [], 2.0: [], 3.0: []}
    for _ in range(RUNS):
        for ratio, found in runs.items():
            view = small_view(camera, ratio)
            seen = camera if ratio == 1 else view.camera
            request = BlendRequest(gradient=ratio > 1)
            marks = [time.thread_time()]
            with torch.no_grad():
                frame = None if ratio == 1 else view.frame
                options = ProjectOptions(eps2d=view.eps2d, frame=frame)
                splats = project(gaussians, seen, options)
            marks.append(time.thread_time())
            given = (splats.records, splats.gaussian_ids, splats.camera_ids)
            _native.bin(work, *given, 1, seen.width, seen.height)
            marks.append(time.thread_time())
            small = draw(work, splats, torch.zeros(1, 3), request=request)
            marks.append(time.thread_time())
            if small.rgb_dx is not None and small.rgb_dy is not None:
                images = (small.rgb[0], small.rgb_dx[0], small.rgb_dy[0])
                hermite(*images, view.placing, camera.width, camera.height, out)
            marks.append(time.thread_time())
            projected, binned, drawn, made = (1e3 * (b - a) for a, b in pairwise(marks))
            # Drawing sorts into tiles once more.
            found.append(
                {"project+sort": projected + binned, "blend": drawn - binned, "reconstruct": made}
            )
    _native.set_num_threads(before)
    return {
        ratio: {part: statistics.median(run[part] for run in found) for part in found[0]}
        for ratio, found in runs.items()
    }
