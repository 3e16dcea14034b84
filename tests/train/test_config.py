"""Options: what they mean and how wrong ones are refused."""

import pytest

from splatkit.core import UsageError
from splatkit.train.config import PRESETS, Recipe, TrainConfig, seconds_from_text
from splatkit.train.presets import Machine, sized


def test_resize_divides_or_sets_the_long_side():
    assert TrainConfig(resize=2).picture_size(1000, 750) == (500, 375)
    assert TrainConfig(resize=640).picture_size(750, 1000) == (480, 640)
    assert TrainConfig(resize=1).picture_size(1000, 750) == (1000, 750)


def test_photos_are_never_enlarged():
    assert TrainConfig(resize=640).picture_size(400, 300) == (400, 300)
    assert TrainConfig().picture_size(40, 30) == (40, 30)


def test_preset_fills_what_is_not_given():
    config = TrainConfig(preset="draft", iterations=77)
    assert config.steps == 77
    assert config.budget == PRESETS["draft"].max_gaussians


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), (" 2 m ", 120)]
)
def test_times(text, seconds):
    assert seconds_from_text(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "-5m", "0s", "5 days", "1e3s"])
def test_other_times_are_refused_in_one_line(text):
    with pytest.raises(UsageError, match="--time-limit: expected a time like") as caught:
        TrainConfig(time_limit=text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": 0},
        {"max_gaussians": 0},
        {"sh_degree": 5},
        {"resize": 3},
        {"resize": 0},
        {"test_every": 1},
        {"threads": -1},
        {"background": "grey"},
        {"background": "1,1"},
        {"background": "0,0,255"},
    ],
)
def test_values_out_of_range_name_their_option(options):
    option = "--" + next(iter(options)).replace("_", "-")
    with pytest.raises(UsageError, match=option):
        TrainConfig(**options)


def test_a_background_is_a_colour_or_a_word():
    assert TrainConfig(background="0.5, 0,1").given_background == (0.5, 0.0, 1.0)
    assert TrainConfig(background="random").given_background is None
    assert TrainConfig().given_background is None


def test_few_photos_are_good_for_few_steps():
    draft = TrainConfig(preset="draft")
    assert [draft.most_steps(photos) for photos in (3, 9, 20, 50)] == [500, 810, 4000, 25_000]
    assert sized(draft).most_steps(9) == 810
    assert TrainConfig(preset="draft", iterations=6000).most_steps(9) is None
    assert TrainConfig(time_limit="1h", iterations=6000).most_steps(9) == 810
    recipe = Recipe(steps_per_square=0.0)
    assert TrainConfig(preset="draft", recipe=recipe).most_steps(9) is None


def test_presets_fit_the_machine():
    known = sized(TrainConfig(), Machine(threads=2))
    preset = PRESETS["standard"]
    assert (known.iterations, known.max_gaussians, known.resize) == (
        preset.iterations, preset.max_gaussians, preset.long_side
    )  # fmt: skip
    strong = sized(TrainConfig(), Machine(threads=8))
    assert strong.max_gaussians == 4 * preset.max_gaussians
    assert strong.resize == 2 * preset.long_side
    gpu = sized(TrainConfig(preset="high"), Machine(1, 80e9, gpu=True))
    assert gpu.max_gaussians == 8 * PRESETS["high"].max_gaussians
    small = sized(TrainConfig(), Machine(threads=8, memory_bytes=1e9))
    assert 2000 < small.budget < 200_000
    assert sized(TrainConfig(), Machine(1, memory_bytes=1e8)).budget == 2000


def test_what_is_given_is_not_sized():
    given = TrainConfig(iterations=5, max_gaussians=77, resize=2)
    assert sized(given, Machine(64, 1e12, gpu=True)) == given
