"""``splatkit train PHOTOS``: photos in, scene out."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress, arg

from splatkit.cli._progress import Stopped, duration, follow
from splatkit.cli.view import RUNS, SECONDS_TO_SAVE, Serving, has_screen, open_viewer
from splatkit.core import Event, Note, Progress, UsageError
from splatkit.io import read_json
from splatkit.train.config import TrainConfig
from splatkit.train.events import Finished, Ingested, Started, StepDone
from splatkit.train.run_folder import RunFolder


@dataclass(frozen=True)
class Command:
    """Turn photos into a scene.

    PHOTOS is a folder of photos, a video, a COLMAP project, or a transforms.json. What a stopped
    run has finished is used again: splatkit train --resume -o RUN goes on with the options that it
    had, and with those given anew.
    """

    photos: Positional[Annotated[Path | None, arg(metavar="PHOTOS")]] = None
    """Photos, video, COLMAP project or transforms.json; not with --resume."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="RUN")] = None
    """The run folder. Default: runs/NAME."""
    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)
    json: bool = False
    """Print the statistics as JSON."""
    viewer: bool = False
    """Watch and steer the training in the browser; it stays open until Ctrl-C."""
    serving: Annotated[Serving, arg(name="viewer")] = field(default_factory=Serving)
    words: Suppress[tuple[str, ...]] = ()
    """What was typed behind the command's name."""

    def run(self) -> None:
        """Train, and print what came out and where it is."""
        from splatkit.train import pipeline

        photos, output, config = self._task()
        if self.viewer:
            self._run_watched(photos, output, config)
            return
        try:
            follow(pipeline.run(photos, output, config), translate)
        except Stopped as stop:
            raise Stopped(resume_hint(output)) from stop
        self._conclude(output)

    def _task(self) -> tuple[Path, Path, TrainConfig]:
        """Photos, run folder and options; a resumed run has its own."""
        from splatkit.train.resume import given_options, taken_up

        if self.photos is None and not (self.config.resume and self.output):
            raise UsageError(
                "expected PHOTOS, or --resume -o RUN to go on with a run, got neither; "
                "see: splatkit train --help"
            )
        output = self.output or default_run(self.photos or Path())
        if not self.config.resume:
            return self.photos or Path(), output, self.config
        photos, config = taken_up(output, given_options(self.words, self.config), self.photos)
        return photos, output, config

    def _run_watched(self, photos: Path, output: Path, config: TrainConfig) -> None:
        """The same with a page that shows it, and that goes on when training has ended."""
        from splatkit.viewer import Library, Training

        training = Training(photos, output, config)
        library = Library([RUNS] if RUNS.is_dir() else [], uploads=RUNS / "uploads")
        scene = library.add_training(training)
        with open_viewer(library, self.serving, config.backend) as viewer:
            url = viewer.url_of(scene)
            print(f"watch it at {url}", file=sys.stderr, flush=True)
            if not self.serving.no_open and has_screen():
                webbrowser.open(url)
            try:
                follow(training.events(), translate)
            except Stopped as stop:
                raise Stopped(resume_hint(output)) from stop
            if training.state == "done":
                self._conclude(output)
            print("the page stays open until Ctrl-C", file=sys.stderr, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
            training.stop()
            training.wait(SECONDS_TO_SAVE)

    def _conclude(self, output: Path) -> None:
        stats = read_json(RunFolder(output).stats)
        print(json.dumps(stats, indent=1) if self.json else summary(stats, RunFolder(output)))


def default_run(photos: Path) -> Path:
    """``runs/NAME`` after the folder of the photos, passing over names that say nothing."""
    path = photos.resolve()
    if path.suffix == ".json":
        path = path.parent
    elif path.is_file():
        path = path.with_suffix("")
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
    """What to say when training was stopped."""
    again = f"splatkit train --resume -o {shlex.quote(str(output))}"
    checkpoints = RunFolder(output).checkpoints
    if checkpoints.is_dir() and any(checkpoints.iterdir()):
        return f"saved, resume with: {again}"
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
