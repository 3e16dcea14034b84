"""Files that are either complete or absent: everything splatkit writes goes through here.

A file (or folder) is written under a temporary name beside its place, flushed to the disk and
renamed, so that a crash, a kill or a full disk leaves what was there before.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from filelock import FileLock, Timeout

from splatkit.core import SplatkitError, UsageError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NEARLY_FULL_BYTES = 1 << 16
_LARGE_BYTES = 1 << 24
"""From this size on it takes milliseconds to give a file's blocks back."""
_TEMPORARY = re.compile(r"\..+\.(\d+)(\.\w+)?\.tmp(\.\w+)*")
"""Names of temporaries; the number is the process that writes it."""
LOCK_FILE = ".lock"
"""In folders that one command at a time may write to; it stays when they have ended."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path of the same suffix that takes the place of ``path`` at the end.

    Write a file there, or make a folder there and fill it. When the block ends well, the data
    is flushed and renamed to ``path``; when it raises, the temporary is deleted and ``path``
    is as it was. Missing parent folders are made. A folder that is already there is moved
    aside for the moment between two renames; a file is replaced in one step.

    Raises:
        SplatkitError: the disk is full, or the place cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        if not temporary.exists():
            raise SplatkitError(f"{path}: nothing was written")
        _flush(temporary)
        _rename(temporary, path)
    except BaseException as error:
        full = isinstance(error, Exception) and _is_disk_full(error, path)
        _remove(temporary)
        if full:
            raise SplatkitError(
                f"{path}: the disk is full, nothing was changed; free some space and run the "
                "same command again"
            ) from error
        if isinstance(error, OSError) and error.filename in (str(temporary), str(path.parent)):
            raise SplatkitError(
                f"{path}: cannot be written ({error.strerror}); choose a folder that you can "
                "write to"
            ) from error
        raise


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically, lines ended by a newline character alone."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON document atomically; NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path | str, *, max_bytes: int = 1 << 28) -> Any:
    """Read a JSON document.

    Raises:
        SplatkitError: the file is missing, larger than ``max_bytes``, or not JSON.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise SplatkitError(f"{path}: expected at most {max_bytes} bytes of JSON, got {size}")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise SplatkitError(f"{path}: expected a JSON document, got {error}") from error


def link_or_copy(source: Path, target: Path) -> None:
    """Put the same bytes in another place, atomically, without taking more of the disk if it can.

    Hard links need one file system and its consent; elsewhere the file is copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


@contextmanager
def alone_at(place: Path, lock: Path) -> Iterator[None]:
    """Keep other splatkit commands from a place while the block lasts.

    The system lets go of the lock when the process ends, however it does.

    Args:
        place: what is written to.
        lock: the file that is locked; its folder is made, and it stays.

    Raises:
        UsageError: another command is at work there.
        SplatkitError: the lock cannot be written.
    """
    # Whoever ends a generator may be another thread than the one that began it.
    held = FileLock(lock, timeout=0, thread_local=False)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise UsageError(
            f"{place}: another splatkit command is at work there; wait until it has ended or stop "
            "it, or choose another folder"
        ) from None
    except OSError as error:
        raise SplatkitError(
            f"{lock}: cannot be written ({error.strerror}); choose a folder that you can write to"
        ) from error
    try:
        yield
    finally:
        held.release()


def remove_leftovers(folder: Path | str) -> None:
    """Delete the temporaries that killed processes left in a folder."""
    for path in list(Path(folder).rglob(".*.tmp*")):
        found = _TEMPORARY.fullmatch(path.name)
        if found and not _is_running(int(found[1])):
            _remove(path)


def _is_running(process: int) -> bool:
    """Whether there is a process of that number; on Windows, where files in use cannot be deleted
    and asking would disturb it, none is said to be."""
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _is_disk_full(error: Exception, path: Path) -> bool:
    """Whether a failed write failed for want of space (libraries hide the system's error)."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    if isinstance(error, SplatkitError) or not isinstance(error, (OSError, RuntimeError)):
        return False
    try:
        return shutil.disk_usage(path.parent).free < _NEARLY_FULL_BYTES
    except OSError:
        return False


def _rename(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.exists():
        aside = temporary.with_name(f"{temporary.name}.old")
        _remove(aside)
        path.rename(aside)
        temporary.rename(path)
        _remove(aside)
    else:
        with _freed_aside(path):
            temporary.replace(path)
    _sync(path.parent)


@contextmanager
def _freed_aside(path: Path) -> Iterator[None]:
    """A large file that the block replaces gives its disk space back while others go on.

    That takes longer than the replacement itself. The space is held by the last open descriptor,
    where the system lets open files be replaced (not on Windows).
    """
    held = None
    with suppress(OSError):  # there is none, or we may not read it
        if os.name == "posix" and path.stat().st_size >= _LARGE_BYTES:
            held = os.open(path, os.O_RDONLY)
    try:
        yield
    finally:
        if held is not None:
            Thread(target=os.close, args=(held,)).start()


def _flush(path: Path) -> None:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    for file in files:
        # Windows flushes only handles that can write.
        with file.open("r+b") as handle:
            os.fsync(handle.fileno())
    if path.is_dir():
        _sync(path)


def _sync(folder: Path) -> None:
    """Flush a folder's entries, where the system knows such a thing (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Delete as far as possible: what cannot be deleted fails at the next write, with its name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
