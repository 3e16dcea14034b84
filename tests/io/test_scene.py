"""Scenes as folders."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Photo, Scene, SplatkitError, intrinsics
from splatkit.io.scene import load_scene, save_scene


def make(folder):
    photos = []
    for i, name in enumerate(("a.jpg", "sub/b.png")):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[0, 3] = 1 / 3 + i
        photos.append(
            Photo(name, path, 8, 6, viewmat, intrinsics(7.1, 7.2, 4, 3), i, held_out=i == 0,
                  exposure=None if i else 9.5, gps=None if i else (1.5, -2.5, 3.5))
        )  # fmt: skip
    photos[1].mask_path = photos[0].path
    similarity = torch.eye(4, dtype=torch.float64) * 0.1
    similarity[3, 3] = 1
    return Scene(
        photos, torch.rand(5, 3), torch.rand(5, 3), similarity, {"c.jpg": "blurred"}, ["c.jpg"],
        (1.0, 1.0, 1.0),
    )  # fmt: skip


def test_round_trip_is_exact_and_the_folder_can_be_moved(tmp_path):
    scene = make(tmp_path / "s")
    save_scene(scene, tmp_path / "s")
    shutil.move(tmp_path / "s", tmp_path / "moved")
    back = load_scene(tmp_path / "moved")
    assert torch.equal(back.points, scene.points)
    assert torch.equal(back.point_colors, scene.point_colors)
    assert torch.equal(back.source_from_world, scene.source_from_world)
    assert back.missing == scene.missing
    assert back.missing_held_out == ["c.jpg"]
    assert back.background == (1.0, 1.0, 1.0)
    for a, b in zip(scene.photos, back.photos, strict=True):
        assert (a.name, a.width, a.height, a.camera_id) == (b.name, b.width, b.height, b.camera_id)
        assert (a.held_out, a.exposure, a.gps) == (b.held_out, b.exposure, b.gps)
        assert torch.equal(a.viewmat, b.viewmat)
        assert torch.equal(a.K, b.K)
        assert b.path.is_relative_to(tmp_path / "moved")
    assert back.photos[1].mask_path == tmp_path / "moved" / "images" / "a.jpg"


def test_no_scene_and_missing_photos_are_one_line(tmp_path):
    with pytest.raises(SplatkitError, match=r"expected a scene folder"):
        load_scene(tmp_path)
    save_scene(make(tmp_path), tmp_path)
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(SplatkitError, match=r"a\.jpg: no such file"):
        load_scene(tmp_path)


def test_damage_is_one_line_with_the_file(tmp_path):
    save_scene(make(tmp_path), tmp_path)
    good = json.loads((tmp_path / "scene.json").read_text())

    def spoil(*path, value):
        told = json.loads(json.dumps(good))
        place = told
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return told

    bent = np.eye(4)
    bent[0, 0] = 2
    cases = [
        spoil("format", value="other"),
        spoil("photos", value=3),
        spoil("photos", 0, value="x"),
        spoil("photos", 0, "viewmat", value=[[1, 2], [3, 4]]),
        spoil("photos", 0, "viewmat", value=bent.tolist()),
        spoil("photos", 0, "K", value=(-np.eye(3)).tolist()),
        spoil("photos", 0, "width", value=0),
        spoil("photos", 0, "gps", value=[1, 2]),
        spoil("photos", 0, "name", value="sub/b.png"),
        spoil("source_from_world", value=None),
        spoil("background", value=[1, 2]),
        spoil("missing", value=[]),
    ]
    for told in cases:
        (tmp_path / "scene.json").write_text(json.dumps(told))
        with pytest.raises(SplatkitError) as caught:
            load_scene(tmp_path)
        assert "\n" not in str(caught.value), told
    (tmp_path / "scene.json").write_text(json.dumps(good))
    (tmp_path / "points.npz").write_bytes(b"PK not really")
    with pytest.raises(SplatkitError, match=r"points\.npz: cannot be read"):
        load_scene(tmp_path)
