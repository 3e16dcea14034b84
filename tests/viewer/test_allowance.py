from __future__ import annotations

import random

import pytest

from splatkit.viewer.allowance import PATIENCE, RESERVE, Allowance


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn_seconds(moving: bool, share: float, length: float, each: float = 0.2) -> float:
    """How long drawing takes of that much training when it is done as often as it may be."""
    time = Time()
    allowance = Allowance(share, time)
    drawn = 0.0
    while time.now < length:
        wait = allowance.wait(moving)
        time.now += wait + each
        if time.now >= length:
            break
        allowance.spend(each)
        drawn += each
    return drawn


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4])
def test_a_view_at_rest_takes_its_share(share: float) -> None:
    assert drawn_seconds(False, share, 600) == pytest.approx(600 * share, rel=0.05)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4])
def test_movement_takes_its_share_and_the_reserve(share: float) -> None:
    taken = drawn_seconds(True, share, 600)
    assert taken == pytest.approx(600 * share + RESERVE, rel=0.05)


def test_what_was_saved_up_makes_movement_smooth() -> None:
    time = Time()
    allowance = Allowance(0.1, time)
    for _ in range(100):
        assert allowance.wait(moving=True) == 0
        allowance.spend(0.05)
    assert allowance.wait(moving=False) > 10


def test_a_view_at_rest_is_renewed_although_others_never_rest() -> None:
    time = Time()
    allowance = Allowance(0.1, time)
    chance, renewed, last = random.Random(0), 0, 0.0
    while time.now < 300:
        time.now += 0.01 + allowance.wait(moving=True)
        rests = allowance.wait(moving=False, waited=time.now - last) == 0
        # Whoever of five is first when something may be drawn.
        if rests and chance.randrange(5) == 0:
            renewed, last = renewed + 1, time.now
        allowance.spend(0.05)
    assert renewed > 300 / (2 * PATIENCE)


def test_nobody_among_many_who_move_waits_for_long() -> None:
    time = Time()
    allowance = Allowance(0.1, time)
    chance, drawn_at, longest = random.Random(0), [0.0] * 16, 0.0
    while time.now < 300:
        time.now += 0.01
        who = chance.randrange(16)
        if allowance.wait(moving=True, waited=time.now - drawn_at[who]) == 0:
            longest = max(longest, time.now - drawn_at[who])
            time.now += 0.04
            allowance.spend(0.04)
            drawn_at[who] = time.now
    # A round of all takes 16 times 0.04 s of a tenth of the time.
    assert longest < 3 * 16 * 0.04 / 0.1


def test_the_whole_time_is_no_limit() -> None:
    allowance = Allowance(1.0, Time())
    allowance.spend(1000)
    assert allowance.wait(moving=True) == 0
