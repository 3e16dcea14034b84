"""Structure from motion on real photo sets against reference poses of the same files."""

from pathlib import Path

import numpy as np
import pytest

from splatkit.core import drain
from splatkit.ingest import ingest
from splatkit.io.colmap import read_model
from splatkit.io.scene import load_scene
from splatkit.io.transforms import read_frames
from tests.ingest.poses import pose_errors
from tests.ingest.real_sets import FEWEST, WRONG_IN_THE_REFERENCE, data


@pytest.mark.long
@pytest.mark.parametrize("name", FEWEST)
def test_every_photo_that_is_placed_is_placed_rightly(name, tmp_path):
    folder = data(name)
    scene = load_scene(drain(ingest(folder / "images", tmp_path / "scene")))
    model = read_model(folder / "sparse_ref" / "0")
    known = {image.name: image.camera_from_world for image in model.images}
    errors = pose_errors(scene, known)
    for photo in WRONG_IN_THE_REFERENCE.get(name, ()):
        errors.pop(photo, None)
    worst = np.array(list(errors.values())).max(0)
    print(f"{name}: {len(scene.photos)} photos, worst {worst[0]:.2%}, {worst[1]:.2f} degrees")
    assert len(scene.photos) >= FEWEST[name]
    assert worst[0] < 0.01
    assert worst[1] < 2


@pytest.mark.long
def test_fox_agrees_with_its_published_poses(tmp_path):
    folder = data("fox")
    scene = load_scene(drain(ingest(folder / "images", tmp_path / "scene")))
    frames, _ = read_frames(folder)
    errors = pose_errors(scene, {Path(f.name).name: f.camera_from_world for f in frames})
    distance, angle = np.median(np.array(list(errors.values())), 0)
    assert len(errors) == 50
    assert distance < 0.005
    assert angle < 1
