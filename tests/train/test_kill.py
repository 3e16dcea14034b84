"""SIGKILL at any moment: the run folder stays whole, and going on gives the unbroken result."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from test_pipeline import write_transforms

from splatkit.core import SplatkitError
from splatkit.io.registry import read_gaussians
from splatkit.io.scene import load_scene
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
from splatkit.render import get_backend
trainer.SECONDS_BETWEEN_CHECKPOINTS = 0.05
config = replace(FAST, iterations=400, max_gaussians=200, resume=True)
get_backend("cpu")
print("ready", flush=True)
drain(pipeline.run(Path({source!r}), Path({run!r}), config))
"""


def start(source, run):
    """The pipeline in a process of its own, about to begin."""
    program = PROGRAM.format(
        tests=str(__file__).rsplit("/", 1)[0], source=str(source), run=str(run)
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


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


def kill_and_resume(tmp_path, kills, seed):
    """Kill runs at random moments, each going on where the last one was killed.

    A run that has come to its end is begun anew, so that no kill hits a finished one. Every
    finished one is compared with an unbroken run, and so is the last.

    Returns:
        How often a kill left a run that had finished nothing, ingest, training, or export.
    """
    tmp_path.mkdir(exist_ok=True)
    source = write_transforms(tmp_path / "photos")
    whole, chance, reached = RunFolder(tmp_path / "whole"), random.Random(seed), Counter()
    process = start(source, whole.root)
    began = time.perf_counter()
    assert process.wait() == 0
    took = time.perf_counter() - began
    truth = read_gaussians(whole.ply)
    broken = RunFolder(tmp_path / "broken-0")
    for number in range(kills):
        process = start(source, broken.root)
        # Short waits hit the beginning of each attempt, long ones its end.
        time.sleep(took * chance.random() ** 2)
        process.kill()
        finished = process.wait() == 0
        reached[check_whole(broken)] += 1
        if finished:
            assert same(read_gaussians(broken.ply), truth)
            broken = RunFolder(tmp_path / f"broken-{number + 1}")
    assert start(source, broken.root).wait() == 0
    assert same(read_gaussians(broken.ply), truth)
    return reached


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    assert sum(kill_and_resume(tmp_path, kills=1, seed=3).values()) == 1


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_two_hundred_kills_lose_nothing(tmp_path):
    reached = Counter()
    for group in range(8):
        reached += kill_and_resume(tmp_path / str(group), 25, seed=group)
    assert sum(reached.values()) == 200
    assert reached["nothing"] + reached["ingest"] > 0
    assert reached["training"] > 0
    assert reached["export"] + reached["all"] > 0
