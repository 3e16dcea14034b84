"""Atomic writes: complete or absent, whatever goes wrong in between."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from splatkit.core import SplatkitError, UsageError
from splatkit.io import files
from splatkit.io.files import (
    LOCK_FILE,
    alone_at,
    atomic_path,
    link_or_copy,
    read_json,
    remove_leftovers,
    write_json,
    write_text,
)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def interrupted(target, fault):
    """Write half a file, then meet a fault."""
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        fault(temporary)


def fill_and_stop(temporary):
    temporary.mkdir()
    (temporary / "x").write_text("new")
    raise KeyboardInterrupt


def test_file_appears_whole_with_its_suffix_kept_for_writers(tmp_path):
    target = tmp_path / "deep" / "scene.ply"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".ply"
        assert temporary.parent == target.parent
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["scene.ply"]


def test_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        interrupted(target, lambda temporary: 1 / 0)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_large_file_that_is_replaced_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LARGE_BYTES", 3)
    closed = []
    close = os.close
    monkeypatch.setattr(files.os, "close", lambda number: (close(number), closed.append(number)))
    for text in ("old", "new"):
        write_text(tmp_path / "a.txt", text)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    assert (tmp_path / "a.txt").read_text() == "new"
    if os.name == "posix":
        # The folder, once for each writing, and the old file.
        assert len(closed) == 3


def test_folder_replaces_folder(tmp_path):
    target = tmp_path / "scene"
    for text in ("one", "two"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / "x").write_text(text)
    assert (target / "x").read_text() == "two"
    assert names(tmp_path) == ["scene"]


def test_interrupted_folder_keeps_the_old_one(tmp_path):
    target = tmp_path / "scene"
    target.mkdir()
    (target / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        fill_and_stop(temporary)
    assert (target / "x").read_text() == "old"
    assert names(tmp_path) == ["scene"]


def test_full_disk_is_one_line_that_names_the_file(tmp_path):
    """/dev/full answers every write with ENOSPC, as a full disk does."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(SplatkitError, match=r"a\.bin: the disk is full") as caught:
        interrupted(tmp_path / "a.bin", lambda temporary: full.write_bytes(b"x"))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SplatkitError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "no")


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(SplatkitError, match="nothing was written"), atomic_path(tmp_path / "a"):
        pass


def test_link_or_copy_gives_the_same_bytes_and_never_follows_a_change_of_links(tmp_path):
    (tmp_path / "a").write_bytes(b"pixels")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    link_or_copy(tmp_path / "link", tmp_path / "deep" / "b")
    (tmp_path / "link").unlink()
    assert (tmp_path / "deep" / "b").read_bytes() == b"pixels"
    assert not (tmp_path / "deep" / "b").is_symlink()


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path):
    place, lock = tmp_path / "run", tmp_path / "run" / LOCK_FILE
    hold = (
        "import sys, time; from pathlib import Path; from splatkit.io.files import alone_at\n"
        "with alone_at(*map(Path, sys.argv[1:])): print('held', flush=True); time.sleep(99)"
    )
    words = [sys.executable, "-c", hold, str(place), str(lock)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        taken = pytest.raises(UsageError, match="run: another splatkit command is at work there")
        with taken, alone_at(place, lock):
            pass
        other.kill()
    with alone_at(place, lock), pytest.raises(UsageError), alone_at(place, lock):
        pass
    with alone_at(place, lock):
        pass


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(SplatkitError, match="choose a folder that you can write to")
    with refused, alone_at(tmp_path / "file", tmp_path / "file" / LOCK_FILE):
        pass


def test_json_round_trip_and_refusals(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, "ä"]})
    assert read_json(path) == {"a": [1, 2.5, "ä"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    for text in ("{", "[" * 100000, "\x00"):
        path.write_text(text)
        with pytest.raises(SplatkitError, match=r"a\.json: expected a JSON document"):
            read_json(path)
    with pytest.raises(SplatkitError, match="cannot be read"):
        read_json(tmp_path / "none.json")


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / f".scene.{ended.pid}.tmp.ply").write_text("half")
    for name in (f".images.{ended.pid}.tmp", f".mesh.{ended.pid}.tmp.old"):
        (tmp_path / name).mkdir()
    (tmp_path / f".scene.{ended.pid}.x_1z.tmp").mkdir()
    # Somebody else's, and what a command is writing at the moment.
    kept = ["keep.tmp.ply", ".env.tmpl", ".notes.tmp", f".orbit.{os.getpid()}.tmp.mp4"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted([*kept, "sub"])
