"""Training and evaluation as two calls: what ``splatkit.train`` and ``splatkit.evaluate`` are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from splatkit.core import Event, Gaussians, UsageError
from splatkit.io.registry import read_gaussians, write_gaussians
from splatkit.train import pipeline
from splatkit.train.config import TrainConfig
from splatkit.train.resume import taken_up
from splatkit.train.run_folder import RunFolder
from splatkit.train.score import Frame, ScoreOptions, for_results, score

T = TypeVar("T")
Listener = Callable[[Event], object]
_PATHS = ("model", "split", "start")


def train(
    photos: Path | str,
    out: Path | str,
    *,
    on_event: Listener | None = None,
    **options: Any,
) -> Gaussians:
    """Turn photos into a scene; returns when everything stands in the run folder.

    Args:
        photos: a folder of photos, a COLMAP project, or a transforms.json.
        out: the run folder; ``resume=True`` goes on where an earlier call stopped, with the options
            that it had and those given now on top.
        on_event: called with each event (``splatkit.train.events``); what it raises stops the
            training, which saves a checkpoint first.
        **options: fields of ``TrainConfig``, the options of ``splatkit train``: ``preset``,
            ``iterations``, ``max_gaussians``, ``resize``, ``time_limit``, ``resume``, ``seed``...

    Returns:
        The scene as its exported file holds it.

    Raises:
        UsageError: there is no such option, or its value is out of range.
        SplatkitError: the photos cannot be used, or training diverged.
    """
    source, config = Path(photos), _config(options)
    if config.resume:
        source, config = taken_up(Path(out), options, source)
    folder = _heard(pipeline.run(source, Path(out), config), on_event)
    return read_gaussians(RunFolder(folder).ply)


def evaluate(
    scene: Gaussians | Path | str,
    photos: Path | str,
    out: Path | str,
    *,
    frame: Frame = "auto",
    on_event: Listener | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Compare a scene with the held-out photos of a folder.

    Args:
        scene: Gaussians, or a scene file of any program.
        photos: a run folder, a scene folder, or photos as for ``train``.
        out: folder of the results: ``eval/stats.json``, ``renders``, ``report.html``.
        frame: coordinates of the scene: ``world`` (splatkit's), ``source`` (those of the cameras
            that came with the photos, in which other programs write), or the better of both.
        on_event: called with each event.
        **options: fields of ``TrainConfig``: ``split``, ``test_every``, ``resize``, ``backend``...

    Returns:
        The figures: ``mean`` and ``per_photo`` PSNR (dB), SSIM, both after colour correction, and
        LPIPS where its weights are at hand.
    """
    config, folder = _config(options), for_results(Path(out))
    if isinstance(scene, Gaussians):
        file = folder.ply
        write_gaussians(scene, file)
    else:
        file = Path(scene)
    work = score(file, Path(photos), folder.root, config, ScoreOptions(frame))
    return _heard(work, on_event)


def _config(options: dict[str, Any]) -> TrainConfig:
    known = {field.name for field in fields(TrainConfig)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UsageError(f"options: expected any of {', '.join(sorted(known))}; got {unknown[0]!r}")
    for name in _PATHS:
        if options.get(name) is not None:
            options[name] = Path(options[name])
    return TrainConfig(**options)


def _heard(work: Generator[Event, None, T], on_event: Listener | None) -> T:
    """Run to the end, each event told to the listener; close the work when that raises."""
    with closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as stop:
                return stop.value
            if on_event is not None:
                on_event(event)
