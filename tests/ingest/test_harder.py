"""The same photos made harder: what can be placed is placed rightly, the rest is named."""

import json
from functools import partial

import numpy as np
import pytest

from splatkit.core import drain
from splatkit.ingest import IngestConfig, ingest
from splatkit.io.colmap import read_model
from splatkit.io.images import list_images, read_image
from splatkit.io.scene import load_scene
from tests.ingest.corner import pattern, write_photos
from tests.ingest.harder import CHANGES, five_blurred, with_strangers
from tests.ingest.poses import pose_errors
from tests.ingest.real_sets import FEWEST, WRONG_IN_THE_REFERENCE, data

COUNT = 9
CONFIG = IngestConfig(max_features=1500, threads=2)
OTHER = {"sceaux": "banana", "banana": "sceaux", "llff_fern": "banana", "kitchen": "llff_fern",
         "fox": "llff_fern"}  # fmt: skip


def stranger(seed):
    """A photo of something else, with as much to see: three walls that are in no other photo."""
    return pattern(100 + seed)[200:500, 300:700]


@pytest.fixture(scope="module")
def corner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corner")
    poses = write_photos(folder, COUNT)
    return folder, {f"{i:02d}.jpg": pose for i, pose in enumerate(poses)}


SMALL = {**CHANGES, "five blurred": partial(five_blurred, count=2)}
SMALL["another scene"] = with_strangers([stranger(i) for i in range(3)])


@pytest.mark.parametrize("change", SMALL)
def test_a_corner_made_harder(change, corner, tmp_path):
    folder, known = corner
    origin = SMALL[change](folder, tmp_path / "photos")
    scene = load_scene(drain(ingest(tmp_path / "photos", tmp_path / "out", CONFIG)))
    worst = check(scene, origin, known, fewest=COUNT - 2 if change == "five blurred" else COUNT)
    assert worst[0] < 0.015
    assert worst[1] < 0.6
    if change == "five blurred":
        assert all("blurred" in reason for reason in scene.missing.values())
    if change == "another scene":
        assert all("elsewhere" in reason for reason in scene.missing.values())
        # They alone were looked at closer, not the rest for their sake.
        told = json.loads((tmp_path / "out" / "placing.json").read_text())
        assert not any(model["model"].startswith("fine") for model in told["models"])
        assert (tmp_path / "out" / "work" / "fine" / "probed").is_file()


@pytest.mark.long
@pytest.mark.parametrize("change", [*CHANGES, "another scene"])
@pytest.mark.parametrize("name", FEWEST)
def test_a_real_set_made_harder(name, change, tmp_path):
    folder = data(name)
    if change == "another scene":
        other = data(OTHER[name]) / "images"
        made = with_strangers([read_image(other / n) for n in list_images(other)[2:9:3]])
    else:
        made = CHANGES[change]
    origin = made(folder / "images", tmp_path / "photos")
    scene = load_scene(drain(ingest(tmp_path / "photos", tmp_path / "out")))
    model = read_model(folder / "sparse_ref" / "0")
    known = {image.name: image.camera_from_world for image in model.images}
    # Five photos beyond use may stay without a place.
    fewest = FEWEST[name] - (5 if change == "five blurred" else 0)
    worst = check(scene, origin, known, fewest, WRONG_IN_THE_REFERENCE.get(name, set()))
    print(f"{name}, {change}: {len(scene.photos)} placed, worst {worst[0]:.2%} {worst[1]:.2f}")
    assert worst[0] < 0.01
    assert worst[1] < 2


def check(scene, origin, known, fewest, wrong=frozenset()):
    """Counts and names; returns the worst (distance over the extent, angle in degrees)."""
    strange = {name for name, old in origin.items() if not old}
    placed = {photo.name for photo in scene.photos}
    assert not strange & placed
    assert strange <= set(scene.missing)
    assert set(scene.missing) | placed == set(origin)
    assert len(placed) >= fewest, scene.missing
    same = {new: known[old] for new, old in origin.items() if old in known}
    errors = pose_errors(scene, same)
    return np.array([e for n, e in errors.items() if origin[n] not in wrong]).max(0)
