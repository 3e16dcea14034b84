"""Where this program keeps things of its own between two starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """``$SPLATKIT_CACHE``, or ``splatkit`` in the system's folder for caches; it may not exist."""
    chosen = os.environ.get("SPLATKIT_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "splatkit"
