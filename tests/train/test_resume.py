"""A run goes on with its own options, and with what is said anew."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from splatkit.core import Note, UsageError, drain
from splatkit.train import schedule
from splatkit.train import trainer as trainer_module
from splatkit.train.config import TrainConfig, flattened, plain
from splatkit.train.events import Finished, Started
from splatkit.train.pipeline import run
from splatkit.train.resume import given_options, saved_options, taken_up
from splatkit.train.run_folder import RunFolder
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.trainer import train
from tests.train.photographed import events_of
from tests.train.test_pipeline import write_transforms
from tests.train.test_trainer import FAST, stopped

UNUSUAL = replace(
    FAST, split=Path("names.txt"), time_limit="9m", resize=320, masks="transparent", seed=7
)


def saved(folder: Path, config: TrainConfig) -> Path:
    (folder / "config.json").write_text(json.dumps({"source": "photos", **plain(config)}))
    return folder


def test_options_come_back_from_the_file_as_they_were(tmp_path):
    told = saved_options(RunFolder(saved(tmp_path, UNUSUAL)))
    assert told == (Path("photos"), UNUSUAL)


def test_options_that_a_file_does_not_know_have_their_defaults(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 3, "recipe": {"rates": {}, "gone": 1}}')
    assert saved_options(RunFolder(tmp_path)) == (Path(), TrainConfig(seed=3))


def test_what_is_given_anew_comes_on_top(tmp_path):
    saved(tmp_path, UNUSUAL)
    changes = {"seed": 1, "recipe.rates.means": 0.5}
    source, config = taken_up(tmp_path, changes)
    rates = replace(UNUSUAL.recipe.rates, means=0.5)
    wanted = replace(UNUSUAL, seed=1, recipe=replace(UNUSUAL.recipe, rates=rates), resume=True)
    assert (source, config) == (Path("photos"), wanted)
    # More steps are wanted, so that the limit which would cut them off no longer counts.
    assert taken_up(tmp_path, {"iterations": 99})[1].time_limit is None
    # Another preset decides on what the first one had decided on.
    high = taken_up(tmp_path, {"preset": "high"}, Path("moved"))
    assert (high[0], high[1].iterations, high[1].resize) == (Path("moved"), None, "auto")
    with pytest.raises(UsageError, match="got 'nonsense'"):
        taken_up(tmp_path, {"nonsense": 1})


def test_typed_words_are_told_from_defaults():
    config = replace(TrainConfig(), seed=4, iterations=9)
    words = ["photos", "-i", "9", "--seed=4", "--no-viewer", "--recipe.rates.means", "1.6e-4"]
    given = given_options([*words, "--resume", "--max_gaussians", "5", "--", "--threads"], config)
    assert given == {
        "iterations": 9, "seed": 4, "recipe.rates.means": 1.6e-4, "max_gaussians": None
    }  # fmt: skip
    assert set(given) <= set(flattened(plain(config)))


def resumed(scene, folder, config):
    """Words, first and last step of a training that goes on."""
    events, _ = events_of(train(scene, folder, replace(config, resume=True)))
    started = next(e for e in events if isinstance(e, Started))
    finished = next(e for e in events if isinstance(e, Finished))
    return [e.text for e in events if isinstance(e, Note)], started.resumed_step, finished.step


def test_fewer_steps_than_are_done_add_none(scene, tmp_path):
    drain(train(scene, tmp_path, FAST))
    told, first, last = resumed(scene, tmp_path, replace(FAST, iterations=5))
    assert (first, last) == (24, 24)
    assert told == [
        "24 steps are done already, of 5 asked for: none is added, and the scene is taken as it is"
    ]


def test_more_steps_go_on_in_the_schedule_of_the_longer_run(scene, tmp_path):
    drain(train(scene, tmp_path, FAST))
    told, first, last = resumed(scene, tmp_path, replace(FAST, iterations=48))
    assert (first, last) == (24, 48)
    assert told == ["The schedule now ends at step 48 instead of 24; it goes on at 50%"]
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    pace = load_state(newest).pace
    assert (pace.progress(24), pace.progress(36)) == (0.5, 0.75)


def test_more_gaussians_are_grown_and_fewer_are_not_cut(scene, tmp_path):
    drain(train(scene, tmp_path, FAST))
    config = replace(FAST, iterations=96, max_gaussians=160)
    told, _, _ = resumed(scene, tmp_path, config)
    assert "The scene now grows to 160 Gaussians instead of 120" in told
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert len(load_state(newest).model.gaussians) == 160
    told, _, _ = resumed(scene, tmp_path, replace(config, max_gaussians=100))
    assert told == [
        "The scene now grows to 100 Gaussians instead of 160; the 160 that there are stay"
    ]


def test_a_longer_time_limit_goes_on_and_the_same_does_not(scene, tmp_path):
    config = replace(FAST, time_limit="1s")
    drain(train(scene, tmp_path, config))
    _, first, last = resumed(scene, tmp_path, config)
    assert first == last > 0
    told, first, longer = resumed(scene, tmp_path, replace(config, time_limit="4s"))
    assert first == last < longer
    assert told[0].startswith("The schedule now ends at step ")


def test_a_first_time_limit_counts_for_a_run_that_ended_without_one(scene, tmp_path):
    drain(train(scene, tmp_path, FAST))
    told, first, last = resumed(scene, tmp_path, replace(FAST, time_limit="4s"))
    assert first == 24 < last
    assert told[0].startswith("The schedule now ends at step ")


@pytest.mark.parametrize("stop", [13, 24])
def test_a_time_limit_that_is_used_up_adds_nothing_and_says_so(scene, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    stopped(train(scene, tmp_path, FAST), stop)
    told, first, last = resumed(scene, tmp_path, replace(FAST, time_limit="0.001s"))
    assert first == last == stop
    assert "no step is added, and the scene is taken as it is" in told[-1]


def test_a_longer_time_limit_does_not_exceed_what_few_photos_are_good_for(
    scene, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "_LEAST_STEPS", 1)
    drain(train(scene, tmp_path, FAST))

    def longer(steps):
        recipe = replace(FAST.recipe, steps_per_square=steps / 11**2)
        return resumed(scene, tmp_path, replace(FAST, time_limit=f"{steps}h", recipe=recipe))

    told, _, last = longer(24)
    assert last == 24
    assert "24 steps are done already, and 11 photos are good for 24: none is added" in told[-1]
    told, _, last = longer(40)
    assert last == 40
    assert "The schedule now ends at step 40 instead of 24" in told[-1]


def test_a_schedule_beyond_what_few_photos_are_good_for_comes_to_its_end(
    scene, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "_LEAST_STEPS", 1)
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_EVENTS", 0.0)
    monkeypatch.setattr(trainer_module, "STEPS_BETWEEN_PLANS", 5)
    stopped(train(scene, tmp_path, replace(FAST, iterations=40)), 13)
    recipe = replace(FAST.recipe, steps_per_square=0.1)
    config = replace(FAST, iterations=40, time_limit="1h", recipe=recipe)
    assert resumed(scene, tmp_path, config)[2] == 40


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    place = tmp_path_factory.mktemp("resumed")
    source = write_transforms(place / "photos")
    drain(run(source, place / "run", FAST))
    return source, place / "run"


def test_a_run_without_its_photos_goes_on_with_the_scene_that_it_keeps(done):
    source, folder = done
    away = source.rename(source.with_name("away"))
    _, config = taken_up(folder, {"iterations": 30})
    events, _ = events_of(run(source, folder, config))
    away.rename(source)
    told = [e.text for e in events if isinstance(e, Note)]
    assert "Changed: --iterations 30 (was 24)" in told
    assert f"Going on with the photos and cameras in {folder / 'scene'}" in told
    assert next(e for e in events if isinstance(e, Finished)).step == 30
    assert json.loads((folder / "config.json").read_text())["iterations"] == 30


def test_two_trainings_do_not_write_to_one_folder(done):
    source, folder = done
    _, config = taken_up(folder, {"iterations": 40})
    with closing(run(source, folder, config)) as first:
        next(first)
        before = folder.joinpath("config.json").read_bytes()
        _, other = taken_up(folder, {"iterations": 50})
        with pytest.raises(UsageError, match="another splatkit command is at work there"):
            drain(run(source, folder, other))
        assert folder.joinpath("config.json").read_bytes() == before
    drain(run(source, folder, config))


def test_photos_that_changed_do_not_move_the_cameras_of_a_run(done):
    source, folder = done
    before = (folder / "scene" / "scene.json").read_bytes()
    for photo in source.glob("*.png"):
        photo.touch()
    _, config = taken_up(folder, {"iterations": 31})
    drain(run(source, folder, config))
    assert (folder / "scene" / "scene.json").read_bytes() == before


@pytest.mark.parametrize("change", [{"test_every": 5}, {"sh_degree": 2}, {"model": Path("other")}])
def test_what_a_run_stands_on_is_not_changed(done, change):
    source, folder = done
    before = (folder / "config.json").read_bytes()
    _, config = taken_up(folder, change)
    with pytest.raises(UsageError, match="as this run began with, got") as caught:
        drain(run(source, folder, config))
    assert "\n" not in str(caught.value)
    assert (folder / "config.json").read_bytes() == before
