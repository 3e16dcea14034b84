"""The calls of the package: their options, their listener, and their names."""

import pytest

import splatkit
from splatkit.core import SplatkitError, UsageError
from splatkit.io import read_gaussians, write_gaussians
from splatkit.train.events import StepDone
from splatkit.train.state import newest_checkpoint
from tests.train.photographed import make_gaussians, same
from tests.train.test_pipeline import write_transforms
from tests.train.test_trainer import FAST

OPTIONS = {"max_gaussians": 120, "sh_degree": 1, "threads": 1, "recipe": FAST.recipe}


def test_train_and_evaluate(tmp_path):
    photos = write_transforms(tmp_path / "photos")
    seen = []
    gaussians = splatkit.train(
        photos, tmp_path / "run", iterations=8, on_event=seen.append, **OPTIONS
    )
    assert same(gaussians, splatkit.load(tmp_path / "run" / "exports" / "scene.ply"))
    assert any(isinstance(event, StepDone) for event in seen)
    stats = splatkit.evaluate(make_gaussians(), photos, tmp_path / "truth", frame="source")
    assert stats["mean"]["psnr"] > 45
    assert (tmp_path / "truth" / "report.html").exists()
    again = splatkit.evaluate(gaussians, tmp_path / "run", tmp_path / "again")
    assert again["mean"]["psnr"] < 40


def test_a_listener_that_raises_stops_the_training_which_saves(tmp_path):
    def tired(event):
        if isinstance(event, StepDone):
            raise TimeoutError("enough")

    photos, run = write_transforms(tmp_path / "photos"), tmp_path / "run"
    with pytest.raises(TimeoutError):
        splatkit.train(photos, run, iterations=100_000, on_event=tired, **OPTIONS)
    newest = newest_checkpoint(run / "checkpoints")
    assert newest is not None
    assert newest.name > "step_0000000.npz"
    splatkit.train(photos, run, iterations=100, resume=True, **OPTIONS)


def test_an_option_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UsageError, match="got 'iteration'"):
        splatkit.train(tmp_path, tmp_path / "run", iteration=5)
    with pytest.raises(UsageError, match="--iterations: expected at least 1"):
        splatkit.train(tmp_path, tmp_path / "run", iterations=0)


def test_results_that_cannot_go_there_change_nothing(tmp_path):
    run = tmp_path / "run"
    write_gaussians(make_gaussians(7), run / "exports" / "scene.ply")
    (run / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="expected a folder for results"):
        splatkit.evaluate(make_gaussians(5), tmp_path, run)
    with pytest.raises(UsageError, match="got 'iteration'"):
        splatkit.evaluate(make_gaussians(5), tmp_path, tmp_path / "new", iteration=5)
    assert len(read_gaussians(run / "exports" / "scene.ply")) == 7
    assert not (tmp_path / "new").exists()


def test_paths_may_be_plain_text(tmp_path):
    with pytest.raises(SplatkitError, match=r"none\.txt"):
        splatkit.train(write_transforms(tmp_path / "photos"), tmp_path / "a", split="none.txt")


def test_the_package_and_the_function_share_a_name():
    import splatkit.train.trainer

    assert callable(splatkit.train)
    assert splatkit.train.trainer.train is not splatkit.train
