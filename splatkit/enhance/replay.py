"""Work on a GPU that is captured once and replayed: one call instead of many launches."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from splatkit.render.rows import Capture

WARM_UP = 3
"""Runs before the capture: libraries choose their kernels and get memory in the first ones."""


class Replayed:
    """A function of one tensor whose launches depend on its shape alone.

    Args:
        work: the function; it runs on the device and never waits for it.
        given: its argument, at the address that every replay reads.
        capture: makes the replay.
    """

    def __init__(self, work: Callable[[Tensor], Tensor], given: Tensor, capture: Capture) -> None:
        self.given = given
        for _ in range(WARM_UP):
            work(given)
        answers: list[Tensor] = []
        self._replay = capture(lambda: answers.append(work(given)))
        self._answer = answers[0]

    def __call__(self) -> Tensor:
        """What the function makes of ``given`` as it is now; the next call overwrites it."""
        self._replay()
        return self._answer
