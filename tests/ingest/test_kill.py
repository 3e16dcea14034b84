"""Killed at any moment, ingest goes on where it was and ends the same."""

import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from splatkit.io.scene import load_scene
from tests.ingest.corner import write_photos

PROGRAM = (
    "import sys\n"
    "from splatkit.core import drain\n"
    "from splatkit.ingest import IngestConfig, ingest\n"
    "config = IngestConfig(max_features=1000, threads=1)\n"
    "print('ready', flush=True)\n"
    "drain(ingest(sys.argv[1], sys.argv[2], config))\n"
)


def start(photos, out):
    command = [sys.executable, "-c", PROGRAM, photos, out]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def killed_and_finished(tmp_path, kills, seed):
    """Kill runs at random moments; every one that comes to its end is held against a straight one.

    Returns how many came to an end, the last one included.
    """
    chance = random.Random(seed)
    photos, out = tmp_path / "photos", tmp_path / "killed"
    write_photos(photos, 7)
    (photos / "notes.jpg").write_text("words")
    begin = time.monotonic()
    straight = start(photos, tmp_path / "straight")
    assert straight.communicate()[0] is not None
    assert straight.returncode == 0
    whole = time.monotonic() - begin
    wanted = load_scene(tmp_path / "straight")
    killed = finished = 0
    while killed < kills:
        child = start(photos, out)
        try:
            child.wait(timeout=whole * chance.uniform(0.02, 0.35))
            assert child.returncode == 0
            compare(wanted, load_scene(out))
            shutil.rmtree(out)
            finished += 1
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed += 1
        for pipe in (child.stdout, child.stderr):
            pipe.close()
    last = start(photos, out)
    _, complaints = last.communicate()
    assert last.returncode == 0, complaints.decode()
    compare(wanted, load_scene(out))
    return finished + 1


def compare(straight, killed):
    assert [photo.name for photo in straight.photos] == [photo.name for photo in killed.photos]
    assert straight.missing == killed.missing == {"notes.jpg": "cannot be read"}
    for one, other in zip(straight.photos, killed.photos, strict=True):
        assert np.abs(one.viewmat.numpy() - other.viewmat.numpy()).max() < 1e-3
        assert np.abs(one.K.numpy() - other.K.numpy()).max() < 1e-3 * float(one.K[0, 0])
        assert one.held_out == other.held_out
    assert abs(len(straight.points) - len(killed.points)) <= 0.01 * len(straight.points)


def test_killed_twice(tmp_path):
    killed_and_finished(tmp_path, kills=2, seed=1)


@pytest.mark.long
def test_killed_fifty_times(tmp_path):
    finished = killed_and_finished(tmp_path, kills=50, seed=2)
    print(f"50 kills; {finished} runs came to an end, all the same")
