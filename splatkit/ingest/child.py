"""The mapper's process: started with a job, listened to, and ended with us."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

from splatkit.core import Event, Progress, SplatkitError
from splatkit.core.memory import available_memory_bytes
from splatkit.ingest.prepare import BLANK

_MAPPER = Path(__file__).with_name("_mapper.py")
_HEARTBEAT_SECONDS = 1.0
_LEAST_BYTES = 1_000_000_000
"""What the mapper is granted in any case: some of it may be swapped out."""
_NO_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory")
_LESS = "fewer --threads and --max-features need less"


def memory_for_mapper() -> int | None:
    """Bytes that the mapper may take: what is free now; None where the system does not tell."""
    free = available_memory_bytes()
    return None if free is None else max(free, _LEAST_BYTES)


def run_mapper(work: Path, *stages: str) -> Generator[Event, None, None]:
    """Run stages of the job in a folder and pass their progress on, at least once a second.

    Raises:
        SplatkitError: the process ended in another way than by finishing, or wanted more memory
            than was free (the system would end some other program for it).
    """
    log = work / "mapper.log"
    most = memory_for_mapper()
    with log.open("wb") as errors:
        child = subprocess.Popen(
            # -P keeps the names of our modules out of the way of others.
            [sys.executable, "-P", str(_MAPPER), str(work / "job.json"), *stages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # The mapper's own threads take a pair of photos each; OpenMP's below them would only
            # wait for each other, and spin while they do.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            # Ctrl-C in the terminal is ours alone to answer.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            yield from _listen(child, most)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
    if child.returncode != 0:
        raise SplatkitError(_obituary(child.returncode, work, log))


def _listen(child: subprocess.Popen[bytes], most: int | None) -> Generator[Event, None, None]:
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def forward() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=forward, daemon=True).start()
    last: Progress | None = None
    since = time.monotonic()
    looked = since
    while True:
        if time.monotonic() - looked >= _HEARTBEAT_SECONDS:
            looked = time.monotonic()
            _check_memory(child.pid, most)
        try:
            line = lines.get(timeout=_HEARTBEAT_SECONDS)
        except queue.Empty:
            if last is not None:
                waited = f"{time.monotonic() - since:.0f} s"
                yield Progress(last.stage, last.done, last.total, waited)
            continue
        if line is None:
            child.wait()
            return
        try:
            stage, done, total, detail = json.loads(line)
        except ValueError:
            continue  # a library printed something
        last = Progress(stage, done, total, detail.replace(BLANK, " "))
        since = time.monotonic()
        yield last


def _check_memory(pid: int, most: int | None) -> None:
    """Raise when a process holds more than ``most`` bytes; Linux alone tells."""
    try:
        held = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return
    if most is not None and held * os.sysconf("SC_PAGE_SIZE") > most:
        raise SplatkitError(
            f"structure from motion needs more than the {most / 1e9:.1f} GB of memory that were "
            f"free ({_LESS}); the same command goes on from the last finished stage"
        )


def _obituary(code: int, work: Path, log: Path) -> str:
    if shutil.disk_usage(work).free < 1 << 24:
        return f"{work}: the disk is full; free some space and run the same command again"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = f": {lines[-1][-160:].strip()}" if lines else ""
    if code in (-9, 137):
        reason = f": it was killed, perhaps for want of memory ({_LESS})"
    elif any(sign in line for line in lines for sign in _NO_MEMORY):
        reason = f": it needed more memory than was free ({_LESS})"
    return (
        f"structure from motion ended unexpectedly (code {code}){reason}; the same command goes "
        f"on from the last finished stage, {log} has the details"
    )
