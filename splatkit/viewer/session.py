"""One browser's pictures: a thread that renders what this browser looks at.

While the view moves, pictures are as large as the pace allows; once it rests, one sharp picture
follows. Each session has its own thread, so that a slow browser holds up no other one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from splatkit.render import render
from splatkit.render.pictures import outputs_of, picture
from splatkit.viewer.pace import Pace
from splatkit.viewer.source import SceneSource
from splatkit.viewer.views import View

REST_SECONDS = 0.12
"""A view that has not changed for this long is at rest."""
POLL_SECONDS = 0.1
"""How often a resting session asks whether the scene has changed."""
MOST_PIXELS = 1920 * 1200
MOVING_QUALITY, SHARP_QUALITY = 70, 92
"""JPEG quality."""


@dataclass(frozen=True)
class Look:
    """What a browser wants to see of the scene."""

    mode: str = "rgb"
    """One of ``splatkit.render.pictures.MODES``."""
    sh_degree: int = 4
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    resolution: float = 1.0
    """Share of the page's own pixels for sharp pictures, per side."""


@dataclass(frozen=True)
class Shown:
    """A picture that went to the browser."""

    width: int
    height: int
    seconds: float
    """Time to render and encode it."""
    sharp: bool


class Session:
    """Renders for one browser until it is stopped.

    Args:
        source: gives the scene.
        send: takes a picture [H,W,3] uint8 and a JPEG quality, or None for a lossless one.
        shown: is told about every picture that was sent.
        backend: see ``render``.
    """

    def __init__(
        self,
        source: SceneSource,
        send: Callable[[np.ndarray, int | None], None],
        shown: Callable[[Shown], None] = lambda _: None,
        backend: str = "auto",
    ) -> None:
        self._source = source
        self._send = send
        self._shown = shown
        self._backend = backend
        self._pace = Pace()
        self._changed = threading.Condition()
        self._view: View | None = None
        self._size = (1, 1)
        self._look = Look(background=source.background)
        self._moved_at = -float("inf")
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="viewer session", daemon=True)

    @property
    def look(self) -> Look:
        """What this browser wants to see."""
        return self._look

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

    def _run(self) -> None:
        drawn: object = None
        sharp = False
        while True:
            with self._changed:
                if self._stopped:
                    return
                resting = time.monotonic() - self._moved_at
                wanted = (self._view, self._size, self._look, self._source.current()[1])
                wait = _time_to_wait(wanted != drawn, sharp, resting)
                if self._view is None or wait > 0:
                    self._changed.wait(wait or POLL_SECONDS)
                    continue
            try:
                sharp = resting >= REST_SECONDS
                self._draw(self._view, self._size, self._look, sharp)
            except Exception as error:
                # A page that stays grey without a word would be worse than the repeated line.
                print(f"error: the view could not be drawn: {error}", file=sys.stderr)
                sharp = True
            drawn = wanted

    def _draw(self, view: View, size: tuple[int, int], look: Look, sharp: bool) -> None:
        start = time.perf_counter()
        full = _limited(*size, look.resolution)
        width, height = full if sharp else self._pace.moving_size(*full)
        gaussians, _ = self._source.current()
        with torch.no_grad():
            rendered = render(
                gaussians,
                view.camera(width, height).to(gaussians.means.dtype),
                background=gaussians.means.new_tensor(look.background),
                sh_degree=min(look.sh_degree, gaussians.sh_degree),
                outputs=outputs_of(look.mode),
                backend=self._backend,
            )
            pixels = picture(rendered, look.mode)[0].cpu().numpy()
        # JPEG halves the resolution of colour, which spoils pictures whose colours are values.
        lossless = sharp and look.mode != "rgb"
        self._send(pixels, None if lossless else SHARP_QUALITY if sharp else MOVING_QUALITY)
        seconds = time.perf_counter() - start
        if not sharp:
            self._pace.measured(seconds)
        self._shown(Shown(width, height, seconds, sharp))


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
