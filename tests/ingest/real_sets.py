"""Real photo sets, which are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FEWEST = {"sceaux": 11, "banana": 16, "llff_fern": 20, "kitchen": 23, "fox": 50}
"""Photos that must have a place, of each set."""
WRONG_IN_THE_REFERENCE = {"banana": {"DSC_0434.jpg"}}
"""The reference puts this photo by 4 points, lying on its side; 140 matches and the horizon in the
photo itself speak for another place."""


def data(name: str) -> Path:
    """The folder of a set; skips the test where it is missing."""
    root = os.environ.get("SPLATKIT_DATA")
    folder = Path(root or "", name)
    if not root or not folder.is_dir():
        pytest.skip(f"the photo set {name} is missing: set SPLATKIT_DATA (see data/README.md)")
    return folder
