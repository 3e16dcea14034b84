"""Photos without cameras: structure from motion, its child process, and what can go wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from splatkit.core import Note, Progress, SplatkitError, drain
from splatkit.ingest import IngestConfig, child, ingest
from splatkit.ingest.candidates import Candidate
from splatkit.ingest.child import run_mapper
from splatkit.ingest.judge import Verdict, judge
from splatkit.ingest.matches import read_pairs
from splatkit.ingest.refine import refinement_of
from splatkit.io.colmap import read_model
from splatkit.io.files import write_json
from splatkit.io.scene import load_scene
from tests.ingest.corner import FOCAL, SIZE, write_photos
from tests.ingest.poses import errors_of, pose_errors

COUNT = 8
CONFIG = IngestConfig(max_features=1500, threads=2)


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """One run on photos of a known place, with a text file among them: (poses, out, events)."""
    folder = tmp_path_factory.mktemp("corner")
    poses = write_photos(folder / "photos", COUNT)
    (folder / "photos" / "notes.jpg").write_text("words, not pixels")
    work = ingest(folder / "photos", folder / "out", CONFIG)
    return poses, folder / "out", list(work)


def test_all_photos_are_placed_where_they_were_taken(placed):
    poses, out, _ = placed
    scene = load_scene(out)
    assert [photo.name for photo in scene.photos] == [f"{i:02d}.jpg" for i in range(COUNT)]
    known = {f"{i:02d}.jpg": pose for i, pose in enumerate(poses)}
    errors = np.array(list(pose_errors(scene, known).values()))
    assert errors[:, 0].max() < 0.01
    assert errors[:, 1].max() < 0.5
    assert json.loads((out / "placing.json").read_text())["chosen"] == "plain/refined/0"
    assert len(scene.points) > 300
    assert 0.95 < float(scene.photos[0].K[0, 0]) / FOCAL < 1.05
    # The points have the colours of the photos, not black.
    assert float(scene.point_colors.std()) > 0.05
    assert [photo.name for photo in scene.held_out_photos] == ["00.jpg"]


def test_a_file_that_is_no_photo_is_named_and_left_out(placed):
    _, out, events = placed
    assert load_scene(out).missing == {"notes.jpg": "cannot be read"}
    warnings = [event.text for event in events if isinstance(event, Note) and event.warning]
    assert any("notes.jpg: expected a photo, got a file that is not one" in w for w in warnings)


def test_progress_tells_every_stage_and_counts_up(placed):
    events = [event for event in placed[2] if isinstance(event, Progress)]
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == [
        "Reading photos",
        "Finding features",
        "Matching photos",
        "Placing cameras",
        "Checking cameras",
        "Refining cameras",
        "Undistorting photos",
    ]
    for stage in stages[1:4]:
        told = [event for event in events if event.stage == stage]
        assert [event.done for event in told] == sorted(event.done for event in told)
        assert told[-1].done <= (told[-1].total or COUNT)


@pytest.mark.parametrize("mapper", ["relaxed", "at_once", "in_parts"])
def test_every_mapper_of_the_ladder_places_an_easy_set(placed, mapper):
    folder = placed[1] / "work" / "plain"
    drain(run_mapper(folder, mapper))
    (images,) = folder.glob(f"{mapper}/*/images.bin")
    verdict = judge(read_model(images.parent), read_pairs(folder / "database.db"))
    assert len(verdict.trusted) == COUNT


def test_without_stated_focal_lengths_the_cameras_are_found_again(placed):
    """EXIF that misleads is forgotten; the matches alone tell the lens."""
    plain = placed[1] / "work" / "plain"
    folder = plain.with_name("free")
    folder.mkdir()
    job = json.loads((plain / "job.json").read_text())
    write_json(folder / "job.json", {**job, "matches_from": "../plain/database.db"})
    drain(run_mapper(folder, "forget_focal", "incremental"))
    model = read_model(folder / "incremental" / "0")
    assert len(judge(model, read_pairs(folder / "database.db")).trusted) == COUNT
    (lens,) = model.cameras.values()
    assert 0.95 < lens.focal_and_center[0] / FOCAL < 1.05


def test_a_joined_model_is_adjusted_on_points_found_anew(placed, tmp_path):
    """Poses that are a little off, as those taken over from another model are, come right."""
    poses, out, _ = placed
    for name in ("plain", "photos"):
        shutil.copytree(out / "work" / name, tmp_path / name)
    folder = tmp_path / "plain"
    (images,) = folder.glob("incremental/*/images.bin")
    model = read_model(images.parent)
    chance = np.random.default_rng(0)
    crooked = [
        replace(image, camera_from_world=nudged(image.camera_from_world, chance))
        for image in model.images
    ]
    verdict = Verdict(frozenset(), {}, 0, {})
    best = Candidate("several/joined/0", replace(model, images=crooked), verdict, [])
    write_json(folder / "refine.json", refinement_of(best))
    shutil.rmtree(folder / "refined", ignore_errors=True)
    drain(run_mapper(folder, "refine"))
    refined = read_model(folder / "refined")
    assert len(refined.points) > 0.8 * len(model.points)
    known = {f"{i:02d}.jpg": pose for i, pose in enumerate(poses)}
    before, after = (
        np.array(list(errors_of({i.name: i.camera_from_world for i in images}, known).values()))
        for images in (crooked, refined.images)
    )
    assert before[:, 0].max() > 0.015
    assert after[:, 0].max() < 0.004
    assert after[:, 1].max() < 0.3


def test_the_world_is_upright(placed):
    """The photos were taken level, so their x axes have no part in the world's y."""
    scene = load_scene(placed[1])
    for photo in scene.photos:
        assert abs(float(photo.viewmat[0, 1])) < 0.03
        assert float(photo.viewmat[1, 1]) > 0.7


def test_stopped_in_the_child_it_ends_and_goes_on(tmp_path):
    write_photos(tmp_path / "photos", COUNT)
    work = ingest(tmp_path / "photos", tmp_path / "out", CONFIG)
    for event in work:
        if isinstance(event, Progress) and event.stage == "Matching photos":
            break
    children = _children()
    work.close()
    assert children
    assert not any(_alive(child) for child in children)
    # Moved elsewhere, the work goes on as well.
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("photos", "out"):
        (tmp_path / name).rename(moved / name)
    features = [
        event.done
        for event in ingest(moved / "photos", moved / "out", CONFIG)
        if isinstance(event, Progress) and event.stage == "Finding features"
    ]
    assert features == [COUNT]  # nothing was looked for a second time
    assert len(load_scene(moved / "out").photos) == COUNT


def test_the_child_ends_with_its_parent(tmp_path):
    """Killed without warning, splatkit leaves no mapper behind."""
    write_photos(tmp_path / "photos", COUNT)
    program = (
        "import sys; from splatkit.ingest import ingest\n"
        "for event in ingest(sys.argv[1], sys.argv[2]): print(event, flush=True)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "photos", tmp_path / "out"],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    for line in parent.stdout:
        if b"Finding features" in line:
            break
    children = _children(parent.pid)
    parent.kill()
    parent.wait()
    assert children
    until = time.monotonic() + 120
    while any(_alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(_alive(child) for child in children)


def test_a_crash_of_the_mapper_is_one_line(tmp_path):
    write_photos(tmp_path / "photos", 3)
    work = ingest(tmp_path / "photos", tmp_path / "out", CONFIG)
    next(event for event in work if isinstance(event, Progress))
    work.close()
    database = tmp_path / "out" / "work" / "plain" / "database.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"this is no database" * 100)
    with pytest.raises(SplatkitError, match="structure from motion ended unexpectedly") as caught:
        drain(ingest(tmp_path / "photos", tmp_path / "out", CONFIG))
    assert "\n" not in str(caught.value)
    assert "mapper.log" in str(caught.value)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is bounded on Linux")
def test_more_memory_than_is_free_is_not_taken(tmp_path, monkeypatch):
    write_photos(tmp_path / "photos", 3)
    monkeypatch.setattr(child, "memory_for_mapper", lambda: 1_000_000)
    monkeypatch.setattr(child, "_HEARTBEAT_SECONDS", 0.01)
    with pytest.raises(SplatkitError, match=r"more than the 0\.0 GB of memory") as caught:
        drain(ingest(tmp_path / "photos", tmp_path / "out", CONFIG))
    assert "\n" not in str(caught.value)
    assert not _children()


def test_two_photos_are_too_few(tmp_path):
    write_photos(tmp_path / "photos", 2)
    with pytest.raises(SplatkitError, match="expected at least 3 readable photos") as caught:
        drain(ingest(tmp_path / "photos", tmp_path / "out"))
    assert "\n" not in str(caught.value)


def test_only_text_files_called_jpg(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_text("words")
    with pytest.raises(SplatkitError, match="expected at least 3 readable photos"):
        drain(ingest(tmp_path, tmp_path.with_name("out")))


def test_photos_of_different_things_cannot_be_placed(tmp_path):
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC).save(
            tmp_path / f"{i}.jpg"
        )
    with pytest.raises(SplatkitError, match="none of the 3 photos could be placed") as caught:
        drain(ingest(tmp_path, tmp_path.with_name("out"), CONFIG))
    assert "\n" not in str(caught.value)


def test_large_photos_are_matched_small_and_used_whole(tmp_path):
    """Cameras come back in pixels of the photos, not of the copies that were matched."""
    write_photos(tmp_path / "photos", 5)
    config = IngestConfig(max_features=1500, max_image_size=360)
    scene = load_scene(drain(ingest(tmp_path / "photos", tmp_path / "out", config)))
    assert len(scene.photos) == 5
    with Image.open(next((tmp_path / "out" / "work" / "photos").iterdir())) as copy:
        assert copy.size == (360, 270)
    assert abs(scene.photos[0].width - SIZE[0]) <= 8
    assert 0.9 < float(scene.photos[0].K[0, 0]) / FOCAL < 1.1


def test_groups_follow_exif(tmp_path):
    """Photos of two focal lengths have two cameras; the prior is EXIF's."""
    poses = write_photos(tmp_path / "photos", 3)
    for i in range(len(poses)):
        path = tmp_path / "photos" / f"{i:02d}.jpg"
        image = Image.open(path).copy()
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA405] = 33 if i < 2 else 50
        image.save(path, exif=exif, quality=97)
    for event in ingest(tmp_path / "photos", tmp_path / "out", CONFIG):
        if isinstance(event, Progress) and event.stage == "Finding features":
            break
    job = json.loads((tmp_path / "out" / "work" / "plain" / "job.json").read_text())
    first, second = job["cameras"]
    assert first["names"] == ["00.jpg", "01.jpg"]
    assert second["names"] == ["02.jpg"]
    assert first["focal"] == pytest.approx(33 / 43.2666 * 500, rel=1e-4)
    assert first["focal_known"]


def nudged(pose: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The pose turned by about a third of a degree and moved by some hundredths."""
    moved = pose.copy()
    moved[:3, :3] = cv2.Rodrigues(chance.normal(0, 0.005, 3))[0] @ pose[:3, :3]
    moved[:3, 3] += chance.normal(0, 0.06, 3)
    return moved


def _children(parent: int | None = None) -> list[int]:
    """Processes that run the mapper for ``parent`` (Linux only)."""
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc to see processes")
    parent = parent or os.getpid()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                mapper = b"_mapper.py" in (folder / "cmdline").read_bytes()
                status = (folder / "stat").read_text()
            except OSError:
                continue
            if mapper and int(status.rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


def _alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
