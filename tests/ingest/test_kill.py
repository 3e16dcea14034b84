"""Killed at any moment, ingest goes on where it was and ends the same."""

import random
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
    """Cameras of an undisturbed run and of one that was killed ``kills`` times."""
    chance = random.Random(seed)
    photos = tmp_path / "photos"
    write_photos(photos, 7)
    (photos / "notes.jpg").write_text("words")
    begin = time.monotonic()
    straight = start(photos, tmp_path / "straight")
    assert straight.communicate()[0] is not None
    assert straight.returncode == 0
    whole = time.monotonic() - begin
    done = 0
    for _ in range(kills):
        child = start(photos, tmp_path / "killed")
        try:
            # Later kills wait longer, so that every stage is reached.
            child.wait(timeout=whole * chance.uniform(0.02, 0.35))
            done += child.returncode == 0
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdout, child.stderr):
            pipe.close()
    last = start(photos, tmp_path / "killed")
    _, complaints = last.communicate()
    assert last.returncode == 0, complaints.decode()
    return load_scene(tmp_path / "straight"), load_scene(tmp_path / "killed"), done


def compare(straight, killed):
    assert [photo.name for photo in straight.photos] == [photo.name for photo in killed.photos]
    assert straight.missing == killed.missing == {"notes.jpg": "cannot be read"}
    for one, other in zip(straight.photos, killed.photos, strict=True):
        assert np.abs(one.viewmat.numpy() - other.viewmat.numpy()).max() < 1e-3
        assert np.abs(one.K.numpy() - other.K.numpy()).max() < 1e-3 * float(one.K[0, 0])
        assert one.held_out == other.held_out
    assert abs(len(straight.points) - len(killed.points)) <= 0.01 * len(straight.points)


def test_killed_a_few_times(tmp_path):
    straight, killed, _ = killed_and_finished(tmp_path, kills=2, seed=1)
    compare(straight, killed)


@pytest.mark.long
def test_killed_fifty_times(tmp_path):
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        straight, killed, done = killed_and_finished(folder, kills=10, seed=seed)
        compare(straight, killed)
        assert done < 10
