"""Any scene file against any photos: ``splatkit eval --scene other.ply --photos DIR``."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Gaussians, Note, Scene, UsageError
from splatkit.ingest import ingest
from splatkit.ingest.split import read_split
from splatkit.io.registry import read_gaussians
from splatkit.io.scene import SCENE_FILE, load_scene
from splatkit.render import get_backend, set_threads
from splatkit.render.backends import Backend
from splatkit.train.config import TrainConfig
from splatkit.train.evaluate import at_backend, evaluate, render_view
from splatkit.train.machine import describe_machine, gpu_figures
from splatkit.train.metrics import psnr
from splatkit.train.photos import View, load_views
from splatkit.train.report import publish
from splatkit.train.run_folder import RunFolder
from splatkit.train.stats import make_stats

Frame = Literal["auto", "world", "source"]
_TRIAL_VIEWS = 3
_CLEARLY_BETTER = 1.0
"""dB by which the photos have to speak for the source's frame."""
_ASTRAY = 12.0
"""dB below which a scene hardly shows what the photos do."""


@dataclass(frozen=True)
class ScoreOptions:
    """How a scene is compared with photos it may never have seen."""

    frame: Frame = "auto"
    """Where the scene's coordinates are at home: ``world`` is that of splatkit's scene folders,
    ``source`` that of the cameras that came with the photos (COLMAP's, the file's), in which other
    trainers write; ``auto`` takes the one that shows the photos better."""


def for_results(out: Path) -> RunFolder:
    """The folder that results may be written to.

    Raises:
        UsageError: it is that of a training.
    """
    folder = RunFolder(out)
    if folder.checkpoints.exists() or folder.config.exists():
        raise UsageError(
            f"{out}: expected a folder for results, got that of a training; choose another with -o"
        )
    return folder


def score(
    scene_file: Path,
    photos: Path,
    out: Path,
    config: TrainConfig,
    options: ScoreOptions | None = None,
) -> Generator[Event, None, dict[str, Any]]:
    """Compare a scene file with the held-out photos of a folder, or with all where none are.

    Writes ``out/eval/stats.json`` and ``out/renders``; photos that are not ingested yet are, into
    ``out/scene``.

    Args:
        scene_file: any format that can be read.
        photos: a run folder, a scene folder, or whatever ``ingest`` takes.
        out: where the results go; not a folder with a run of its own.
        config: ``split``, ``test_every``, ``resize`` and ``preset`` (picture size), ``model``,
            ``backend``, ``threads`` and ``seed`` count.
        options: see there.

    Returns:
        The contents of ``out/eval/stats.json``.

    Raises:
        SplatkitError: the scene or the photos cannot be read.
    """
    folder, options = for_results(Path(out)), options or ScoreOptions()
    set_threads(config.threads)
    gaussians = read_gaussians(Path(scene_file))
    scene = yield from _open_photos(Path(photos), folder, config)
    chosen = scene.held_out_photos
    if not chosen:
        yield Note("No photo is held out: the scene is compared with all of them")
        chosen = scene.photos
    views = yield from load_views(chosen, config.picture_size, scene.background, config.threads)
    backend = get_backend(config.backend)
    views, frame = _placed(gaussians, views, scene, options.frame, backend)
    results = yield from evaluate(
        gaussians, views, scene.background, backend=backend, pictures=folder.renders
    )
    if results and max(result.psnr for result in results) < _ASTRAY:
        yield Note(
            f"No photo comes within {_ASTRAY:.0f} dB: the scene does not seem to stand where "
            "these cameras are; they must be those that it was trained with",
            warning=True,
        )
    stats = make_stats(
        Path(scene_file).stem,
        scene,
        results,
        {
            "backend": backend.name,
            "file": str(scene_file),
            "frame": frame,
            "num_gaussians": len(gaussians),
            "machine": describe_machine(),
            **gpu_figures(backend.device),
            "seed": config.seed,
        },
    )
    yield from publish(stats, folder)
    return stats


def _open_photos(
    photos: Path, folder: RunFolder, config: TrainConfig
) -> Generator[Event, None, Scene]:
    """The scene of a run or scene folder, or one made of photos here; a split file decides."""
    for place in (photos, RunFolder(photos).scene):
        if (place / SCENE_FILE).is_file():
            scene = load_scene(place)
            return scene if config.split is None else _split(scene, config.split)
    return load_scene((yield from ingest(photos, folder.scene, config.ingest)))


def _split(scene: Scene, split: Path) -> Scene:
    """The scene with the photos held out that a split file names."""
    names = [photo.name for photo in scene.photos]
    wanted = read_split(split, sorted([*names, *scene.missing]))
    return replace(
        scene,
        photos=[replace(photo, held_out=photo.name in wanted) for photo in scene.photos],
        missing_held_out=sorted(wanted & set(scene.missing)),
    )


def _placed(
    gaussians: Gaussians, views: list[View], scene: Scene, frame: Frame, backend: Backend
) -> tuple[list[View], str]:
    """The photos with cameras in the scene file's frame, and the name of that frame."""
    to_source = scene.source_from_world
    if frame == "world" or torch.equal(to_source, torch.eye(4, dtype=to_source.dtype)):
        return views, "world"
    moved = [replace(v, camera=cameras_in_source(v.camera, to_source)) for v in views]
    if frame == "source":
        return moved, "source"

    gaussians = at_backend(gaussians, backend)

    def mean_psnr(trial: list[View]) -> float:
        some = trial[:: max(1, len(trial) // _TRIAL_VIEWS)][:_TRIAL_VIEWS]
        return fmean(
            psnr(render_view(gaussians, v, scene.background, backend), v.truth(backend.device)[0])
            for v in some
        )

    better = mean_psnr(moved) > mean_psnr(views) + _CLEARLY_BETTER
    return (moved, "source") if better else (views, "world")


def cameras_in_source(cameras: Cameras, source_from_world: Tensor) -> Cameras:
    """The same cameras in the frame of the input; depths change by the similarity's scale.

    Args:
        cameras: C cameras, world frame.
        source_from_world: [4,4] float64 similarity.
    """
    linear = source_from_world[:3, :3]
    scale = torch.linalg.det(linear).abs() ** (1 / 3)
    viewmats = cameras.viewmats.double() @ torch.linalg.inv(source_from_world)
    viewmats[:, :3] *= scale
    return replace(cameras, viewmats=viewmats.to(cameras.viewmats.dtype))
