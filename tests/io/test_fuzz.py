"""Damaged files of every kind: no crash, no hang, one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz.py"


def fuzz(count, seed, tmp_path):
    command = [sys.executable, SCRIPT, "--json", "--workers", "2", "--keep", tmp_path / "keep"]
    command += ["--count", str(count), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def test_four_hundred_damaged_files(tmp_path):
    result, status = fuzz(400, 7_000_000, tmp_path)
    assert result["findings"] == []
    assert status == 0
    assert result["inputs"] == 400
    # Most damage is seen, and not everything is refused out of hand.
    assert result["refused"] > 150
    assert result["accepted"] > 40
    assert len(result["kinds"]) > 15


@pytest.mark.long
def test_twenty_thousand_damaged_files(tmp_path):
    result, status = fuzz(20_000, 0, tmp_path)
    assert result["findings"] == []
    assert status == 0
