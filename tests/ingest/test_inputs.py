"""What people give: videos, photos with masks, photos that are there twice."""

import shutil

import numpy as np
import pytest
from PIL import Image

from splatkit.core import Note, drain
from splatkit.ingest import IngestConfig, ingest
from splatkit.ingest.frames import FEWEST, choose_frames
from splatkit.ingest.twins import find_twins
from splatkit.io.images import read_image
from splatkit.io.scene import load_scene
from splatkit.io.video import write_video
from tests.ingest.corner import SIZE, cameras, photograph, write_photos
from tests.ingest.poses import pose_errors

CONFIG = IngestConfig(max_features=1200, threads=2)


def test_a_video_becomes_a_scene(tmp_path):
    """Where the camera rests and shakes few frames are taken, and the sharp ones."""
    poses = cameras(14)
    held = [pose for i, pose in enumerate(poses) for _ in range(6 if i in (4, 9) else 1)]
    with write_video(tmp_path / "walk.mp4", *SIZE, 10) as add:
        for pose in held:
            add(photograph(pose))
    config = IngestConfig(max_features=1200, threads=2, frames=12)
    events = list(ingest(tmp_path / "walk.mp4", tmp_path / "out", config))
    scene = load_scene(tmp_path / "out")
    assert len(scene.photos) == 12
    chosen = [int(photo.name.split("_")[1].split(".")[0]) for photo in scene.photos]
    known = {photo.name: held[i] for photo, i in zip(scene.photos, chosen, strict=True)}
    assert len({pose.tobytes() for pose in known.values()}) >= 11
    errors = np.array(list(pose_errors(scene, known).values()))
    assert errors[:, 0].max() < 0.02
    assert any("12 sharpest" in e.text for e in events if isinstance(e, Note))
    again = list(ingest(tmp_path / "walk.mp4", tmp_path / "out", config))
    assert any("the scene is there already" in e.text for e in again if isinstance(e, Note))
    (tmp_path / "out" / "report.html").unlink()  # as if killed before the last file
    drain(ingest(tmp_path / "walk.mp4", tmp_path / "out", config))
    assert (tmp_path / "out" / "report.html").is_file()


def test_frames_follow_the_motion_and_are_sharp():
    moved = np.concatenate((np.zeros(50), np.full(50, 0.1), np.zeros(50)))
    blur = np.full(150, 0.3)
    blur[::2] = 0.7
    chosen = choose_frames(moved, blur, 20)
    assert 15 <= len(chosen) <= 20
    assert all(i % 2 for i in chosen)
    inside = [i for i in chosen if 50 <= i < 100]
    assert len(inside) >= 0.75 * len(chosen)


def test_the_motion_decides_how_many_frames_there_are():
    still, quick = np.zeros(300), np.full(300, 0.05)
    blur = np.zeros(300)
    assert len(choose_frames(still, blur, None)) == FEWEST
    assert len(choose_frames(quick, blur, None)) > 5 * FEWEST
    assert choose_frames(np.zeros(3), np.zeros(3), None) == [0, 1, 2]
    assert choose_frames(np.zeros(0), np.zeros(0), None) == []


def test_masks_keep_features_away_and_reach_training(tmp_path):
    """A label that moves with the camera would be the most certain thing in every photo."""
    poses = write_photos(tmp_path / "photos", 7)
    (tmp_path / "masks").mkdir()
    label = np.random.default_rng(0).integers(0, 256, (110, 160, 3), dtype=np.uint8)
    for path in sorted((tmp_path / "photos").iterdir()):
        image = read_image(path).copy()
        image[180:290, 120:280] = label
        Image.fromarray(image).save(path, quality=95)
        mask = np.full((300, 400), 255, np.uint8)
        mask[176:294, 116:284] = 0
        Image.fromarray(mask).save(tmp_path / "masks" / f"{path.stem}.png")
    events = list(ingest(tmp_path / "photos", tmp_path / "out", CONFIG))
    scene = load_scene(tmp_path / "out")
    assert any("masks for 7" in e.text for e in events if isinstance(e, Note))
    known = {f"{i:02d}.jpg": pose for i, pose in enumerate(poses)}
    errors = np.array(list(pose_errors(scene, known).values()))
    assert len(errors) == 7
    assert errors[:, 0].max() < 0.015
    for photo in scene.photos:
        assert photo.mask_path is not None
        share = (read_image(photo.mask_path)[..., 0] == 0).mean()
        assert share == pytest.approx(118 * 168 / (300 * 400), abs=0.01)


def test_photos_that_are_there_twice(tmp_path):
    write_photos(tmp_path, 3)
    (tmp_path / "sub").mkdir()
    shutil.copy(tmp_path / "01.jpg", tmp_path / "sub" / "copy.jpg")
    Image.open(tmp_path / "00.jpg").save(tmp_path / "00.heic", format="HEIF")
    Image.open(tmp_path / "02.jpg").save(tmp_path / "02.png")
    names = ["00.heic", "00.jpg", "01.jpg", "02.jpg", "02.png", "sub/copy.jpg"]
    assert find_twins(tmp_path, names) == {"00.heic": "00.jpg", "sub/copy.jpg": "01.jpg"}


def test_live_photos_are_photos(tmp_path):
    """The short video beside each photo is none of the user's."""
    write_photos(tmp_path / "photos", 5)
    for i in range(5):
        with write_video(tmp_path / "photos" / f"{i:02d}.mp4", 64, 48, 10) as add:
            add(np.zeros((48, 64, 3), np.uint8))
    scene = load_scene(drain(ingest(tmp_path / "photos", tmp_path / "out", CONFIG)))
    assert [photo.name for photo in scene.photos] == [f"{i:02d}.jpg" for i in range(5)]
