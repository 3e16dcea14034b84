"""What long work says while it runs: work emits events, fronts (terminal, page, tests) listen.

Long work is a generator that yields events and returns its result, so that stages chain with
``result = yield from stage(...)`` and stop cleanly wherever the listener stops asking.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """Anything that long work reports."""


@dataclass(frozen=True)
class Progress(Event):
    """How far one stage is."""

    stage: str
    """Plain words for the reader, the same ones for the whole stage ("Finding features")."""
    done: int
    total: int | None = None
    """None while unknown."""
    detail: str = ""
    """Changes with every event (a file name, a figure)."""


@dataclass(frozen=True)
class Note(Event):
    """One sentence that the reader should see and that stays on the screen."""

    text: str
    warning: bool = False


def drain(work: Generator[Event, None, T]) -> T:
    """Run to the end unheard and return the result."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
