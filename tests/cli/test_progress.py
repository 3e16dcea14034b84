from __future__ import annotations

import io
import os
import signal
import warnings
from collections.abc import Generator

import pytest

from splatkit.cli._progress import Screen, Stopped, duration, follow
from splatkit.core import Event, Note, Progress, SplatkitError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work() -> Generator[Event, None, str]:
    for index in range(4):
        yield Progress("Finding features", index, 3, f"photo {index}")
    yield Note("All found")
    warnings.warn("one is blurred", stacklevel=1)
    yield Progress("Matching", 1, None)
    return "result"


def test_a_log_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(work()) == "result"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Finding features  0/3 (0%)  photo 0",
        "Finding features  3/3 (100%)  photo 3",
        "All found",
        "warning: one is blurred",
        "Matching  1",
    ]


def test_a_terminal_gets_one_bar_a_stage() -> None:
    terminal = Terminal()
    with Screen(terminal) as screen:
        for event in work():
            screen.show(event)
    text = terminal.getvalue()
    assert "Finding features: 100%" in text
    assert "3/3" in text
    assert "All found\n" in text
    assert text.count("\n") < 8, "a bar that scrolls"


def test_ctrl_c_lets_the_work_save() -> None:
    saved = []

    def stoppable() -> Generator[Event, None, None]:
        try:
            while True:
                os.kill(os.getpid(), signal.SIGINT)
                yield Progress("Training", 1)
        except GeneratorExit:
            saved.append(True)
            raise

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped):
        follow(stoppable())
    assert saved == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    def stubborn() -> Generator[Event, None, None]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        yield Progress("never", 1)

    with pytest.raises(KeyboardInterrupt) as caught:
        follow(stubborn())
    assert not isinstance(caught.value, Stopped)


def test_a_child_that_ctrl_c_ended_is_no_failure() -> None:
    def with_child() -> Generator[Event, None, None]:
        yield Progress("Mapping", 0)
        os.kill(os.getpid(), signal.SIGINT)
        raise SplatkitError("the mapper ended unexpectedly")

    with pytest.raises(Stopped):
        follow(with_child())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (190, "3 min 10 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
