"""Curves over progress, and plans that end on time."""

import pytest

from splatkit.train.schedule import Coarse, Pace, Rates, sh_degree_at


def test_centre_rate_decays_exponentially_and_scales_with_the_extent():
    rates = Rates(means=1e-2, means_final=1e-4)
    assert rates.at(0.0, 2.0, 50)["means"] == pytest.approx(2e-2)
    assert rates.at(0.5, 1.0, 50)["means"] == pytest.approx(1e-3)
    assert rates.at(1.0, 1.0, 50)["means"] == pytest.approx(1e-4)


def test_few_photos_learn_shapes_and_view_dependent_colours_slowly():
    rates = Rates(quats=1.0, log_scales=1.0, sh_rest=1.0, sh=1.0, full_from=40, least_share=0.25)
    for photos, share in ((3, 0.25), (20, 0.5), (40, 1.0), (400, 1.0)):
        now = rates.at(0.2, 1.0, photos)
        assert (now["quats"], now["log_scales"]) == (share, share)
        assert now["sh_rest"] == share**2
        assert now["sh"] == 1.0


def test_rates_fall_at_the_end():
    rates = Rates(sh=1.0, late=0.25, late_from=0.6)
    falling = [rates.at(progress, 1.0, 50)["sh"] for progress in (0.0, 0.6, 0.8, 1.0)]
    assert falling == pytest.approx([1.0, 1.0, 0.5, 0.25])


def test_pictures_grow_and_are_never_tiny():
    coarse = Coarse(half=0.4, quarter=0.1, least_side=100)
    factors = [coarse.factor(p, 640) for p in (0.0, 0.2, 0.5)]
    assert factors == [4, 2, 1]
    assert coarse.factor(0.0, 250) == 2
    assert coarse.factor(0.0, 120) == 1


def test_harmonics_grow_to_the_degree_asked_for():
    degrees = [sh_degree_at(p / 100, 3, 0.4) for p in range(101)]
    assert degrees[0] == 0
    assert degrees[-1] == 3
    assert degrees == sorted(degrees)
    assert sh_degree_at(0.4, 3, 0.4) == 3
    assert sh_degree_at(0.0, 0) == 0


def test_pace_reaches_one_at_the_last_step_and_not_before():
    pace = Pace(1000)
    assert pace.progress(0) == 0
    assert pace.progress(999) < 1
    assert pace.progress(1000) == 1


def test_replanning_keeps_progress_and_moves_the_end():
    pace = Pace(1000).replanned(400, 100)
    assert pace.progress(400) == pytest.approx(0.4)
    assert pace.last_step == 500
    assert pace.progress(450) == pytest.approx(0.7)
    again = pace.replanned(450, 1000)
    assert again.progress(450) == pytest.approx(0.7)
