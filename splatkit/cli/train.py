"""``splatkit train PHOTOS``: photos in, scene out."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from splatkit.cli._progress import Stopped, duration, follow
from splatkit.core import Event, Note, Progress
from splatkit.io import read_json
from splatkit.train.config import TrainConfig
from splatkit.train.events import Finished, Ingested, Started, StepDone
from splatkit.train.run_folder import RunFolder

RUNS = Path("runs")
"""Where runs go that are given no folder."""


@dataclass(frozen=True)
class Command:
    """Turn photos into a scene.

    PHOTOS is a folder of photos, a COLMAP project, or a transforms.json. What a stopped run has
    finished is used again.
    """

    photos: Positional[Annotated[Path, arg(metavar="PHOTOS")]]
    """Folder of photos, COLMAP project, or transforms.json."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="RUN")] = None
    """The run folder. Default: runs/NAME."""
    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)
    json: bool = False
    """Print the statistics as JSON."""

    def run(self) -> None:
        """Train, and print what came out and where it is."""
        from splatkit.train import pipeline

        output = self.output or default_run(self.photos)
        try:
            follow(pipeline.run(self.photos, output, self.config), translate)
        except Stopped as stop:
            raise Stopped(resume_hint(output)) from stop
        stats = read_json(RunFolder(output).stats)
        print(json.dumps(stats, indent=1) if self.json else summary(stats, RunFolder(output)))


def default_run(photos: Path) -> Path:
    """``runs/NAME`` after the folder of the photos, passing over names that say nothing."""
    path = photos.resolve()
    if path.suffix == ".json":
        path = path.parent
    while path.name.lower() in ("images", "photos", "input") and path.parent.name:
        path = path.parent
    return RUNS / (path.name or "scene")


def translate(event: Event) -> Event | None:
    """Training's own events in the words that the screen knows."""
    if isinstance(event, Ingested):
        took = duration(event.seconds)
        return Note(f"{event.photos} photos placed, {event.points:,} points ({took})")
    if isinstance(event, Started):
        start = f", going on at step {event.resumed_step}" if event.resumed_step else ""
        return Note(
            f"Training on {event.photos} photos at {event.width}x{event.height} with backend "
            f"{event.backend}{start}"
        )
    if isinstance(event, StepDone):
        detail = f"{event.num_gaussians:,} Gaussians, loss {event.loss:.4f}"
        return Progress("Training", event.step, event.iterations, detail)
    if isinstance(event, Finished):
        return Note(f"Trained {event.num_gaussians:,} Gaussians in {duration(event.seconds)}")
    return event


def resume_hint(output: Path) -> str:
    """What to say when training was stopped: the same words again, with ``--resume``."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    again = f"splatkit {shlex.join(words)}"
    checkpoints = RunFolder(output).checkpoints
    if checkpoints.is_dir() and any(checkpoints.iterdir()):
        return f"saved, resume with: {again} --resume"
    return f"stopped before training; what is finished is kept, go on with: {again}"


def summary(stats: dict[str, Any], folder: RunFolder) -> str:
    """The end of a run: figures, files, and what to do next."""
    rows = [
        ("scene", folder.ply),
        ("held-out photos", figures(stats)),
        ("comparisons", folder.renders),
        ("statistics", folder.stats),
        ("report", folder.report),
        ("look at it", f"splatkit view {folder.root}"),
        ("make videos", f"splatkit render {folder.root}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def figures(stats: dict[str, Any]) -> str:
    """PSNR and counts in one line."""
    mean, photos = stats["mean"], stats["photos"]
    count = f"{stats['num_gaussians']:,} Gaussians"
    if mean["psnr"] is None:
        return f"none to compare with; {count}"
    seen = f"{photos['held_out_registered']} of {photos['held_out']}"
    return f"PSNR {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.3f} on {seen}; {count}"
