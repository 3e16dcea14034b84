"""How much room passes get for pairs of splat and tile, which only the device can count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_later import LateReading
from splatkit.render.backends._cuda_params import constant

MOST_INSTANCES = 2**30 - 1
"""Pairs of splat and tile are counted in 30 bits."""
LEAST_INSTANCES = 1 << 16
_ROOM = 1.25
_AT_FIRST = 4.0
"""Pairs of a record before any were counted: too few are found out and tried again."""
_TIGHT = 0.9
"""Room that is not waited for grows when more than this share of it was used."""
_Result = TypeVar("_Result")
Attempt = Callable[[int], tuple[_Result, Tensor]]
"""Enqueues a pass with room for so many pairs; gives its result and its counters."""


@dataclass(frozen=True)
class Found:
    """What the device counted, and what it would have with enough room."""

    records: int
    records_wanted: int
    instances: int
    instances_wanted: int

    @staticmethod
    def of(counters: Tensor) -> Found:
        """From counters on the host."""
        values = counters.tolist()
        names = ("RECORDS", "RECORDS_WANTED", "INSTANCES", "INSTANCES_WANTED")
        return Found(*(values[constant(f"COUNTER_{name}")] for name in names))

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.records >= self.records_wanted and self.instances >= self.instances_wanted


def check_instances(wanted: int) -> None:
    """Refuse what the kernels cannot count.

    Raises:
        SplatkitError: too many pairs of splat and tile.
    """
    if wanted >= MOST_INSTANCES:
        raise SplatkitError(
            f"render: the splats cover more than {MOST_INSTANCES:,} tiles together; render fewer "
            "cameras at once, or smaller images"
        )


class InstanceRoom:
    """Foresees how many pairs of splat and tile a pass will have, from those before it."""

    def __init__(self) -> None:
        self._per_record = _AT_FIRST

    def guess(self, records: int) -> int:
        """Room for that many records."""
        return max(LEAST_INSTANCES, int(_ROOM * self._per_record * records))

    def learn(self, records: int, instances: int) -> None:
        """What a pass had."""
        if records:
            self._per_record = max(0.9 * self._per_record, instances / records)

    def counted(self, records: int, attempt: Attempt[_Result]) -> _Result:
        """A pass that had room for all; the device is waited for.

        Args:
            records: what there is at most.
            attempt: done once, or twice where the first time had too little room.
        """
        instances = self.guess(records)
        while True:
            result, counters = attempt(instances)
            found = Found.of(counters.cpu())
            check_instances(found.instances_wanted)
            self.learn(records, found.instances_wanted)
            if found.complete:
                return result
            instances = found.instances_wanted


class LateRoom:
    """Room for the passes of a training, which wait for no count.

    How many pairs there were is read a pass late. Should they ever not fit, the farthest splats are
    left out of that one pass, and the room grows. Only a picture larger than all before it is
    counted before going on.

    Args:
        recounts: count before going on where there is another number of records, too.
    """

    def __init__(self, recounts: bool) -> None:
        self._recounts = recounts
        self._foreseen = InstanceRoom()
        self._instances = 0
        self._records = -1
        self._pixels = 0
        self._reading: tuple[LateReading, int] | None = None
        """Counters on their way, and what there was at most."""

    def draw(self, records: int, pixels: int, attempt: Attempt[_Result]) -> _Result:
        """A pass with room for all, as far as can be known without waiting.

        Args:
            records: what there is at most.
            pixels: of all pictures.
            attempt: done again only where it is counted.
        """
        changed, larger = records != self._records, pixels > self._pixels
        self._records, self._pixels = records, max(pixels, self._pixels)
        if self._reading is not None and self._reading[0].ready:
            reading, had = self._reading
            self._make_room(Found.of(reading.value), had)
            self._reading = None
        if changed or larger:
            self._instances = max(self._instances, self._foreseen.guess(records))
        result, counters = attempt(self._instances)
        if larger or (changed and self._recounts):
            self._reading = None
            while not self._make_room(Found.of(counters.cpu()), records):
                result, counters = attempt(self._instances)
        elif self._reading is None:
            self._reading = LateReading(counters), records
        return result

    def _make_room(self, found: Found, records: int) -> bool:
        """Foresee more where it was tight; whether nothing had been left out."""
        check_instances(found.instances_wanted)
        # For all that there is, not for what was seen: one look at a few large splats says little.
        self._foreseen.learn(records, found.instances_wanted)
        if found.instances_wanted > _TIGHT * self._instances:
            self._instances = max(self._instances, self._foreseen.guess(records))
        return found.complete
