"""SIGKILL at any moment: the run folder stays whole, and going on gives the unbroken result."""

import json
import random
import subprocess
import sys
import time

import pytest
from test_pipeline import write_transforms

from splatkit.core import SplatkitError
from splatkit.io.registry import read_gaussians
from splatkit.train.run_folder import RunFolder
from splatkit.train.state import newest_checkpoint, states_newest_first
from tests.train.photographed import same

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_trainer import FAST
from dataclasses import replace
from splatkit.core import drain
from splatkit.train import pipeline, trainer
trainer.SECONDS_BETWEEN_CHECKPOINTS = 0.05
config = replace(FAST, iterations=400, max_gaussians=200, resume=True)
drain(pipeline.run(Path({source!r}), Path({run!r}), config))
"""


def start(source, run):
    program = PROGRAM.format(
        tests=str(__file__).rsplit("/", 1)[0], source=str(source), run=str(run)
    )
    return subprocess.Popen([sys.executable, "-c", program])


def check_whole(folder):
    """Whatever is there under its final name can be read."""
    for found in states_newest_first(folder.checkpoints):
        assert not isinstance(found, SplatkitError), found
    if folder.ply.exists():
        assert len(read_gaussians(folder.ply)) > 0
    for path in (folder.config, folder.stats, folder.scene / "scene.json"):
        if path.exists():
            json.loads(path.read_text())


def kill_and_resume(tmp_path, kills, seed):
    tmp_path.mkdir(exist_ok=True)
    source = write_transforms(tmp_path / "photos")
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    began = time.perf_counter()
    assert start(source, whole.root).wait() == 0
    took = time.perf_counter() - began
    chance = random.Random(seed)
    reached = 0
    for _ in range(kills):
        process = start(source, broken.root)
        time.sleep(chance.uniform(0.3, 1.0) * took)
        process.kill()
        process.wait()
        check_whole(broken)
        reached += newest_checkpoint(broken.checkpoints) is not None
    assert start(source, broken.root).wait() == 0
    assert same(read_gaussians(broken.ply), read_gaussians(whole.ply))
    return reached


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    kill_and_resume(tmp_path, kills=1, seed=3)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_two_hundred_kills_lose_nothing(tmp_path):
    assert sum(kill_and_resume(tmp_path / str(i), 25, seed=i) for i in range(8)) > 50
