"""The sample photos, whose true cameras are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from splatkit.core import drain
from splatkit.ingest import ingest
from splatkit.io.images import list_images
from splatkit.io.scene import load_scene
from tests.ingest.poses import pose_errors

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.mark.long
def test_the_sample_is_placed_within_three_thousandths_of_its_extent(tmp_path):
    scene = load_scene(drain(ingest(SAMPLE / "photos", tmp_path / "scene")))
    truth = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
    known = {f["name"]: np.array(f["viewmat"]) for f in truth["frames"]}
    errors = np.array(list(pose_errors(scene, known).values()))
    print(f"worst {errors[:, 0].max():.3%}, {errors[:, 1].max():.3f} degrees")
    assert len(errors) == len(list_images(SAMPLE / "photos"))
    assert errors[:, 0].max() < 0.003
    assert errors[:, 1].max() < 0.3
    assert abs(float(scene.photos[0].K[0, 0]) / truth["fx"] - 1) < 0.005
