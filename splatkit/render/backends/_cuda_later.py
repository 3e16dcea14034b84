"""What the host learns from the device without waiting: counts, times; and replayed launches."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from typing import Generic, TypeVar

import torch
from torch import Tensor

from splatkit.render.backends._cuda_plan import Choice

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes work that enqueues launches; gives a function that enqueues the same ones again. The work
is only recorded, not done, when it is taken."""
_CAPTURING = threading.Lock()
"""A process captures one graph at a time."""


class LateReading:
    """A small tensor on its way to the host.

    Args:
        tensor: as it is once all that is enqueued now is done.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.device.type == "cuda":
            self._value = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._value.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(tensor.device))
        else:
            self._value = tensor.clone()

    @property
    def ready(self) -> bool:
        """Whether ``value`` can be read without waiting."""
        return self._event is None or self._event.query()

    @property
    def value(self) -> Tensor:
        """The tensor on the host; only once it is ``ready``."""
        return self._value


class Stopwatch:
    """Times what is enqueued between ``start`` and ``stop`` on the device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[torch.cuda.Event | float] = []

    def mark(self) -> None:
        """Note where the device is; calls come in pairs."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    @property
    def milliseconds(self) -> float | None:
        """Sum over the pairs; None while the device is not there yet."""
        total = 0.0
        for begin, end in zip(self._marks[::2], self._marks[1::2], strict=True):
            if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
                if not end.query():
                    return None
                total += begin.elapsed_time(end)
            elif isinstance(begin, float) and isinstance(end, float):
                total += 1e3 * (end - begin)
        return total


TRIALS = 4
"""Steps a form is timed for; the first one compiles and is not counted."""


class FormChooser:
    """Tries the forms of blending's backward pass in turn during training and keeps the fastest.

    The forms give the same gradients up to the order of sums.

    Args:
        device: that runs them.
        forms: at least one; alone it is not timed.
    """

    def __init__(self, device: torch.device, forms: list[Choice]) -> None:
        self._forms = forms
        self._device = device
        self._watches: list[Stopwatch] = []
        self._timed = False
        self._chosen = self._forms[0] if len(self._forms) == 1 else None

    @property
    def done(self) -> bool:
        """Whether the choice is made."""
        return self._chosen is not None

    def next(self) -> Choice:
        """The form of the next step."""
        tried = len(self._watches)
        self._timed = False
        if self._chosen is None and tried >= TRIALS * len(self._forms):
            times = [watch.milliseconds for watch in self._watches]
            if None in times:
                # Until the device gets there; not timed, or it would never be there.
                return self._forms[0]
            best = [
                min(t for t in times[first + 1 : first + TRIALS] if t is not None)
                for first in range(0, tried, TRIALS)
            ]
            self._chosen = self._forms[best.index(min(best))]
        if self._chosen is not None:
            return self._chosen
        self._timed = True
        self._watches.append(Stopwatch(self._device))
        return self._forms[tried // TRIALS]

    def mark(self) -> None:
        """Before and after each part of the step that depends on the form."""
        if self._timed:
            self._watches[-1].mark()


Result = TypeVar("Result")
REPEATS_BEFORE_CAPTURE = 3
MOST_CAPTURES = 16


class Replayer(Generic[Result]):
    """Runs work, and from the fourth time with the same key on replays what it launched.

    Args:
        capture: makes a replay; None never does.
    """

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture
        self._scope: Hashable = None
        self._seen: OrderedDict[Hashable, int | tuple[Callable[[], None], Result]] = OrderedDict()

    def run(self, scope: Hashable, key: Hashable, work: Callable[[], Result]) -> Result:
        """Do the work.

        Args:
            scope: all that was seen under another one is forgotten.
            key: equal where the work launches the same kernels on the same addresses.
            work: enqueues launches; it allocates nothing after its first run with this key.

        Returns:
            What the work gives, which a replay leaves in the same memory.
        """
        if self._capture is None:
            return work()
        if scope != self._scope:
            self._scope = scope
            self._seen.clear()
        known = self._seen.pop(key, 0)
        if isinstance(known, int) and known >= REPEATS_BEFORE_CAPTURE:
            results: list[Result] = []
            replay = self._capture(lambda: results.append(work()))
            known = (replay, results[0])
        if isinstance(known, int):
            self._seen[key] = known + 1
            return work()
        self._seen[key] = known
        while len(self._seen) > MOST_CAPTURES:
            self._seen.popitem(last=False)
        replay, result = known
        replay()
        return result


@cache
def own_stream(device: torch.device, use: str) -> torch.cuda.Stream:
    """The device's stream for one use.

    torch deals out the same 32 streams again and again: a new one for each graph would some day be
    the one on which another thread loads photos.
    """
    return torch.cuda.Stream(device)


def capture_graph(device: torch.device) -> Capture:
    """Captures into CUDA graphs of this device, one at a time."""

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with _CAPTURING:
            side = own_stream(device, "capture")
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                # Other threads may load photos meanwhile.
                graph.capture_begin(capture_error_mode="thread_local")
                try:
                    work()
                except BaseException:
                    # The end of a broken capture fails, too, and would hide why.
                    with suppress(RuntimeError):
                        graph.capture_end()
                    raise
                graph.capture_end()
            torch.cuda.current_stream(device).wait_stream(side)
        return graph.replay

    return capture
