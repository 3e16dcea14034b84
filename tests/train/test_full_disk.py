"""Disks that fill up and memory that runs out: one clear line, the last state kept."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from splatkit.core import SplatkitError, drain
from splatkit.io.registry import read_gaussians
from splatkit.train import trainer
from splatkit.train.pipeline import run
from splatkit.train.run_folder import RunFolder
from splatkit.train.state import TrainingState, states_newest_first
from tests.train.photographed import same
from tests.train.test_pipeline import write_transforms
from tests.train.test_trainer import FAST

GROWING = replace(FAST, iterations=100, max_gaussians=2000, sh_degree=3)


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, and a function that sets its size."""
    place = tmp_path / "disk"
    place.mkdir()
    make = ["mount", "-t", "tmpfs", "-o", "size=1600k", "tmpfs", str(place)]
    try:
        done = subprocess.run(make, capture_output=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        pytest.skip("a disk of its own needs the right to mount one")

    def resize(size: str) -> None:
        command = ["mount", "-o", f"remount,size={size}", str(place)]
        subprocess.run(command, check=True)

    yield place, resize
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    disk, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    place, resize = disk
    source = write_transforms(tmp_path / "photos")
    drain(run(source, tmp_path / "whole", GROWING))
    folder = RunFolder(place / "run")
    with pytest.raises(SplatkitError, match=r"disk is full|cannot be written") as caught:
        drain(run(source, folder.root, GROWING))
    assert "\n" not in str(caught.value)
    kept = list(states_newest_first(folder.checkpoints))
    assert kept
    assert all(isinstance(state, TrainingState) for state in kept)
    assert not list(folder.root.rglob(".*.tmp*"))
    resize("64m")
    drain(run(source, folder.root, replace(GROWING, resume=True)))
    assert same(
        read_gaussians(folder.ply), read_gaussians(tmp_path / "whole" / "exports/scene.ply")
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    source = write_transforms(tmp_path / "photos")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(SplatkitError, match=r"log\.jsonl: cannot be written \(No space") as caught:
        drain(run(source, tmp_path / "run", GROWING))
    assert "go on with splatkit train --resume" in str(caught.value)


def test_memory_that_runs_out_while_training_is_one_line(tmp_path, monkeypatch):
    source = write_transforms(tmp_path / "photos")
    real, calls = trainer.Trainer.step, []

    def short(self):
        calls.append(1)
        if len(calls) == 30:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        real(self)

    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(trainer.Trainer, "step", short)
    with pytest.raises(SplatkitError, match=r"the memory ran out; .* is intact: go on") as caught:
        drain(run(source, tmp_path / "run", GROWING))
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    drain(run(source, tmp_path / "whole", GROWING))
    drain(run(source, tmp_path / "run", replace(GROWING, resume=True)))
    first, second = (tmp_path / name / "exports" / "scene.ply" for name in ("run", "whole"))
    assert same(read_gaussians(first), read_gaussians(second))
