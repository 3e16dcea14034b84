"""The straight path: photos in, trained and checked scene out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from splatkit import __version__
from splatkit.core import Event, Gaussians, Note, Photo, Scene, SplatkitError
from splatkit.ingest import ingest
from splatkit.ingest.pipeline import WORK
from splatkit.io.files import alone_at, read_json, remove_leftovers, write_json
from splatkit.io.registry import read_gaussians, write_gaussians
from splatkit.io.scene import SCENE_FILE, load_scene
from splatkit.render import get_backend
from splatkit.train.behind import as_configured, trained_scene
from splatkit.train.board import boarded
from splatkit.train.config import TrainConfig, plain
from splatkit.train.evaluate import agreement, evaluate
from splatkit.train.events import Ingested, Saved, Started
from splatkit.train.machine import describe_machine, gpu_figures, timed
from splatkit.train.photos import View, load_views
from splatkit.train.presets import sized
from splatkit.train.report import publish
from splatkit.train.resume import changes_of, refuse_to_replace
from splatkit.train.run_folder import RunFolder, logged, read_log
from splatkit.train.state import newest_checkpoint, step_of
from splatkit.train.stats import compared, make_stats
from splatkit.train.trainer import train
from splatkit.train.watch import watched, watched_photos

LEAST_EXPORT_PSNR = 60.0
"""dB between the scene and what its file gives back."""
WORTH_KEEPING = 60.0
"""Seconds of work, from which on a new run that fails leaves its features and matches behind."""
_CHECKED_VIEWS = 3


def run(source: Path, out: Path, config: TrainConfig) -> Generator[Event, None, Path]:
    """Ingest, train, export, check and evaluate; what is finished already is not done again.

    Close the generator (``contextlib.closing``) when you stop listening early: that writes a
    checkpoint.

    Args:
        source: folder of photos, COLMAP project, or transforms.json.
        out: the run folder; made when missing.
        config: options; saved in the folder.

    Returns:
        The run folder.

    Raises:
        SplatkitError: the photos cannot be used, training diverged, or the disk is full.
    """
    source, folder, config = Path(source), RunFolder(Path(out)), sized(config)
    # What cannot work is better said before the cameras are found and anything is written.
    get_backend(config.backend)
    changes = changes_of(folder, config) if config.resume else []
    if not config.resume:
        refuse_to_replace(folder)
        if config.start is not None:
            read_gaussians(config.start)
    with alone_at(folder.root, folder.lock):
        yield from _begun(source, folder, config, changes)
    return folder.root


def _begun(
    source: Path, folder: RunFolder, config: TrainConfig, changes: list[str]
) -> Generator[Event, None, None]:
    """A run whose folder is its own."""
    new = not folder.config.exists() and not folder.scene.exists()
    began = time.perf_counter()
    remove_leftovers(folder.root)
    for change in changes:
        yield Note(f"Changed: {change}")
    options = {"version": __version__, "source": str(source.resolve()), **plain(config)}
    if new or not config.resume:
        write_json(folder.config, options)
    work = logged(_stages(source, folder, config), folder.log)
    if config.tensorboard:
        work = boarded(work, folder.board)
    try:
        with closing(work):
            for event in work:
                # The options of a resumed run count from here on: until now it may have failed.
                if isinstance(event, Started):
                    write_json(folder.config, options)
                yield event
    except SplatkitError:
        if new:
            _remove_beginning(folder, time.perf_counter() - began)
        raise
    except (MemoryError, RuntimeError) as error:
        if not _is_memory_short(error):
            raise
        last = newest_checkpoint(folder.checkpoints)
        kept = f"{last} is intact: go on" if last else "nothing is lost: start again"
        raise SplatkitError(
            f"{folder.root}: the memory ran out; {kept} with splatkit train --resume -o "
            f"{folder.root} and a lower --max-gaussians, --memory-budget or --resize, or close "
            "other programs"
        ) from error


def _remove_beginning(folder: RunFolder, seconds: float) -> None:
    """Delete what a failed new run has written, unless work worth keeping is done."""
    work = folder.scene / WORK
    begun = work.is_dir() and any(work.iterdir())
    if (folder.scene / SCENE_FILE).exists() or (begun and seconds >= WORTH_KEEPING):
        return
    shutil.rmtree(folder.scene, ignore_errors=True)
    with suppress(OSError):
        folder.config.unlink(missing_ok=True)
        folder.log.unlink(missing_ok=True)
        folder.lock.unlink()
        folder.root.rmdir()


def _is_memory_short(error: Exception) -> bool:
    """Torch reports a failed allocation as a RuntimeError, on a GPU with a class of its own."""
    short = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, short) or "allocate memory" in str(error)


def _stages(source: Path, folder: RunFolder, config: TrainConfig) -> Generator[Event, None, None]:
    start = time.perf_counter()
    # Gaussians of a checkpoint stand in the frame of the cameras that the run has: others must not
    # take their place, whatever has become of the photos.
    begun = newest_checkpoint(folder.checkpoints) is not None or not source.exists()
    if config.resume and begun and (folder.scene / SCENE_FILE).is_file():
        yield Note(f"Going on with the photos and cameras in {folder.scene}")
        scene_folder = folder.scene
    else:
        scene_folder = yield from timed(
            "Finding cameras", ingest(source, folder.scene, config.ingest)
        )
    scene = as_configured(load_scene(scene_folder), config)
    yield Ingested(time.perf_counter() - start, len(scene.photos), len(scene.points))
    views = yield from _views(watched_photos(scene.held_out_photos), scene, config)
    gaussians = yield from watched(
        train(scene, folder.root, config), views, scene.background, get_backend(config.backend)
    )
    yield from finish(scene, gaussians, folder, config)


def _views(
    photos: list[Photo], scene: Scene, config: TrainConfig
) -> Generator[Event, None, list[View]]:
    return load_views(photos, config.picture_size, scene.background, config.threads, config.masks)


def finish(
    scene: Scene, gaussians: Gaussians, folder: RunFolder, config: TrainConfig
) -> Generator[Event, None, dict[str, Any]]:
    """Export a trained scene, check the file, compare held-out photos and write the figures.

    Returns:
        The contents of ``eval/stats.json``.
    """
    backend = get_backend(config.backend)
    exported, export_psnr = yield from timed("Export", _export(scene, gaussians, folder, config))
    views = yield from _views(scene.held_out_photos, scene, config)
    # The figures are those of the file that people take away.
    results = yield from timed(
        "Comparing photos",
        evaluate(exported, views, scene.background, backend=backend, pictures=folder.renders),
    )
    log = read_log(folder.log)
    finished = [r for r in log if r.get("event") == "Finished"]
    stats = make_stats(
        folder.root.resolve().name,
        scene,
        results,
        {
            "backend": backend.name,
            "iterations": finished[-1]["step"] if finished else config.steps,
            "seconds_ingest": sum(r["seconds"] for r in log if r.get("event") == "Ingested"),
            "seconds_train": finished[-1]["seconds"] if finished else 0.0,
            "num_gaussians": len(exported),
            "machine": describe_machine(),
            **gpu_figures(backend.device),
            "export_psnr": export_psnr,
            "seed": config.seed,
        },
    )
    yield from publish(stats, folder)
    return stats


def _export(
    scene: Scene, gaussians: Gaussians, folder: RunFolder, config: TrainConfig
) -> Generator[Event, None, tuple[Gaussians, float]]:
    """Write the scene and read it again: what came back, and its likeness in dB."""
    write_gaussians(gaussians, folder.ply)
    yield Saved(folder.ply, "scene")
    photos = scene.held_out_photos or scene.training_photos
    views = yield from _views(photos[:_CHECKED_VIEWS], scene, config)
    exported = read_gaussians(folder.ply)
    backend = get_backend(config.backend)
    decibels = agreement(gaussians, exported, views, scene.background, backend)
    if decibels < LEAST_EXPORT_PSNR:
        raise SplatkitError(
            f"{folder.ply}: expected renders of the file within {LEAST_EXPORT_PSNR:.0f} dB of the "
            f"scene's, got {decibels:.1f} dB; the checkpoint in {folder.checkpoints} is intact"
        )
    return exported, decibels


def evaluate_run(out: Path, backend: str = "auto") -> Generator[Event, None, dict[str, Any]]:
    """Compare a finished run's exported scene, edited or not, with its held-out photos once more.

    Returns:
        The statistics, renewed in ``eval/stats.json``.

    Raises:
        SplatkitError: the folder is not that of a finished run.
    """
    folder = RunFolder(Path(out))
    told = folder.options()
    edited = folder.edits.is_file()
    for path in (folder.ply, folder.scene, *(() if edited else (folder.stats,))):
        if not path.exists():
            raise SplatkitError(
                f"{out}: expected the folder of a finished run, but {path.relative_to(out)} is "
                "missing; train first: splatkit train PHOTOS -o RUN"
            )
    stats = read_json(folder.stats) if folder.stats.is_file() else {}
    newest = newest_checkpoint(folder.checkpoints)
    if newest is not None and step_of(newest) > stats["iterations"]:
        yield Note(
            f"{folder.ply} is as it was after step {stats['iterations']:,}; training has gone on "
            f"to step {step_of(newest):,} and was stopped: end it with splatkit train --resume "
            f"-o {out} to see that scene's figures",
            warning=True,
        )
    scene, config = trained_scene(folder)
    config = replace(config, backend=backend)
    views = yield from _views(scene.held_out_photos, scene, config)
    gaussians = read_gaussians(folder.ply)
    results = yield from evaluate(
        gaussians,
        views,
        scene.background,
        backend=get_backend(backend),
        pictures=folder.renders,
    )
    if not stats:
        told = {"num_gaussians": len(gaussians), "seed": told.get("seed", 0)}
        stats = make_stats(folder.root.name, scene, results, told)
    stats |= compared(results) | {"backend": get_backend(backend).name}
    yield from publish(stats, folder)
    return stats
