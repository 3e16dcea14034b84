"""SIGKILL at any moment: what is there stays whole, and going on gives the unbroken result."""

import json
import random
import sys
import time
from collections import Counter
from itertools import cycle
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


class Unbroken:
    """A run that nothing stopped: what it made, and how long it took."""

    def __init__(self, nursery, source, place, steps):
        self.nursery, self.source, self.steps = nursery, source, steps
        self.reached = Counter()
        folder = RunFolder(place / "whole")
        began = time.perf_counter()
        assert nursery.run("train", source, folder.root, steps)
        self.took = time.perf_counter() - began
        self.truth, self.cameras = read_gaussians(folder.ply), scene_files(folder)

    def check_killed(self, place, *, kills, seed):
        """Kill runs at random moments, each going on where the last one was killed.

        A run that has come to its end is begun anew, so that no kill hits a finished one. Every
        finished one is compared with the unbroken run, and so is the last.

        Returns:
            How often a kill left a run that had finished nothing, ingest, training, or export.
        """
        chance, reached, runs = random.Random(seed), Counter(), 0
        while kills:
            broken = RunFolder(place / f"broken-{runs}")
            runs += 1
            done = False
            while kills and not done:
                kills -= 1
                done = self._run(broken, moment(chance, self.took))
                reached[check_whole(broken)] += 1
            assert done or self._run(broken)
            assert scene_files(broken) == self.cameras
            assert same(read_gaussians(broken.ply), self.truth)
            assert not [p for p in broken.root.rglob(".*") if ".tmp" in p.name]
        self.reached += reached
        return reached

    def _run(self, folder, seconds=None):
        return self.nursery.run("train", self.source, folder.root, self.steps, seconds=seconds)


def scene_files(folder):
    """What ingest made, byte for byte, but for what tells where and how long it worked."""
    files = (p for p in folder.scene.rglob("*") if p.is_file() and "work" not in p.parts)
    return {
        str(p.relative_to(folder.scene)): p.read_bytes()
        for p in files
        if p.name not in ("ingest.json", "placing.json")
    }


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, nursery):
    unbroken = Unbroken(nursery, write_transforms(tmp_path / "photos"), tmp_path, steps=200)
    reached = unbroken.check_killed(tmp_path, kills=4, seed=3)
    assert sum(reached.values()) == 4


# 200 kills: ten in a test, so that a stopped session has lost little.


@pytest.fixture(scope="module")
def trained(nursery, tmp_path_factory):
    """Of a hundred kills some hit training; of ten, on a busy machine, perhaps none does."""
    place = tmp_path_factory.mktemp("trained")
    unbroken = Unbroken(nursery, write_transforms(place / "photos"), place, steps=400)
    yield unbroken
    reached = unbroken.reached
    assert reached.total() < 100 or reached["training"] + reached["export"] + reached["all"] > 0


@pytest.fixture(scope="module")
def placed(nursery, tmp_path_factory):
    place = tmp_path_factory.mktemp("placed")
    return Unbroken(nursery, few_photos(place / "photos"), place, steps=20)


@pytest.fixture(scope="module")
def exported(nursery, tmp_path_factory):
    """A trained run, and for every format its whole file and the seconds that writing took."""
    place = tmp_path_factory.mktemp("exported")
    run = place / "run"
    assert nursery.run("train", write_transforms(place / "photos"), run, 100)
    formats = {}
    for suffix in ("spz", "sog", "glb", "html"):
        file, began = place / f"whole.{suffix}", time.perf_counter()
        assert nursery.run("export", run, file)
        formats[suffix] = file.read_bytes(), time.perf_counter() - began
    return run, formats


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_ten_kills_of_training_lose_nothing(tmp_path, trained, seed):
    reached = trained.check_killed(tmp_path, kills=10, seed=seed)
    assert sum(reached.values()) == 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_ten_kills_of_finding_cameras_lose_nothing(tmp_path, placed, seed):
    reached = placed.check_killed(tmp_path, kills=10, seed=seed)
    assert sum(reached.values()) == 10
    assert reached["nothing"] > 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_ten_kills_of_exports_lose_nothing(tmp_path, nursery, exported, seed):
    run, formats = exported
    chance, reached = random.Random(seed), Counter()
    for kill, suffix in zip(range(10), cycle(formats), strict=False):
        whole, took = formats[suffix]
        file = tmp_path / f"broken-{kill}.{suffix}"
        done = nursery.run("export", run, file, seconds=moment(chance, took))
        assert done <= file.exists()
        assert not file.exists() or file.read_bytes() == whole
        reached["file" if file.exists() else "nothing"] += 1
        assert nursery.run("export", run, file)
        assert file.read_bytes() == whole
    assert reached["nothing"] > 0
