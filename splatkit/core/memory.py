"""How much memory the machine has, and how much of it is free."""

from __future__ import annotations

import os
from pathlib import Path


def total_memory_bytes() -> int | None:
    """Physical memory, or the container's limit where that is lower; None where untold."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    limit = _number_in(Path("/sys/fs/cgroup/memory.max"))
    return total if limit is None else min(total, limit)


def available_memory_bytes() -> int | None:
    """Memory that is free for this process now; None where the system does not tell."""
    free = None
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    limit = _number_in(Path("/sys/fs/cgroup/memory.max"))
    used = _number_in(Path("/sys/fs/cgroup/memory.current"))
    if free is not None and limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def _number_in(path: Path) -> int | None:
    """The whole number that a file of the system holds; None for "max" or no such file."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
