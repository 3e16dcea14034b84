"""Shows events while work runs: a bar a stage on a terminal, plain lines in a log.

Everything here goes to standard error; standard output is for results.
"""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from tqdm import tqdm

from splatkit.core.events import Event, Note, Progress

T = TypeVar("T")
Translate = Callable[[Event], Event | None]
SECONDS_BETWEEN_LINES = 5.0
"""In a log, at first; long stages write more rarely, down to every half minute."""
MOST_SECONDS_BETWEEN_LINES = 30.0


class Stopped(KeyboardInterrupt):
    """Work was stopped with Ctrl-C, after it had the time to save."""


def follow(work: Generator[Event, None, T], translate: Translate | None = None) -> T:
    """Run work to its end and show what it says.

    The first Ctrl-C lets the work reach its next event and closes it there (long work saves
    when it is closed); a second one interrupts it at once.

    Args:
        work: yields events and returns a result.
        translate: turns an event that this module does not know into one that it does.

    Raises:
        Stopped: Ctrl-C was pressed and the work has ended.
    """
    with _interrupts() as pressed, Screen() as screen:
        try:
            while not pressed:
                event = next(work)
                if translate is not None:
                    event = translate(event)
                if event is not None:
                    screen.show(event)
        except StopIteration as stop:
            return stop.value
        except Exception as error:
            # A Ctrl-C also reaches child processes; that they end then is no failure.
            if pressed:
                raise Stopped("stopped") from error
            raise
        work.close()
    raise Stopped("stopped")


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that holds something once Ctrl-C was pressed; a second press interrupts."""
    pressed: list[int] = []

    def handle(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        print("\nstopping and saving (Ctrl-C again: at once)", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class Screen:
    """Draws ``Progress`` and ``Note`` events, one stage after the other."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._stage: _Bar | _Lines | None = None
        self._last: Progress | None = None
        self._showwarning = warnings.showwarning

    def __enter__(self) -> Screen:
        warnings.showwarning = lambda message, *_, **__: self.show(Note(str(message), warning=True))
        return self

    def __exit__(self, *_: object) -> None:
        warnings.showwarning = self._showwarning
        self.close()

    def show(self, event: Event) -> None:
        """Draw one event; others than ``Progress`` and ``Note`` are passed over."""
        if isinstance(event, Note):
            if self._last is not None and self._last.done == self._last.total:
                self.close()
            text = f"warning: {event.text}" if event.warning else event.text
            tqdm.write(text, file=self._stream)
            self._stream.flush()
        elif isinstance(event, Progress):
            if self._last is None or self._stage is None or event.stage != self._last.stage:
                self.close()
                self._stage = (_Bar if self._stream.isatty() else _Lines)(event, self._stream)
            self._stage.update(event)
            self._last = event

    def close(self) -> None:
        """Finish the stage that is drawn."""
        if self._stage is not None:
            self._stage.close()
            self._stage = self._last = None


class _Bar:
    def __init__(self, first: Progress, stream: TextIO) -> None:
        self._bar = tqdm(
            desc=first.stage,
            total=first.total,
            initial=first.done,
            file=stream,
            dynamic_ncols=True,
            mininterval=0.1,
        )

    def update(self, event: Progress) -> None:
        self._bar.total = event.total
        self._bar.set_postfix_str(event.detail, refresh=False)
        self._bar.update(event.done - self._bar.n)

    def close(self) -> None:
        self._bar.refresh()
        self._bar.close()


class _Lines:
    """A line at the start, every few seconds, and at the end."""

    def __init__(self, first: Progress, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._initial = first.done
        self._last_line = -float("inf")
        self._last: Progress | None = None
        self._written: Progress | None = None

    def update(self, event: Progress) -> None:
        self._last = event
        now = time.monotonic()
        patience = min(max(SECONDS_BETWEEN_LINES, 0.1 * (now - self._start)),
                       MOST_SECONDS_BETWEEN_LINES)  # fmt: skip
        if now - self._last_line >= patience:
            self._last_line = now
            self._write(event)

    def close(self) -> None:
        if self._last is not None and self._last is not self._written:
            self._write(self._last)

    def _write(self, event: Progress) -> None:
        self._written = event
        elapsed = time.monotonic() - self._start
        rate = (event.done - self._initial) / elapsed if elapsed > 0 else 0.0
        words = [event.stage, str(event.done)]
        if event.total:
            words[-1] += f"/{event.total} ({100 * event.done // event.total}%)"
        if rate > 0 and elapsed > 1:
            words.append(f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each")
            if event.total and event.done < event.total:
                words.append(f"{duration((event.total - event.done) / rate)} left")
        if event.detail:
            words.append(event.detail)
        print("  ".join(words), file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: ``45 s``, ``3 min 10 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
