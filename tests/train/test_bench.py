"""Benchmarks over data sets: their customs, going on where they stopped, the table."""

import json
from dataclasses import replace
from statistics import fmean

import pytest

from splatkit.core import Note, UsageError
from splatkit.train.bench import bench, bench_scenes, table
from splatkit.train.config import TrainConfig
from splatkit.train.events import Finished
from splatkit.train.published import PUBLISHED
from tests.train.photographed import events_of
from tests.train.test_pipeline import write_transforms
from tests.train.test_trainer import FAST


@pytest.mark.parametrize(
    ("dataset", "mean"),
    [("mipnerf360", 27.21), ("tandt", 23.14), ("deepblending", 29.41), ("nerf-synthetic", 33.32)],
)
def test_published_scenes_have_the_published_mean(dataset, mean):
    """The same paper prints the means in its tables 1 and 3: a slip in a scene would show."""
    (row,) = PUBLISHED[dataset]
    assert fmean(row.psnr.values()) == pytest.approx(mean, abs=0.011)


def test_mip_nerf_360_has_pictures_of_a_quarter_outdoors_and_half_indoors(tmp_path):
    for name, small in (("garden", "images_4"), ("room", "images_2"), ("counter", None)):
        (tmp_path / name / "sparse" / "0").mkdir(parents=True)
        if small:
            (tmp_path / name / small).mkdir()
    scenes = {s.name: s for s in bench_scenes("mipnerf360", tmp_path, TrainConfig())}
    assert list(scenes) == ["garden", "room", "counter"]
    assert scenes["garden"].photos.name == "images_4"
    assert scenes["garden"].config.model == tmp_path / "garden" / "sparse" / "0"
    assert scenes["garden"].config.resize == 1
    assert scenes["room"].photos.name == "images_2"
    assert (scenes["counter"].photos.name, scenes["counter"].config.resize) == ("counter", 2)
    assert all(scene.config.test_every == 8 for scene in scenes.values())


def test_a_data_set_that_is_missing_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLATKIT_DATA", str(tmp_path))
    with pytest.raises(UsageError, match=r"tandt: expected the scenes truck, train.*--data"):
        bench_scenes("tandt", None, TrainConfig())
    with pytest.raises(UsageError, match="or a folder of scenes, got 'nonsense'"):
        bench_scenes("nonsense", None, TrainConfig())


def test_a_folder_of_scenes_is_trained_once(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "data").mkdir(exist_ok=True)
        write_transforms(tmp_path / "data" / name)
    config, out = replace(FAST, iterations=6), tmp_path / "out"
    dataset = str(tmp_path / "data")
    events, document = events_of(bench(dataset, out, config, only=("two",)))
    assert [row["scene"] for row in document["rows"]] == ["two"]
    events, document = events_of(bench(dataset, out, config))
    assert [row["scene"] for row in document["rows"]] == ["one", "two"]
    assert sum(isinstance(event, Finished) for event in events) == 1
    assert any(isinstance(e, Note) and e.text == "two: finished before" for e in events)
    assert json.loads((out / "table.json").read_text()) == document
    assert (out / "table.md").read_text().strip() == table(document)
    # Other options make it another benchmark, which needs a place of its own.
    other = replace(config, seed=1)
    with pytest.raises(UsageError, match="two: a finished run is there and is not replaced"):
        events_of(bench(dataset, out, other, only=("two",)))
    events, _ = events_of(bench(dataset, tmp_path / "other", other, only=("two",)))
    assert sum(isinstance(event, Finished) for event in events) == 1
    with pytest.raises(UsageError, match="--scenes: expected any of one, two; got 'three'"):
        events_of(bench(dataset, out, config, only=("three",)))


def test_the_table_has_published_rows_beside_ones_own():
    row = {"ssim": 0.8, "lpips": None, "num_gaussians": 1000, "seconds_train": 60.0}
    rows = [{"scene": "truck", "psnr": 24.0, **row}, {"scene": "train", "psnr": 22.0, **row}]
    lines = table({"dataset": "tandt", "rows": rows}).splitlines()
    assert lines[0] == "| tandt | truck | train | mean |"
    assert "| PSNR, dB | 24.00 | 22.00 | 23.00 |" in lines
    assert "| 3DGS, 30,000 steps: PSNR, dB | 25.19 | 21.10 | 23.14 |" in lines
    assert not any("LPIPS" in line for line in lines)
    assert "Kerbl et al. 2023" in lines[-1]
