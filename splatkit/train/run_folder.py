"""Where a run keeps its things, and the log of what happened."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from splatkit.core import Event, Gaussians, SplatkitError
from splatkit.io.files import LOCK_FILE, read_json
from splatkit.train.events import Controls, StepDone
from splatkit.train.machine import resident_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    root: Path

    @property
    def config(self) -> Path:
        """All options of the last start."""
        return self.root / "config.json"

    @property
    def lock(self) -> Path:
        """Held by the training that is at work here."""
        return self.root / LOCK_FILE

    @property
    def scene(self) -> Path:
        """Folder of the photos with their cameras."""
        return self.root / "scene"

    @property
    def checkpoints(self) -> Path:
        """Folder of training states."""
        return self.root / "checkpoints"

    @property
    def ply(self) -> Path:
        """The trained scene."""
        return self.root / "exports" / "scene.ply"

    @property
    def renders(self) -> Path:
        """Folder of held-out photos beside their renders."""
        return self.root / "renders"

    @property
    def stats(self) -> Path:
        """Figures of the held-out photos."""
        return self.root / "eval" / "stats.json"

    @property
    def report(self) -> Path:
        """The run as one page for people."""
        return self.root / "report.html"

    @property
    def board(self) -> Path:
        """Folder of TensorBoard's files, where they were asked for."""
        return self.root / "tensorboard"

    @property
    def log(self) -> Path:
        """One JSON document a line, one line an event."""
        return self.root / "log.jsonl"

    @property
    def edits(self) -> Path:
        """What was done to the scene, where it was edited."""
        return self.root / "edit.json"

    def told_options(self) -> dict[str, Any] | None:
        """Options of the training that the scene comes from, before it was edited or not; None
        where the folder tells none."""
        if self.config.is_file():
            return read_json(self.config)
        return read_json(self.edits).get("options") if self.edits.is_file() else None

    def options(self) -> dict[str, Any]:
        """The same.

        Raises:
            SplatkitError: the folder tells none.
        """
        told = self.told_options()
        if told is None:
            raise SplatkitError(
                f"{self.root}: expected the folder of a finished run, but {self.config.name} is "
                "missing; train first: splatkit train PHOTOS -o RUN"
            )
        return told


def logged(work: Generator[Event, None, T], log: Path) -> Generator[Event, None, T]:
    """Pass events on and append each to a log; a kill can cost its last line only."""
    log.parent.mkdir(parents=True, exist_ok=True)
    torn = log.exists() and log.stat().st_size and not log.read_bytes().endswith(b"\n")
    # Without a buffer nothing is left to be written when the file is closed.
    with log.open("ab", buffering=0) as file:
        if torn:
            file.write(b"\n")
        result: list[T] = []
        for event in _capture(work, result):
            try:
                file.write(json.dumps(_record(event)).encode() + b"\n")
            except OSError as error:
                # Closing saves where that is possible; here it may not be.
                with suppress(SplatkitError):
                    work.close()
                raise SplatkitError(
                    f"{log}: cannot be written ({error.strerror}); the last state is kept: free "
                    f"some space and go on with splatkit train --resume -o {log.parent}"
                ) from error
            yield event
    return result[0]


def read_log(log: Path) -> list[dict[str, Any]]:
    """The log's complete lines, oldest first; an unreadable line is left out."""
    records = []
    if log.exists():
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
    return [record for record in records if isinstance(record, dict)]


def _capture(work: Generator[Event, None, T], result: list[T]) -> Generator[Event, None, None]:
    result.append((yield from work))


def _record(event: Event) -> dict[str, Any]:
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    plain = {k: _plain(v) for k, v in values.items() if not isinstance(v, Gaussians | Controls)}
    if isinstance(event, StepDone):
        plain["memory_bytes"] = resident_bytes()
    return {"time": datetime.now(UTC).isoformat(), "event": type(event).__name__, **plain}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
