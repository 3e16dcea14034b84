"""Runs the command line in this process, or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from splatkit.cli import main


@dataclass(frozen=True)
class Answer:
    """What one command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def splatkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line here."""

    def run(*words: object) -> Answer:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def splatkit_process() -> Callable[..., Answer]:
    """Run a command line in a process of its own."""

    def run(*words: object, **options) -> Answer:
        command = [sys.executable, "-m", "splatkit", *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, **options
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run
