"""From a folder to a checked scene: what stands in the run folder afterwards."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from splatkit.core import Note, SplatkitError
from splatkit.io.images import read_image, write_image
from splatkit.io.registry import read_gaussians
from splatkit.train import pipeline
from splatkit.train.events import Evaluated, Finished
from splatkit.train.pipeline import evaluate_run, run
from splatkit.train.run_folder import RunFolder, read_log
from tests.train.photographed import events_of, make_scene
from tests.train.test_trainer import FAST

STATS = {
    "scene", "device", "backend", "iterations", "seconds_ingest", "seconds_train",
    "num_gaussians", "peak_memory_bytes", "photos", "mean", "per_photo", "seed", "version",
    "export_psnr", "machine",
}  # fmt: skip


def write_transforms(folder):
    """A folder of photos with a transforms.json (cameras to world, OpenGL axes)."""
    folder.mkdir()
    scene = make_scene(folder)
    K = scene.photos[0].K
    frames = []
    for photo in scene.photos:
        pose = photo.viewmat.inverse()
        pose[:3, 1:3] *= -1
        frames.append({"file_path": photo.path.name, "transform_matrix": pose.tolist()})
    document = {
        "w": photo.width, "h": photo.height,
        "fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]),
        "cx": float(K[0, 2]), "cy": float(K[1, 2]),
        "frames": frames,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run, its events and its folder."""
    place = tmp_path_factory.mktemp("pipeline")
    source = write_transforms(place / "photos")
    config = replace(FAST, iterations=60)
    events, root = events_of(run(source, place / "run", config))
    return source, RunFolder(root), config, events


def test_every_promised_file_is_there(done):
    _, folder, config, _ = done
    assert json.loads(folder.config.read_text())["iterations"] == config.iterations
    assert (folder.scene / "scene.json").is_file()
    kept = sorted(p.name for p in folder.checkpoints.iterdir())
    assert kept == ["step_0000000.npz", "step_0000060.npz"]
    assert len(read_gaussians(folder.ply)) == 120
    assert sorted(p.name for p in folder.renders.iterdir()) == ["photo_00.png", "photo_08.png"]
    assert read_image(folder.renders / "photo_00.png").shape == (48, 128, 3)


def test_statistics_have_the_keys_that_tools_expect(done):
    _, folder, _, events = done
    stats = json.loads(folder.stats.read_text())
    assert set(stats) == STATS
    assert stats["photos"] == {
        "found": 13, "registered": 13, "held_out": 2, "held_out_registered": 2
    }  # fmt: skip
    figures = {"psnr", "ssim", "lpips", "psnr_cc", "ssim_cc"}
    assert set(stats["mean"]) == figures
    assert [set(p) for p in stats["per_photo"]] == [{"name", *figures}] * 2
    assert stats["mean"]["psnr"] == pytest.approx(sum(p["psnr"] for p in stats["per_photo"]) / 2)
    assert stats["mean"]["psnr_cc"] >= stats["mean"]["psnr"] - 0.05
    assert stats["export_psnr"] >= 60
    assert stats["iterations"] == 60
    assert isinstance(events[-1], Evaluated)
    assert events[-1].stats == stats


def test_the_log_tells_the_run_line_by_line(done):
    _, folder, _, _ = done
    records = read_log(folder.log)
    names = [record["event"] for record in records]
    for name in ("Ingested", "Started", "StepDone", "Saved", "Finished", "Evaluated"):
        assert name in names
    assert "gaussians" not in records[names.index("StepDone")]


def test_a_finished_run_resumes_into_nothing_but_its_figures(done):
    source, folder, config, _ = done
    before = folder.ply.read_bytes()
    # A kill may have torn the last line.
    with folder.log.open("a") as log:
        log.write('{"event": "Step')
    events, _ = events_of(run(source, folder.root, replace(config, resume=True)))
    finished = [e for e in events if isinstance(e, Finished)]
    assert finished[0].step == 60
    assert folder.ply.read_bytes() == before
    records = read_log(folder.log)
    assert sum(record["event"] == "Finished" for record in records) == 2


def test_a_file_that_differs_from_the_scene_is_not_passed_off_as_it(done, monkeypatch):
    source, folder, config, _ = done

    def spoiled(path):
        gaussians = read_gaussians(path)
        gaussians.sh[:, 0] += 0.1
        return gaussians

    monkeypatch.setattr(pipeline, "read_gaussians", spoiled)
    with pytest.raises(SplatkitError, match="within 60 dB"):
        events_of(run(source, folder.root, replace(config, resume=True)))


def test_evaluating_again_gives_the_same_figures(done):
    _, folder, config, _ = done
    before = json.loads(folder.stats.read_text())
    _, stats = events_of(evaluate_run(folder.root, config.backend))
    assert stats["mean"] == before["mean"]
    assert json.loads(folder.stats.read_text()) == stats


def test_figures_of_a_scene_that_training_has_left_behind_are_told_as_such(done):
    _, folder, config, _ = done
    further = folder.checkpoints / "step_0000090.npz"
    shutil.copy(folder.checkpoints / "step_0000060.npz", further)
    events, _ = events_of(evaluate_run(folder.root, config.backend))
    further.unlink()
    warnings = [e.text for e in events if isinstance(e, Note) and e.warning]
    assert len(warnings) == 1
    assert "after step 60; training has gone on to step 90" in warnings[0]


def test_evaluating_an_unfinished_run_says_what_is_missing(tmp_path):
    with pytest.raises(SplatkitError, match=r"config\.json is missing; train first"):
        events_of(evaluate_run(tmp_path))


def test_without_held_out_photos_there_are_no_means(done, tmp_path):
    source, _, config, _ = done
    config = replace(config, iterations=3, test_every=0)
    _, root = events_of(run(source, tmp_path / "run", config))
    stats = json.loads(RunFolder(root).stats.read_text())
    assert stats["photos"]["held_out"] == 0
    assert stats["mean"]["psnr"] is None
    assert stats["per_photo"] == []


def test_an_empty_folder_is_one_clear_line(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(SplatkitError) as caught:
        events_of(run(tmp_path / "photos", tmp_path / "run", FAST))
    assert "\n" not in str(caught.value)


def test_photos_that_cannot_be_placed_leave_nothing(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / "photos" / f"{name}.png", np.full((48, 64, 3), 90, np.uint8))
    with pytest.raises(SplatkitError):
        events_of(run(tmp_path / "photos", tmp_path / "run", FAST))
    assert not (tmp_path / "run").exists()


def test_a_failed_start_deletes_nothing_of_the_user(tmp_path):
    (tmp_path / "photos").mkdir()
    mine = tmp_path / "run" / "scene" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(SplatkitError):
        events_of(run(tmp_path / "photos", tmp_path / "run", FAST))
    assert mine.read_text() == "mine"
