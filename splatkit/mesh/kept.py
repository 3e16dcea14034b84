"""Work that was done when a mesh command was stopped: kept beside its output, for ``--resume``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import Event, Note
from splatkit.io import write_json
from splatkit.io.files import LOCK_FILE, alone_at, atomic_path, read_json

SAVE_SECONDS = 60.0
"""Between two times that a stage which goes on for long is kept."""


class Kept:
    """The folder ``OUT.partial``: one file for each stage, and what they were made of."""

    def __init__(self, output: Path) -> None:
        self._output, self._folder = output, output.with_suffix(".partial")
        self._saved = time.monotonic()
        self._facts: dict[str, Any] = {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from this work while the block lasts.

        Raises:
            UsageError: one is at it.
        """
        new = not self._output.parent.exists()
        with alone_at(self._output, self._folder / LOCK_FILE):
            try:
                yield
            finally:
                if not self._files():
                    self._remove_all()
                if new:
                    with suppress(OSError):  # something is in it
                        self._output.parent.rmdir()

    def begin(self, facts: Mapping[str, Any], resume: bool) -> Generator[Event, None, None]:
        """Take up what is there, if that is wanted and it was made of the same; else start anew.

        Args:
            facts: all that the result depends on.
            resume: whether to take up anything.
        """
        self._facts, usable = dict(facts), False
        told = self._folder / "facts.json"
        if resume:
            usable = told.is_file() and read_json(told) == self._facts
            if not usable:
                reason = "other options or another scene" if told.is_file() else "nothing is there"
                yield Note(f"{self._folder}: not gone on with ({reason}); begun anew", warning=True)
        if not usable:
            self.remove()

    def load(self, stage: str) -> dict[str, Tensor] | None:
        """What ``save`` was given; None where the stage was not reached."""
        path = self._path(stage)
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}

    def save(self, stage: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep the tensors of a stage, atomically."""
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
        with atomic_path(self._path(stage)) as path, path.open("wb") as file:
            np.savez(file, **arrays)
        write_json(self._folder / "facts.json", self._facts)
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to keep what a stage has come to."""
        return time.monotonic() - self._saved > SAVE_SECONDS

    def remove(self) -> None:
        """Forget all; the output is complete."""
        for file in self._files():
            file.unlink()
        if not (self._folder / LOCK_FILE).exists():
            self._remove_all()

    def _remove_all(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return [file for file in self._folder.iterdir() if file.name != LOCK_FILE]

    def _path(self, stage: str) -> Path:
        return self._folder / f"{stage}.npz"
