"""What is known of a browser's line, and what follows from it."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatkit.core import Gaussians
from splatkit.export import OpenScene
from splatkit.viewer import FixedSource
from splatkit.viewer.encode import LEAST_MOVING, MOVING_SECONDS, Encoded, Encoder
from splatkit.viewer.line import Line
from splatkit.viewer.pace import Pace
from splatkit.viewer.session import Session
from splatkit.viewer.turns import Turns
from splatkit.viewer.views import first_place
from tests.scenes import ball_over_floor
from tests.viewer.test_browser import view_at


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def sent(line: Line, clock: Time, size: int, seconds: float) -> None:
    line.begins()
    assert line.is_busy
    clock.now += seconds
    line.ends(size)
    assert not line.is_busy


def test_the_rate_is_known_from_what_had_to_wait() -> None:
    clock = Time()
    line = Line(clock)
    sent(line, clock, 50_000, 0.0001)
    assert line.rate is None, "a buffer took it"
    for _ in range(30):
        sent(line, clock, 100, 0.5)
        sent(line, clock, 50_000, 0.1)
    assert line.rate == pytest.approx(500_000)
    for _ in range(30):
        sent(line, clock, 50_000, 0.001)
    assert line.rate is not None
    assert line.rate > 2e6


def noisy(size: int = 256) -> np.ndarray:
    chance = np.random.default_rng(0)
    picture = chance.integers(0, 255, (size // 4, size // 4, 3), np.uint8)
    return picture.repeat(4, 0).repeat(4, 1)


def test_quality_falls_until_a_picture_fits_the_line_and_rises_again() -> None:
    encoder, picture = Encoder(), noisy()
    free = encoder.encode(picture, False, False, None)
    rate = 0.6 * len(free.data) / MOVING_SECONDS
    for _ in range(20):
        tight = encoder.encode(picture, False, False, rate)
    assert LEAST_MOVING < (tight.quality or 0) < (free.quality or 0)
    assert len(tight.data) <= 1.15 * rate * MOVING_SECONDS
    for _ in range(20):
        worst = encoder.encode(picture, False, False, 10.0)
    assert worst.quality == LEAST_MOVING
    encoder.encode(picture, False, False, None)
    assert encoder.encode(picture, False, False, None).quality == free.quality


def test_values_are_sent_without_loss_where_the_line_carries_them() -> None:
    picture = noisy()
    exact = Encoder().encode(picture, True, True, None)
    assert exact.format == "png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(exact.data))), picture)
    slow = Encoder().encode(picture, True, True, 500_000)
    assert slow.format == "jpeg"


def test_a_slow_line_makes_moving_pictures_smaller() -> None:
    fast, slow = Pace(), Pace()
    for _ in range(20):
        fast.measured(0.02, 0.01)
        slow.measured(0.02, 0.4)
    assert slow.scale < fast.scale == 1.0


def test_turns_are_taken_in_order() -> None:
    turns, order = Turns(), []
    threads = []
    with turns.turn():
        for number in range(6):
            waiting = len(turns._waiting)

            def work(number: int = number) -> None:
                with turns.turn():
                    order.append(number)

            threads.append(threading.Thread(target=work))
            threads[-1].start()
            while len(turns._waiting) == waiting:
                time.sleep(0.001)
    for thread in threads:
        thread.join(60)
    assert order == list(range(6))
    with pytest.raises(ValueError, match="x"), turns.turn():
        raise ValueError("x")
    with turns.turn():
        pass


def source_of(scene: Gaussians) -> FixedSource:
    return FixedSource(OpenScene("balls", Path("balls.ply"), scene))


def test_nothing_is_drawn_while_the_line_is_full_and_then_the_newest() -> None:

    scene, line, pictures = ball_over_floor(), Line(), []
    came = threading.Event()

    def send(picture: Encoded) -> None:
        pictures.append(picture)
        came.set()

    session = Session(source_of(scene), send, line)
    view = view_at(first_place([], scene))
    session.start()
    line.begins()
    for width in (32, 48, 64):
        session.move(view, width, 32)
    assert not came.wait(0.3)
    line.ends(10)
    assert came.wait(60)
    assert Image.open(io.BytesIO(pictures[0].data)).width <= 64
    while session.last is None or not session.last.sharp:
        time.sleep(0.01)
    assert session.last.width == 64
    session.stop()


def test_finished_frames_go_through_what_is_hung_in() -> None:

    scene, came = ball_over_floor(), threading.Event()

    session = Session(
        FixedSource(OpenScene("balls", Path("balls.ply"), scene)), lambda _: came.set()
    )
    seen: list[bool] = []

    def twice(frame: np.ndarray, sharp: bool) -> np.ndarray:
        seen.append(sharp)
        return frame.repeat(2, 0).repeat(2, 1)

    session.post.append(twice)
    session.start()
    session.move(view_at(first_place([], scene)), 32, 16)
    assert came.wait(60)
    while session.last is None:
        time.sleep(0.01)
    assert session.last.pixels.shape == (32, 64, 3)
    assert seen[0] is True
    session.stop()
