"""Scene files of any origin on photos of any kind."""

import json
from dataclasses import replace

import pytest
import torch

from splatkit.core import Note, SplatkitError, UsageError, drain
from splatkit.core.similarity import transformed
from splatkit.ingest import ingest
from splatkit.io import write_gaussians
from splatkit.io.scene import load_scene
from splatkit.train.score import ScoreOptions, score
from tests.train.photographed import events_of, make_gaussians
from tests.train.test_pipeline import write_transforms
from tests.train.test_trainer import FAST


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """Photos of known Gaussians, their scene folder, and the Gaussians in both frames' files."""
    place = tmp_path_factory.mktemp("score")
    photos = write_transforms(place / "photos")
    drain(ingest(photos, place / "scene", FAST.ingest))
    to_source = load_scene(place / "scene").source_from_world
    truth = make_gaussians()
    write_gaussians(truth, place / "source.ply")
    scale = float(torch.linalg.det(to_source[:3, :3]).abs() ** (1 / 3))
    rotation = (to_source[:3, :3] / scale).mT
    shift = -rotation @ to_source[:3, 3] / scale
    write_gaussians(
        transformed(truth, rotation.float(), 1 / scale, shift.float()), place / "world.ply"
    )
    assert scale != pytest.approx(1.0, abs=1e-3)
    return place


@pytest.mark.parametrize("frame", ["source", "world"])
def test_the_true_scene_scores_nearly_perfectly_in_either_frame(photographed, tmp_path, frame):
    file = photographed / f"{frame}.ply"
    stats = drain(score(file, photographed / "scene", tmp_path / "out", FAST))
    assert stats["frame"] == frame
    assert stats["mean"]["psnr"] > 45
    assert stats["mean"]["ssim_cc"] > 0.99
    assert [p["name"] for p in stats["per_photo"]] == ["photo_00.png", "photo_08.png"]
    assert json.loads((tmp_path / "out" / "eval" / "stats.json").read_text()) == stats
    assert len(list((tmp_path / "out" / "renders").iterdir())) == 2


def test_photos_that_are_new_are_ingested_first(photographed, tmp_path):
    out = tmp_path / "out"
    stats = drain(score(photographed / "source.ply", photographed / "photos", out, FAST))
    assert stats["mean"]["psnr"] > 45
    assert (out / "scene" / "scene.json").is_file()


def test_a_split_file_chooses_the_photos(photographed, tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("photo_03.png\n")
    config = replace(FAST, split=split)
    file, photos = photographed / "source.ply", photographed / "scene"
    stats = drain(score(file, photos, tmp_path / "out", config))
    assert [p["name"] for p in stats["per_photo"]] == ["photo_03.png"]
    split.write_text("photo_99.png\n")
    with pytest.raises(SplatkitError, match=r"photo_99\.png"):
        drain(score(file, photos, tmp_path / "other", config))


def test_a_scene_that_stands_elsewhere_is_not_passed_over_in_silence(photographed, tmp_path):
    moved = transformed(make_gaussians(), translation=torch.tensor([50.0, 0.0, 0.0]))
    write_gaussians(moved, tmp_path / "moved.ply")
    events, _ = events_of(
        score(
            tmp_path / "moved.ply",
            photographed / "scene",
            tmp_path / "out",
            FAST,
            ScoreOptions(frame="world"),
        )
    )
    assert any(isinstance(e, Note) and e.warning and "does not seem" in e.text for e in events)


def test_results_do_not_go_into_a_training(photographed, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="choose another with -o"):
        drain(score(photographed / "source.ply", photographed / "scene", tmp_path, FAST))
