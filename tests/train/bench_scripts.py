"""The scripts of ``scripts/bench`` as modules for tests."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def bench_script(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """The script of that name, imported anew, with those beside it in reach."""
    monkeypatch.syspath_prepend(str(BENCH))
    sys.modules.pop(name, None)
    return importlib.import_module(name)
