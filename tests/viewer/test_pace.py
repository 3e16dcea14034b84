from __future__ import annotations

import pytest

from splatkit.viewer.pace import LEAST_SCALE, TARGET_SECONDS, Pace


@pytest.mark.parametrize("seconds_at_full_size", [0.01, 0.2, 1.0])
def test_the_size_settles_where_the_time_is_met(seconds_at_full_size: float) -> None:
    pace = Pace()
    for _ in range(60):
        pace.measured(seconds_at_full_size * pace.scale**2)
    expected = min(1.0, (TARGET_SECONDS / seconds_at_full_size) ** 0.5)
    assert pace.scale == pytest.approx(max(expected, LEAST_SCALE), rel=0.02)


def test_sizes_keep_the_shape_and_never_exceed_the_view() -> None:
    pace = Pace()
    width, height = pace.moving_size(1280, 720)
    assert width < 1280
    assert width / height == pytest.approx(1280 / 720, rel=0.01)
    assert pace.moving_size(10, 1000)[0] == 10
    assert pace.moving_size(1000, 1) == (496, 1)
    for _ in range(20):
        pace.measured(1e-4)
    assert pace.moving_size(1280, 720) == (1280, 720)


def test_one_slow_picture_does_not_ruin_the_next_ones() -> None:
    pace = Pace()
    before = pace.scale
    pace.measured(30.0)
    assert pace.scale >= 0.5 * before
