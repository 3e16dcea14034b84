"""The sample photos, whose true cameras are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from splatkit.core import drain
from splatkit.ingest import ingest
from splatkit.io.images import list_images, read_image
from splatkit.io.scene import load_scene
from splatkit.io.video import write_video
from tests.ingest.poses import pose_errors

VIDEO_FPS, FRAMES_A_STAND = 10, 3
SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def true_cameras():
    truth = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
    return truth, {f["name"]: np.array(f["viewmat"]) for f in truth["frames"]}


@pytest.mark.long
def test_the_sample_is_placed_within_two_thousandths_of_its_extent(tmp_path):
    scene = load_scene(drain(ingest(SAMPLE / "photos", tmp_path / "scene")))
    truth, known = true_cameras()
    errors = np.array(list(pose_errors(scene, known).values()))
    print(f"worst {errors[:, 0].max():.3%}, {errors[:, 1].max():.3f} degrees")
    assert len(errors) == len(list_images(SAMPLE / "photos"))
    assert errors[:, 0].max() < 0.002
    assert errors[:, 1].max() < 0.3
    assert abs(float(scene.photos[0].K[0, 0]) / truth["fx"] - 1) < 0.005


@pytest.mark.long
def test_a_video_of_the_sample_becomes_a_scene(tmp_path):
    """A walk around the sample, which stops at every photo for three frames."""
    _, known = true_cameras()
    names = sorted(known)[:36]
    height, width = read_image(SAMPLE / "photos" / names[0]).shape[:2]
    with write_video(tmp_path / "walk.mp4", width, height, VIDEO_FPS) as add:
        for name in names:
            for _ in range(FRAMES_A_STAND):
                add(read_image(SAMPLE / "photos" / name))
    scene = load_scene(drain(ingest(tmp_path / "walk.mp4", tmp_path / "scene")))
    stands = {
        photo.name: known[names[int(photo.name[-10:-4]) // FRAMES_A_STAND]]
        for photo in scene.photos
    }
    errors = np.array(list(pose_errors(scene, stands).values()))
    found = len(scene.photos) + len(scene.missing)
    print(f"{len(errors)} of {found} frames, worst {errors[:, 0].max():.3%}")
    assert len(errors) >= 0.95 * found
    assert len(errors) >= 24
    assert errors[:, 0].max() < 0.01
    assert errors[:, 1].max() < 1
