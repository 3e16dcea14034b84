"""The machine that a run had: its name, its memory, and how much of that the run took."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

import torch

from splatkit import __version__
from splatkit.core import Event
from splatkit.core.memory import total_memory_bytes
from splatkit.train.events import StageDone

T = TypeVar("T")


def describe_machine() -> dict[str, Any]:
    """What figures of time and memory depend on, in words and numbers for people."""
    return {
        "device": device_name(),
        "cores": os.cpu_count(),
        "memory_bytes": total_memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "splatkit": __version__,
    }


def device_name() -> str:
    """The processor, as far as the system tells."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpu_figures(device: torch.device) -> dict[str, Any]:
    """Name and peak memory of the GPU that did the work; nothing where the CPU did it."""
    if device.type != "cuda":
        return {}
    return {
        "device": torch.cuda.get_device_name(device),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(device),
    }


def resident_bytes() -> int | None:
    """Memory that this process holds now; its peak where the system tells no more, or None."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return peak_memory_bytes()


def peak_memory_bytes() -> int | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    try:
        # On Linux getrusage also counts the process that started this one.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def timed(stage: str, work: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """Pass a stage's events on and tell at its end how long it took and what memory it held.

    Memory is looked at between events, so that a short peak may be missed.

    Args:
        stage: plain words for the reader.
        work: yields events and returns a result.
    """
    began = time.perf_counter()
    peak = resident_bytes()
    try:
        while True:
            yield next(work)
            peak = _larger(peak, resident_bytes())
    except StopIteration as stop:
        result: T = stop.value
    finally:
        work.close()
    yield StageDone(stage, time.perf_counter() - began, _larger(peak, resident_bytes()))
    return result


def _larger(first: int | None, second: int | None) -> int | None:
    return max(filter(None, (first, second)), default=None)
