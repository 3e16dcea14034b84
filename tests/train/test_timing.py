"""Forecasts of a clock that is turned by hand."""

import pytest

from splatkit.train import timing
from splatkit.train.schedule import Pace
from splatkit.train.timing import Clock, StepCost

STEPS = 4000
COST = StepCost()


def parts(progress):
    """A usual run: small pictures first, growing Gaussians and harmonics."""
    factor = 4 if progress < 0.1 else 2 if progress < 0.35 else 1
    gaussians = 40_000 + 160_000 * min(progress / 0.6, 1.0)
    harmonics = (1 + min(3, int(progress * 10))) ** 2
    return COST.parts(300_000 / factor**2, gaussians, harmonics, progress < 0.85)


@pytest.fixture
def hand(monkeypatch):
    """The time, in a list, that the clock sees."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def forecasts(hand, seconds_at, every=20):
    """Foreseen over true remaining time, from 15% of the time on."""
    clock = Clock()
    left = sum(seconds_at(step / STEPS) for step in range(STEPS))
    ratios = {}
    for step in range(STEPS):
        took = seconds_at(step / STEPS)
        hand[0] += took
        left -= took
        if (step + 1) % every == 0 and step + 1 < STEPS:
            progress = (step + 1) / STEPS
            clock.tick(parts(progress), every)
            ratios[hand[0]] = clock.seconds_for(parts, progress, STEPS - step - 1) / left
    return [ratio for seconds, ratio in ratios.items() if seconds >= 0.15 * hand[0]]


@pytest.mark.parametrize(
    ("pixels", "gaussians"), [(1, 1), (5, 5), (2, 6), (6, 2), (0.3, 0.5), (1, 2.5)]
)
def test_the_remaining_time_is_right_within_a_fifth(hand, pixels, gaussians):
    """On machines that are slower or faster than the known one, in one part or in both."""

    def seconds_at(progress):
        a, b = parts(progress)
        return pixels * a + gaussians * b

    late = forecasts(hand, seconds_at)
    assert max(late) < 1.2
    assert min(late) > 0.8


def measured(progress):
    """Seconds of a step as steps of a trained scene took them; they are no sum of two parts."""
    factor = 4 if progress < 0.1 else 2 if progress < 0.35 else 1
    pixels = 273_280 / factor**2
    gaussians = 40_000 + 160_000 * min(progress / 0.6, 1.0) ** 0.7
    harmonics = (1 + min(3, int(progress * 10))) ** 2
    blended = 5.0e-8 * pixels + 6.7e-8 * (pixels * gaussians) ** 0.5
    return blended + (7.0e-8 + 1.3e-9 * (harmonics - 1)) * gaussians


@pytest.mark.parametrize("factor", [0.3, 1, 4])
def test_the_remaining_time_is_right_for_steps_as_they_were_measured(hand, factor):
    late = forecasts(hand, lambda progress: factor * measured(progress))
    assert max(late) < 1.2
    assert min(late) > 0.8


@pytest.mark.parametrize(("factor", "limit"), [(1, 600.0), (3, 600.0), (0.5, 90.0)])
def test_a_time_limit_is_met_by_a_plan_that_hardly_changes(hand, factor, limit):
    clock, pace = Clock(), Pace(15_000)
    plans, step = {}, 0
    while step < pace.last_step:
        hand[0] += factor * measured(pace.progress(step))
        step += 1
        if step % 50 == 0 and step < pace.last_step:
            progress = pace.progress(step)
            clock.tick(parts(progress), 50)
            pace = pace.replanned(step, clock.steps_within(parts, progress, limit - clock.seconds))
            plans[progress] = pace.last_step
    assert clock.seconds == pytest.approx(limit, rel=0.02)
    late = [plan for progress, plan in plans.items() if progress >= 0.15]
    assert max(late) < 1.2 * step
    assert min(late) > 0.8 * step


def test_one_long_stall_does_not_spoil_the_forecast(hand):
    stalled = []

    def seconds_at(progress):
        stall = 0.0
        if progress > 0.2 and not stalled:
            stalled.append(progress)
            stall = 60.0
        return sum(parts(progress)) + stall

    clock = Clock()
    for step in range(1200):
        hand[0] += seconds_at(step / STEPS)
        if step % 20 == 19:
            clock.tick(parts((step + 1) / STEPS), 20)
    left = sum(sum(parts(step / STEPS)) for step in range(1200, STEPS))
    assert stalled
    assert clock.seconds_for(parts, 0.3, STEPS - 1200) == pytest.approx(left, rel=0.1)


def test_a_machine_that_becomes_slower_is_noticed(hand):
    clock = Clock()
    for step in range(3000):
        hand[0] += sum(parts(step / STEPS)) * (1 if step < 1000 else 3)
        if step % 20 == 19:
            clock.tick(parts((step + 1) / STEPS), 20)
    left = 3 * sum(sum(parts(step / STEPS)) for step in range(3000, STEPS))
    assert clock.seconds_for(parts, 0.75, 1000) == pytest.approx(left, rel=0.25)
    assert clock.steps_within(parts, 0.75, clock.seconds_for(parts, 0.75, 1000)) == pytest.approx(
        1000, abs=1
    )


def test_before_the_first_measurement_nothing_is_foreseen(hand):
    clock = Clock()
    assert clock.seconds_for(parts, 0.0, 100) == 0
    assert clock.steps_within(parts, 0.0, 100.0) == 1
    assert clock.steps_per_second == 0


def test_time_of_earlier_sessions_counts(hand):
    clock = Clock(seconds=30.0)
    hand[0] += 5
    assert clock.seconds == 35
