"""One browser's pictures: a thread that renders what this browser looks at.

While the view moves, pictures are as large as the pace allows; once it rests, one sharp picture
follows. Each session has its own thread, so that a slow browser holds up no other one.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from splatkit.viewer.encode import Encoded, Encoder
from splatkit.viewer.enhancer import Enhancer
from splatkit.viewer.line import Line
from splatkit.viewer.look import Look, Subject, draw
from splatkit.viewer.pace import Pace
from splatkit.viewer.photographs import Photographs
from splatkit.viewer.source import SceneSource
from splatkit.viewer.turns import RENDERING
from splatkit.viewer.views import View

REST_SECONDS = 0.12
"""A view that has not changed for this long is at rest."""
POLL_SECONDS = 0.1
"""How often a resting session asks whether the scene has changed."""
MOST_PIXELS = 1920 * 1200
BUSY_SECONDS = 0.003
"""How often a session whose line is full looks again."""


@dataclass(frozen=True)
class Shown:
    """A picture that went to the browser."""

    width: int
    height: int
    seconds: float
    """Time to render and encode it, without waiting for others' turns."""
    size: int
    """Bytes that went out."""
    sharp: bool
    pixels: np.ndarray = field(repr=False)
    """[H,W,3] uint8."""
    milliseconds: dict[str, float] = field(default_factory=dict)
    """Parts of the time of an upscaled or graded picture."""
    ratio: float = 1.0
    """Pixels of the picture a rendered pixel, each way."""


class Session:
    """Renders for one browser until it is stopped.

    Args:
        source: gives the scene.
        send: takes a picture to the browser.
        line: tells whether the browser's line is full.
        shown: is told about every picture that was sent.
        failed: is told why a picture could not be drawn.
        backend: see ``render``.
    """

    def __init__(
        self,
        source: SceneSource,
        send: Callable[[Encoded], None],
        line: Line | None = None,
        shown: Callable[[Shown], None] = lambda _: None,
        failed: Callable[[str], None] = lambda _: None,
        backend: str = "auto",
    ) -> None:
        self._source = source
        self._send = send
        self._shown, self._failed = shown, failed
        self._backend = backend
        self._photographs = Photographs(source.photos, source.background, backend)
        self._pace = Pace()
        self._enhancer = Enhancer(backend)
        self._line = line or Line()
        self._encoder = Encoder()
        self._changed = threading.Condition()
        self.post: list[Callable[[np.ndarray, bool], np.ndarray]] = []
        """What happens to a finished frame [H,W,3] uint8 before it is encoded, in this order: each
        is given the frame and whether the view rests, and gives one of any size. They run outside
        of the turn to render, in the thread of this session."""
        self._view: View | None = None
        self._size = (1, 1)
        self._look = Look(background=source.background)
        self._moved_at = -float("inf")
        self._stopped = self._resting = False
        self._shown_last: Shown | None = None
        self._thread = threading.Thread(target=self._run, name="viewer session", daemon=True)

    @property
    def look(self) -> Look:
        """What this browser wants to see."""
        return self._look

    @property
    def view(self) -> View | None:
        """Where this browser looks from; None before it has said so."""
        return self._view

    @property
    def last(self) -> Shown | None:
        """The last picture that was sent."""
        return self._shown_last

    def start(self) -> None:
        """Begin to render."""
        self._thread.start()

    def stop(self) -> None:
        """End after the picture at hand."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def move(self, view: View, width: int, height: int) -> None:
        """The browser looks from elsewhere, or its window has another size, pixels."""
        with self._changed:
            # The first view is not a movement: nobody waits for a blurred picture first.
            self._moved_at = time.monotonic() if self._view is not None else -float("inf")
            self._view, self._size = view, (max(1, width), max(1, height))
            self._changed.notify()

    def change(self, look: Look) -> None:
        """The browser wants another look."""
        with self._changed:
            self._look = look
            self._changed.notify()

    def rest(self, resting: bool) -> None:
        """Draw nothing for a while: the browser draws by itself."""
        with self._changed:
            self._resting = resting
            self._changed.notify()

    def _run(self) -> None:
        drawn: tuple[object, ...] | None = None
        drawn_at = -math.inf
        sharp = False
        while True:
            with self._changed:
                if self._stopped:
                    return
                resting = time.monotonic() - self._moved_at
                wanted = (self._view, self._size, self._look, self._resting, *self._versions())
                unfinished = sharp and not self._enhancer.settled
                wait = _time_to_wait(wanted != drawn or unfinished, sharp, resting)
                allowance = self._source.allowance
                if wait == 0 and allowance is not None:
                    # What a person does is answered from what was saved up; training's own
                    # progress is shown as far as its share goes.
                    asked = drawn is None or wanted[:3] != drawn[:3]
                    waited = time.monotonic() - drawn_at
                    wait = min(POLL_SECONDS, allowance.wait(asked or not sharp, waited))
                if wait == 0 and self._line.is_busy:
                    # The newest view is drawn when there is room for its picture, none before.
                    wait = BUSY_SECONDS
                if self._view is None or self._resting or wait > 0:
                    self._changed.wait(wait or POLL_SECONDS)
                    continue
            try:
                sharp = resting >= REST_SECONDS
                self._draw(self._view, self._size, self._look, sharp)
            except Exception as error:
                # A page that stays grey without a word would be worse than the repeated line.
                print(f"error: the view could not be drawn: {error}", file=sys.stderr)
                self._failed(" ".join(str(error).split()))
                sharp = True
            drawn, drawn_at = wanted, time.monotonic()

    def _draw(self, view: View, size: tuple[int, int], look: Look, sharp: bool) -> None:
        full = _limited(*size, look.resolution)
        # An upscaler renders less for a whole picture: that takes the place of a smaller one.
        upscaled = look.mode == "rgb" and look.enhancing.options.mode != "off"
        width, height = full if sharp or upscaled else self._pace.moving_size(*full)
        gaussians, version = self._source.current()
        subject = Subject(gaussians, self._photographs, version)
        other = look.other.current()[0] if look.other is not None else None
        camera = view.camera(width, height)
        with RENDERING.turn():
            start = time.perf_counter()
            paint = self._enhancer.painter(look, version, moving=not sharp)
            pixels = draw(subject, camera, look, self._backend, other, paint)
            drawn = time.perf_counter() - start
        start = time.perf_counter()
        for step in self.post:
            pixels = step(pixels, sharp)
        lossless = sharp and look.mode != "rgb"
        picture = self._encoder.encode(pixels, sharp, lossless, self._line.rate)
        seconds = drawn + time.perf_counter() - start
        self._send(picture)
        # Who waits for the turn waits less when everybody's pictures cost less.
        with_turns = seconds * (1 + RENDERING.waiting)
        self._enhancer.measured(with_turns)
        if not sharp and not upscaled:
            rate = self._line.rate
            self._pace.measured(with_turns, 0.0 if rate is None else len(picture.data) / rate)
        if self._source.allowance is not None:
            self._source.allowance.spend(seconds)
        self._shown_last = Shown(
            width,
            height,
            seconds,
            len(picture.data),
            sharp,
            pixels,
            self._enhancer.milliseconds,
            self._enhancer.ratio,
        )
        self._shown(self._shown_last)

    def _versions(self) -> tuple[Hashable, ...]:
        other = self._look.other
        return self._source.current()[1], other and other.current()[1]


def _time_to_wait(changed: bool, sharp: bool, resting: float) -> float:
    """Seconds until there may be something to draw; 0 where there is now."""
    if changed:
        return 0.0
    if not sharp:
        return max(0.0, REST_SECONDS - resting)
    return POLL_SECONDS


def _limited(width: int, height: int, resolution: float) -> tuple[int, int]:
    """The size of a sharp picture: the page's own, made smaller where that is asked for or huge."""
    share = min(resolution, (MOST_PIXELS / (width * height)) ** 0.5, 1.0)
    return max(1, round(width * share)), max(1, round(height * share))
