"""What users see when something is wrong: one line, an exit code, nothing lost. One table."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatkit.cli._main import COMMANDS
from splatkit.io import FORMATS, write_gaussians
from tests.scenes import ball_over_floor, write_photos, write_run


@dataclass(frozen=True)
class Case:
    """A command line, and what it answers; ``{here}`` stands for the folder of the test."""

    words: str
    code: int
    message: str


CASES = (
    Case("nfo", 2, "expected one of {commands}; got 'nfo'; did you mean info?"),
    Case("train", 2, "expected PHOTOS, or --resume -o RUN to go on with a run, got neither; "
         "see: splatkit train --help"),
    Case("train {here} --itrations 5", 2, "unknown option --itrations; did you mean --iterations?"),
    Case("train {here} --zzz", 2, "unknown option --zzz; see: splatkit train --help"),
    Case("render {here}/run --threads 1", 2, "unknown option --threads; "
         "see: splatkit render --help"),
    Case("edit {here}/run --crop", 2, "--crop: expected a value, got none; "
         "see: splatkit edit --help"),
    Case("edit {here}/run --crop 1 2", 2, "--crop: expected 4 or 6 numbers, got '1', '2'; "
         "see: splatkit edit --help"),
    Case("edit {here}/run --crop 1 2 3 nan", 2, "--crop: expected finite numbers, got "
         "[1.0, 2.0, 3.0, nan]"),
    Case("edit {here}/run --up above", 2, "--up: expected one of neg-x, neg-y, neg-z, photos, x, "
         "y, z; got 'above'; see: splatkit edit --help"),
    Case("render {here}/run --sharpness 2", 2, "--sharpness: expected 0 to 1, got 2"),
    Case("info {here}/nothing.ply", 1, "{here}/nothing.ply: expected a scene file, but it is empty "
         "(0 bytes)"),
    Case("train {here} -i many", 2, "-i/--iterations: expected a whole number, got 'many'; "
         "see: splatkit train --help"),
    Case("train {here} --preset best", 2, "--preset: expected one of draft, standard, high; "
         "got 'best'; see: splatkit train --help"),
    Case("train {here} -i 0", 2, "--iterations: expected at least 1, got 0"),
    Case("train {here} --time-limit soon", 2, "--time-limit: expected a time like 90s, 10m or "
         "1.5h, got 'soon'"),
    Case("info {here}/balls.ply more", 2, "unexpected 'more'; see: splatkit info --help"),
    Case("train {here}/nowhere", 2, "{here}/nowhere: expected a folder of photos, but nothing is "
         "there"),
    Case("view {here}/nowhere", 2, "{here}/nowhere: expected a run folder or a scene file, found "
         "nothing there"),
    Case("info {here}/nowhere.ply", 2, "{here}/nowhere.ply: expected a run folder or a scene file, "
         "found nothing there"),
    Case("info {here}/empty", 1, "{here}/empty: expected a run folder with exports/scene.ply, "
         "found none; make one with: splatkit train PHOTOS -o RUN"),
    Case("ingest {here}/run -o {here}/balls.ply", 1, "{here}/balls.ply: expected a folder there, "
         "or nothing yet, got a file; name another"),
    Case("eval {here}/nowhere", 2, "{here}/nowhere: expected a run folder, found none there"),
    Case("render {here}/empty", 1, "{here}/empty: expected a run folder with exports/scene.ply, "
         "found none; make one with: splatkit train PHOTOS -o RUN"),
    Case("train {here}/empty -o {here}/out", 1, "{here}/empty: expected photos (JPEG, PNG, HEIC, "
         "...), found none"),
    Case("info {here}/cut.ply", 1, "{here}/cut.ply: expected at least 8160 bytes of Gaussians, "
         "got 4000: the file is cut short; get it again from its source"),
    Case("info {here}/text.ply", 1, "{here}/text.ply: expected a scene file ({suffixes}), got "
         "something else"),
    Case("render {here}/run --width 0", 2, "--width: expected 1 to 100000, got 0"),
    Case("render {here}/run --outputs heat", 2, "--outputs: expected any of rgb, depth, "
         "depth_median, normal, alpha, got 'heat'"),
    Case("render {here}/run -o {here}/film.avi", 2, "{here}/film.avi: expected a folder or a name "
         "ending in .mp4"),
    Case("render {here}/run -o {here}/balls.ply", 2, "{here}/balls.ply: expected a folder or a "
         "name ending in .mp4, got a file"),
    Case("render {here}/run --backend opengl", 2, "backend: expected auto, cpu, cuda, gsplat, "
         "torch_ref, got 'opengl'"),
    Case("view {here}/run --host 192.0.2.1", 2, "--host: expected an address of this machine "
         "(127.0.0.1, or 0.0.0.0 for all), got '192.0.2.1' (Cannot assign requested address)"),
)  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad input."""
    folder = tmp_path_factory.mktemp("errors")
    (folder / "empty").mkdir()
    write_gaussians(ball_over_floor(), folder / "balls.ply")
    data = (folder / "balls.ply").read_bytes()
    start = data.index(b"end_header\n") + len(b"end_header\n")
    (folder / "cut.ply").write_bytes(data[: start + 4000])
    (folder / "nothing.ply").touch()
    (folder / "text.ply").write_text("not a scene\n")
    write_run(folder / "run")
    return folder


@pytest.mark.parametrize("case", CASES, ids=[case.words for case in CASES])
def test_error(splatkit, here: Path, case: Case) -> None:
    answer = splatkit(*case.words.format(here=here).split())
    message = case.message.format(
        here=here,
        suffixes=", ".join(known.suffix for known in FORMATS),
        commands=", ".join(COMMANDS),
    )
    assert answer.err == f"error: {message}\n"
    assert answer.code == case.code
    assert answer.out == ""


def test_text_called_photo_is_named(splatkit, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        (photos / f"{index}.jpg").write_text("this is no photo")
    answer = splatkit("train", photos, "-o", tmp_path / "run")
    assert answer.code == 1
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert ".jpg" in last or "photos" in last
    assert "Traceback" not in answer.err


def test_two_photos_are_too_few_or_do_not_match(splatkit, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    random = np.random.default_rng(0)
    for index in range(2):
        pixels = random.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{index}.png")
    answer = splatkit("train", photos, "-o", tmp_path / "run")
    assert answer.code == 1
    assert answer.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in answer.err


def test_nan_in_a_scene_is_left_out_with_a_warning(splatkit, tmp_path: Path) -> None:
    gaussians = ball_over_floor()
    gaussians.means[:7] = float("nan")
    write_gaussians(gaussians, tmp_path / "nan.ply")
    answer = splatkit("render", tmp_path / "nan.ply", "--width", 32, "--frames", 1)
    assert answer.code == 0
    assert "7 of 120 Gaussians hold NaN" in answer.err
    assert answer.err.count("warning: ") == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(splatkit, here: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    answer = splatkit("render", here / "run", "-o", tmp_path / "film.mp4", "--frames", 1)
    assert answer.code == 1
    assert answer.err.splitlines()[-1].endswith(
        "cannot be written (Permission denied); choose a folder that you can write to"
    )


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with a film on it and 4 KiB left."""
    mount = shutil.which("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    (disk / "film.mp4").write_bytes(b"before")
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 4096))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_the_old_film(splatkit, here: Path, full_disk: Path) -> None:
    film = full_disk / "film.mp4"
    answer = splatkit("render", here / "run", "-o", film, "--frames", 4, "--width", 192)
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == (
        f"error: {film}: the disk is full, nothing was changed; free some space and run the same "
        "command again"
    )
    assert film.read_bytes() == b"before"
    assert sorted(file.name for file in full_disk.iterdir()) == ["filler", "film.mp4"]


def test_training_onto_a_full_disk_is_one_line(splatkit, full_disk: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 8)
    answer = splatkit("train", photos, "-o", full_disk / "run", "-i", 2)
    assert answer.code == 1
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "the disk is full" in last
    assert "Traceback" not in answer.err


def test_debug_shows_where(splatkit_process, tmp_path: Path) -> None:
    answer = splatkit_process("info", tmp_path / "nowhere.ply", "--debug")
    assert "Traceback" in answer.err
    assert answer.code == 1
