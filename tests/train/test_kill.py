"""SIGKILL at any moment: what is there stays whole, and going on gives the unbroken result."""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from splatkit.core import SplatkitError
from splatkit.io.images import fit_within, read_image, resize_area, write_image
from splatkit.io.registry import read_gaussians
from splatkit.io.scene import load_scene
from splatkit.train.run_folder import RunFolder
from splatkit.train.state import newest_checkpoint, states_newest_first
from tests.train.killable import Nursery, moment
from tests.train.photographed import same
from tests.train.test_pipeline import write_transforms

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "photos"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def few_photos(folder):
    """Eight photos of the sample, small, without cameras."""
    for path in sorted(SAMPLE.glob("*.jpg"))[:8]:
        pixels = read_image(path)
        size = fit_within(pixels.shape[1], pixels.shape[0], 400)
        write_image(folder / path.with_suffix(".png").name, resize_area(pixels, *size))
    return folder


def check_whole(folder):
    """Whatever is there under its final name can be read; how far the run has come."""
    for found in states_newest_first(folder.checkpoints):
        assert not isinstance(found, SplatkitError), found
    for path in (folder.config, folder.stats):
        if path.exists():
            json.loads(path.read_text())
    if folder.report.exists():
        assert folder.report.read_text().endswith("</html>\n")
    if folder.stats.exists():
        return "all"
    if folder.ply.exists():
        assert len(read_gaussians(folder.ply)) > 0
        return "export"
    if newest_checkpoint(folder.checkpoints):
        return "training"
    if (folder.scene / "scene.json").exists():
        load_scene(folder.scene)
        return "ingest"
    return "nothing"


def kill_and_resume(nursery, source, place, *, steps, kills, seed):
    """Kill runs at random moments, each going on where the last one was killed.

    A run that has come to its end is begun anew, so that no kill hits a finished one. Every
    finished one is compared with an unbroken run, and so is the last.

    Returns:
        How often a kill left a run that had finished nothing, ingest, training, or export.
    """
    whole, chance, reached = RunFolder(place / "whole"), random.Random(seed), Counter()
    began = time.perf_counter()
    assert nursery.run("train", source, whole.root, steps)
    took = time.perf_counter() - began
    truth, cameras = read_gaussians(whole.ply), scene_files(whole)
    runs = 0
    while kills:
        broken = RunFolder(place / f"broken-{runs}")
        runs += 1
        done = False
        while kills and not done:
            kills -= 1
            done = nursery.run("train", source, broken.root, steps, seconds=moment(chance, took))
            reached[check_whole(broken)] += 1
        assert done or nursery.run("train", source, broken.root, steps)
        assert scene_files(broken) == cameras
        assert same(read_gaussians(broken.ply), truth)
        assert not [p for p in broken.root.rglob(".*") if ".tmp" in p.name]
    return reached


def scene_files(folder):
    """What ingest made, byte for byte, but for what tells where and how long it worked."""
    files = (p for p in folder.scene.rglob("*") if p.is_file() and "work" not in p.parts)
    return {
        str(p.relative_to(folder.scene)): p.read_bytes()
        for p in files
        if p.name not in ("ingest.json", "placing.json")
    }


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, nursery):
    source = write_transforms(tmp_path / "photos")
    reached = kill_and_resume(nursery, source, tmp_path, steps=200, kills=4, seed=3)
    assert sum(reached.values()) == 4


@pytest.mark.long
def test_a_hundred_kills_of_training_lose_nothing(tmp_path, nursery):
    source = write_transforms(tmp_path / "photos")
    reached = kill_and_resume(nursery, source, tmp_path, steps=400, kills=100, seed=0)
    assert sum(reached.values()) == 100
    assert reached["training"] > 0
    assert reached["export"] + reached["all"] > 0


@pytest.mark.long
def test_sixty_kills_of_finding_cameras_lose_nothing(tmp_path, nursery):
    source = few_photos(tmp_path / "photos")
    reached = kill_and_resume(nursery, source, tmp_path, steps=20, kills=60, seed=1)
    assert sum(reached.values()) == 60
    assert reached["nothing"] > 0


@pytest.mark.long
def test_forty_kills_of_exports_lose_nothing(tmp_path, nursery):
    source = write_transforms(tmp_path / "photos")
    run = tmp_path / "run"
    assert nursery.run("train", source, run, 100)
    chance, reached, kills = random.Random(2), Counter(), 0
    formats = ("spz", "sog", "glb", "html")
    whole, took = {}, {}
    for suffix in formats:
        began = time.perf_counter()
        assert nursery.run("export", run, tmp_path / f"whole.{suffix}")
        took[suffix] = time.perf_counter() - began
        whole[suffix] = (tmp_path / f"whole.{suffix}").read_bytes()
    while kills < 40:
        suffix = formats[kills % len(formats)]
        file = tmp_path / f"broken-{kills}.{suffix}"
        kills += 1
        done = nursery.run("export", run, file, seconds=moment(chance, took[suffix]))
        assert done <= file.exists()
        assert not file.exists() or file.read_bytes() == whole[suffix]
        reached["file" if file.exists() else "nothing"] += 1
        assert nursery.run("export", run, file)
        assert file.read_bytes() == whole[suffix]
    assert reached["nothing"] > 0
