from __future__ import annotations

import json
from pathlib import Path

import pytest

from splatkit.cli import main
from splatkit.io import read_gaussians
from tests.scenes import write_run


def test_counts_come_first_and_nothing_is_written_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    assert main(["edit", str(run), "--crop", "-9", "-9", "-9", "0", "9", "9", "--floaters"]) == 0
    told = capsys.readouterr()
    assert "120 Gaussians" in told.out
    assert "seen by too few photos" in told.out
    assert "nothing is written" in told.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_new_scene_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    new = tmp_path / "half.spz"
    words = ["edit", str(run), "-o", str(new), "--cut", "0.7", "0", "0", "0.75", "--json"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["before"], document["after"]) == (120, 80)
    assert len(read_gaussians(new)) == 80
    kept = new.read_bytes()
    assert main(words) == 2
    assert "expected a new name" in capsys.readouterr().err
    assert new.read_bytes() == kept
    assert main(["edit", str(run), "-o", str(run), "--floaters"]) == 2
    assert main(["edit", str(run)]) == 2
    assert "something to do" in capsys.readouterr().err
