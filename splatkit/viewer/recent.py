"""The folders and files that were looked at last, for the start page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from splatkit.core import SplatkitError
from splatkit.core.places import cache_folder
from splatkit.io import read_json, write_json

MOST = 12


def recent() -> list[Path]:
    """What was looked at, the last first, as far as it still exists."""
    try:
        told = read_json(_file()) if _file().is_file() else []
    except SplatkitError:
        return []
    paths = [Path(path) for path in told if isinstance(path, str)] if isinstance(told, list) else []
    return [path for path in paths[:MOST] if path.exists()]


def remember(paths: list[Path]) -> None:
    """Put these first. A machine without a place for it forgets."""
    new = [path.resolve() for path in paths]
    kept = [*new, *(path for path in recent() if path not in new)][:MOST]
    with suppress(SplatkitError, OSError):
        write_json(_file(), [str(path) for path in kept])


def _file() -> Path:
    return cache_folder() / "recent.json"
