"""A training that a page can watch and steer."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splatkit.core import Event, Note, Progress, UsageError
from splatkit.io import read_gaussians
from splatkit.io.scene import load_scene
from splatkit.train import pipeline
from splatkit.train.config import TrainConfig
from splatkit.train.events import Controls, Evaluated, Finished, Ingested, Measured, Saved, StepDone
from splatkit.train.machine import resident_bytes
from splatkit.train.run_folder import RunFolder
from splatkit.viewer.live import LiveSource

STATES = {
    "waiting": "Getting ready",
    "cameras": "Preparing",
    "training": "Training",
    "paused": "Paused",
    "finishing": "Saving and comparing",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
}
BUSY = ("waiting", "cameras", "training", "paused", "finishing")
MOST_POINTS = 1000
"""Points of a plot; beyond, every second one is left out."""
_NAP = 0.1


@dataclass
class History:
    """What the plots show, one row a moment: step, loss, thousand Gaussians, megabytes."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)
    psnr: list[tuple[float, float]] = field(default_factory=list)
    """Step and dB of the held-out photos that are compared now and then."""

    def add(self, event: StepDone) -> None:
        """Note where a run stands."""
        memory = (resident_bytes() or 0) / 1e6
        self.rows.append((event.step, event.loss, event.num_gaussians / 1000, memory))
        if len(self.rows) > MOST_POINTS:
            self.rows = self.rows[::2]


class Training:
    """One run: ``events`` does the work, the other methods steer it from other threads.

    Args:
        photos: see ``splatkit.train.pipeline.run``.
        out: the run folder.
        config: options.
    """

    def __init__(self, photos: Path, out: Path, config: TrainConfig) -> None:
        self.photos = photos
        self.out = out
        self.config = config
        self.source = LiveSource(out.resolve().name)
        self.history = History()
        self.state = "waiting"
        self._message = ""
        self._progress: Progress | None = None
        self._step: StepDone | None = None
        self._saved_at: str | None = None
        self._wants_pause = self._wants_stop = self._wants_save = False

    @property
    def busy(self) -> bool:
        """Whether work goes on or waits."""
        return self.state in BUSY

    def events(self) -> Generator[Event, None, None]:
        """Do the work of ``pipeline.run`` and what people ask for meanwhile.

        Raises:
            SplatkitError: see ``pipeline.run``.
        """
        self._become("waiting")
        try:
            with closing(pipeline.run(self.photos, self.out, self.config)) as work:
                for event in work:
                    self._hear(event)
                    yield event
                    if isinstance(event, StepDone):
                        yield from self._obey(event)
                    if self._wants_stop:
                        break
        except BaseException as error:
            closed = isinstance(error, GeneratorExit | KeyboardInterrupt)
            self._message = "" if closed else " ".join(str(error).split())
            self._become("stopped" if closed else "failed")
            raise
        self._become("stopped" if self._wants_stop else "done")

    def start(self) -> None:
        """Do the work in a thread of its own; a failure is told by ``status``."""

        def work() -> None:
            try:
                for _ in self.events():
                    pass
            except Exception as error:
                self._message = " ".join(str(error).split()) or type(error).__name__

        self.state = "waiting"
        threading.Thread(target=work, name="training", daemon=True).start()

    def pause(self) -> None:
        """Rest after the steps at hand, until ``go_on``."""
        self._wants_pause = self.busy

    def go_on(self) -> None:
        """End a pause."""
        self._wants_pause = False

    def save(self) -> None:
        """Write a checkpoint after the steps at hand."""
        self._wants_save = self.busy

    def stop(self) -> None:
        """Save and end after the steps at hand."""
        self._wants_stop = self.busy

    def longer(self, steps: int) -> None:
        """Start again where the run has ended or was stopped, with so many more steps to do.

        Raises:
            UsageError: it has not ended, or the number is not from 0 to a million.
        """
        if self.busy:
            raise UsageError("training: expected a run that has ended; this one still goes on")
        if not 0 <= steps <= 1_000_000:
            raise UsageError(f"training: expected 0 to 1000000 more steps, got {steps}")
        planned = self._step.iterations if self._step else self.config.steps
        self.config = replace(self.config, resume=True, iterations=planned + steps, time_limit=None)
        self.start()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the work, at most that long."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            time.sleep(_NAP)

    def status(self) -> dict[str, Any]:
        """Where it stands, in values that JSON can hold."""
        step, stage = self._step, self._progress
        steps = None if step is None else {
            "step": step.step,
            "iterations": step.iterations,
            "loss": step.loss,
            "gaussians": step.num_gaussians,
            "rate": step.steps_per_second,
            "seconds_left": step.seconds_left,
        }  # fmt: skip
        return {
            "state": self.state,
            "words": STATES[self.state],
            "name": self.source.name,
            "ready": self.source.ready,
            "message": self._message,
            "saved": self._saved_at,
            "stage": stage and {"name": stage.stage, "done": stage.done, "total": stage.total},
            "training": steps,
            "psnr": self.history.psnr[-1][1] if self.history.psnr else None,
        }

    def _become(self, state: str) -> None:
        self.state = state
        self.source.stepping = state in ("cameras", "training", "finishing")
        if not self.busy:
            self._wants_pause = self._wants_stop = self._wants_save = False
        if state == "waiting":
            self._message = ""

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress = event
            if self.state == "waiting":
                self._become("cameras")
        elif isinstance(event, Note) and event.warning:
            self._message = event.text
        elif isinstance(event, Ingested):
            self.source.stand_on(load_scene(RunFolder(self.out).scene))
        elif isinstance(event, StepDone):
            self._step = event
            self.history.add(event)
            if self.state != "training":
                self._become("training")
            self.source.offer(event.gaussians, at_once=event.step >= event.iterations)
        elif isinstance(event, Measured):
            self.history.psnr.append((event.step, event.psnr))
        elif isinstance(event, Saved) and event.what == "checkpoint":
            self._saved_at = event.path.stem
        elif isinstance(event, Finished):
            self._become("finishing")
        elif isinstance(event, Evaluated):
            # The file has the far sphere, too, that training ends with.
            self.source.show(read_gaussians(RunFolder(self.out).ply))
            mean = event.stats["mean"]["psnr"]
            if mean is not None and self._step is not None:
                self.history.psnr.append((self._step.step, mean))

    def _obey(self, event: StepDone) -> Generator[Event, None, None]:
        """Save and pause as asked; while paused, say so again and again."""
        if event.controls is None:
            return
        yield from self._save_if_asked(event.controls)
        if not self._wants_pause:
            return
        began = time.perf_counter()
        self.source.offer(event.gaussians, at_once=True)
        self._become("paused")
        try:
            while self._wants_pause and not self._wants_stop:
                yield from self._save_if_asked(event.controls)
                time.sleep(_NAP)
                yield Progress("Training", event.step, event.iterations, "paused")
        finally:  # also when the work is closed while it rests: the checkpoint tells the time
            event.controls.leave_out(time.perf_counter() - began)
        self._become("training")

    def _save_if_asked(self, controls: Controls) -> Generator[Event, None, None]:
        if self._wants_save:
            self._wants_save = False
            saved = Saved(controls.save(), "checkpoint")
            self._hear(saved)
            yield saved
