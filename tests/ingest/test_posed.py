"""Photos that come with cameras: COLMAP projects, transforms.json, Blender sets."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Note, SplatkitError, UsageError, camera_of, drain
from splatkit.core.transforms import quat_from_rotation
from splatkit.ingest import IngestConfig, ingest
from splatkit.io.images import read_image
from splatkit.io.scene import load_scene
from tests.ingest.corner import FOCAL, SIZE, photograph, write_photos


def opengl(pose):
    """The camera-to-world matrix of transforms.json of a camera_from_world."""
    return np.linalg.inv(np.diag([1.0, -1, -1, 1]) @ pose).tolist()


def write_colmap(folder, poses, k1=0.0, names=None, seen=None):
    """A model of a corner; ``seen`` tells how many points each photo sees, 1 where not given."""
    folder.mkdir(parents=True)
    width, height = SIZE
    (folder / "cameras.txt").write_text(
        f"1 SIMPLE_RADIAL {width} {height} {FOCAL} {width / 2} {height / 2} {k1}\n"
    )
    lines = []
    for i, pose in enumerate(poses):
        quat = quat_from_rotation(torch.tensor(pose[:3, :3])).tolist()
        numbers = " ".join(repr(float(v)) for v in (*quat, *pose[:3, 3]))
        name = names[i] if names else f"{i:02d}.jpg"
        points = f"{width / 2} {height / 2} 1 " * (seen[i] if seen else 1)
        lines.append(f"{i + 1} {numbers} 1 {name}\n{points}\n")
    (folder / "images.txt").write_text("".join(lines))
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 0.5)]
    (folder / "points3D.txt").write_text(
        "".join(
            f"{i + 1} {x} {y} {z} {10 * i} 100 200 0.5 1 0 2 0\n"
            for i, (x, y, z) in enumerate(corners)
        )
    )
    return np.array(corners, float)


def in_source(scene, photo):
    """The photo's camera in the frame of the input, by the scene's way back."""
    back = scene.source_from_world.numpy()
    scale = np.linalg.det(back[:3, :3]) ** (1 / 3)
    return np.diag([scale, scale, scale, 1]) @ photo.viewmat.numpy() @ np.linalg.inv(back)


def test_colmap_project_with_distortion(tmp_path):
    poses = write_photos(tmp_path / "p" / "images", 9, k1=-0.1)
    corners = write_colmap(tmp_path / "p" / "sparse" / "0", poses, k1=-0.1)
    Image.new("RGB", SIZE).save(tmp_path / "p" / "images" / "zz.jpg")
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out")))
    assert [photo.name for photo in scene.photos] == [f"{i:02d}.jpg" for i in range(9)]
    assert scene.missing == {"zz.jpg": "not in the COLMAP model"}
    # Every 8th of the ten photos found, the first included.
    assert [photo.name for photo in scene.held_out_photos] == ["00.jpg", "08.jpg"]
    back = scene.source_from_world.numpy()
    for photo, pose in zip(scene.photos, poses, strict=True):
        assert np.abs(in_source(scene, photo) - pose).max() < 1e-9
    homogeneous = np.c_[scene.points.double().numpy(), np.ones(len(scene.points))]
    assert np.abs((homogeneous @ back.T)[:, :3] - corners).max() < 1e-5
    assert scene.point_colors[2].tolist() == pytest.approx([20 / 255, 100 / 255, 200 / 255])
    # The undistorted photo is what a pinhole at this place sees.
    photo = scene.photos[4]
    seen = read_image(photo.path).astype(int)
    assert seen.shape == (photo.height, photo.width, 3)
    u = (np.arange(photo.width) + 0.5 - float(photo.K[0, 2])) / float(photo.K[0, 0])
    v = (np.arange(photo.height) + 0.5 - float(photo.K[1, 2])) / float(photo.K[1, 1])
    x, y = FOCAL * u + SIZE[0] / 2 - 0.5, FOCAL * v + SIZE[1] / 2 - 0.5
    inside = ((x >= 0) & (x <= SIZE[0] - 1))[None] & ((y >= 0) & (y <= SIZE[1] - 1))[:, None]
    truth = photograph(poses[4]).astype(int)
    rows = np.clip(y.round().astype(int), 0, SIZE[1] - 1)
    columns = np.clip(x.round().astype(int), 0, SIZE[0] - 1)
    difference = np.abs(seen - truth[rows][:, columns])[inside]
    shifted = np.abs(seen - truth[np.clip(rows + 2, 0, SIZE[1] - 1)][:, columns])[inside]
    assert difference.mean() < 6
    assert shifted.mean() > 2 * difference.mean()


def test_a_photo_whose_place_in_a_colmap_model_is_a_guess_is_left_out(tmp_path):
    poses = write_photos(tmp_path / "p" / "images", 5)
    seen = [40, 12, 4, 300, 21]
    write_colmap(tmp_path / "p" / "sparse" / "0", poses, seen=seen)
    events = ingest(tmp_path / "p", tmp_path / "out", IngestConfig(test_every=0))
    scene = load_scene(drain(events))
    assert [photo.name for photo in scene.photos] == ["00.jpg", "01.jpg", "03.jpg", "04.jpg"]
    assert scene.missing == {"02.jpg": "sees too few points that other photos see"}
    assert len(scene.points) == 8


def test_cameras_that_were_known_before_the_points_are_believed(tmp_path):
    poses = write_photos(tmp_path / "p" / "images", 5)
    write_colmap(tmp_path / "p" / "sparse" / "0", poses, seen=[0, 40, 0, 3, 12])
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out")))
    assert len(scene.photos) == 5
    assert scene.missing == {}


def test_points_project_to_the_same_place_in_world_and_source(tmp_path):
    poses = write_photos(tmp_path / "images", 4)
    corners = write_colmap(tmp_path / "sparse", poses)
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    camera = camera_of(scene.photos[2])
    world = np.c_[scene.points.double().numpy(), np.ones(len(corners))]
    seen = world @ camera.viewmats[0].numpy().T
    source = np.c_[corners, np.ones(len(corners))] @ poses[2].T
    assert np.allclose(seen[:, :2] / seen[:, 2:3], source[:, :2] / source[:, 2:3], atol=1e-6)


def test_transforms_and_its_own_split(tmp_path):
    poses = write_photos(tmp_path / "images", 4)
    frames = [
        {"file_path": f"./images/{i:02d}.jpg", "transform_matrix": opengl(pose)}
        for i, pose in enumerate(poses)
    ]
    told = {"fl_x": FOCAL, "frames": frames, "test_filenames": ["images/02.jpg"]}
    (tmp_path / "transforms.json").write_text(json.dumps(told))
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    assert [photo.name for photo in scene.held_out_photos] == ["images/02.jpg"]
    for photo, pose in zip(scene.photos, poses, strict=True):
        assert np.abs(in_source(scene, photo) - pose).max() < 1e-9
    # Nothing had to be changed about the photos, so their bytes are the same.
    assert scene.photos[0].path.read_bytes() == (tmp_path / "images" / "00.jpg").read_bytes()
    assert scene.background is None


def test_blender_set_has_a_white_background(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.new("RGBA", (16, 16), (255, 0, 0, 128)).save(tmp_path / split / "r_0.png")
        matrix = np.eye(4)
        matrix[:3, 3] = (0, 0, 4 if split == "train" else 5)
        told = {"camera_angle_x": 0.7, "frames": [
            {"file_path": f"./{split}/r_0", "transform_matrix": matrix.tolist()}]}  # fmt: skip
        (tmp_path / f"transforms_{split}.json").write_text(json.dumps(told))
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    assert scene.background == (1.0, 1.0, 1.0)
    assert [(photo.name, photo.held_out) for photo in scene.photos] == [
        ("test/r_0.png", True),
        ("train/r_0.png", False),
    ]
    assert read_image(scene.photos[0].path).shape == (16, 16, 4)
    # A Blender world has z up; ours has -y up.
    back = scene.source_from_world.numpy()
    assert back[:3, :3] @ [0, -1, 0] == pytest.approx(
        np.array([0, 1, 0]) * np.linalg.norm(back[:3, 0]), abs=1e-6
    )


def test_masks_are_undistorted_with_the_photos(tmp_path):
    poses = write_photos(tmp_path / "images", 3)
    mask = np.full((SIZE[1], SIZE[0]), 255, np.uint8)
    mask[:, :100] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    frames = [
        {"file_path": f"images/{i:02d}.jpg", "mask_path": "m.png", "transform_matrix": opengl(pose)}
        for i, pose in enumerate(poses)
    ]
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": FOCAL, "frames": frames}))
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    assert scene.photos[0].mask_path is not None
    assert np.array_equal(read_image(scene.photos[0].mask_path)[..., 0], mask)


def test_a_turned_photo_keeps_the_picture_that_its_colmap_camera_belongs_to(tmp_path):
    """COLMAP does not look at EXIF: its cameras are those of the pictures as stored."""
    poses = write_photos(tmp_path / "images", 3)
    write_colmap(tmp_path / "sparse", poses)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.open(tmp_path / "images" / "01.jpg").copy()
    stored.save(tmp_path / "images" / "01.jpg", exif=exif, quality=97)
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    photo = scene.photos[1]
    assert (photo.width, photo.height) == SIZE
    difference = np.abs(read_image(photo.path).astype(int) - np.asarray(stored)).mean()
    assert difference < 4  # JPEG twice; another picture would differ by tens


def test_split_file_and_no_split(tmp_path):
    poses = write_photos(tmp_path / "images", 4)
    write_colmap(tmp_path / "sparse", poses)
    (tmp_path / "split.txt").write_text("# mine\n01.jpg\n\n03.jpg\n")
    config = IngestConfig(split=tmp_path / "split.txt")
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "a", config)))
    assert [photo.name for photo in scene.held_out_photos] == ["01.jpg", "03.jpg"]
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "b", IngestConfig(test_every=0))))
    assert scene.held_out_photos == []
    (tmp_path / "split.txt").write_text("nobody.jpg\n")
    with pytest.raises(SplatkitError, match=r"split\.txt: expected names of photos"):
        drain(ingest(tmp_path, tmp_path / "c", config))


def test_photos_with_a_model_elsewhere(tmp_path):
    poses = write_photos(tmp_path / "set" / "images", 3)
    write_colmap(tmp_path / "set" / "reference" / "0", poses)
    config = IngestConfig(model=tmp_path / "set" / "reference")
    scene = load_scene(drain(ingest(tmp_path / "set", tmp_path / "out", config)))
    assert len(scene.photos) == 3


def test_shrunk_photos_of_a_colmap_project(tmp_path):
    poses = write_photos(tmp_path / "images", 3)
    write_colmap(tmp_path / "sparse", poses)
    (tmp_path / "images_2").mkdir()
    for path in (tmp_path / "images").iterdir():
        image = Image.open(path)
        image.resize((SIZE[0] // 2, SIZE[1] // 2)).save(tmp_path / "images_2" / path.name)
    shutil.rmtree(tmp_path / "images")
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    assert float(scene.photos[0].K[0, 0]) == pytest.approx(FOCAL / 2)
    assert (scene.photos[0].width, scene.photos[0].height) == (200, 150)


def test_finished_work_is_used_again_and_changed_photos_are_not(tmp_path):
    poses = write_photos(tmp_path / "p" / "images", 3)
    write_colmap(tmp_path / "p" / "sparse", poses)
    out = drain(ingest(tmp_path / "p", tmp_path / "out"))
    before = (out / "scene.json").stat().st_mtime_ns
    events = list(ingest(tmp_path / "p", tmp_path / "out"))
    assert any(isinstance(event, Note) and "already" in event.text for event in events)
    assert (out / "scene.json").stat().st_mtime_ns == before
    poses[1, :3, 3] += 0.1
    shutil.rmtree(tmp_path / "p" / "sparse")
    write_colmap(tmp_path / "p" / "sparse", poses)
    drain(ingest(tmp_path / "p", tmp_path / "out"))
    assert (out / "scene.json").stat().st_mtime_ns != before
    Image.new("RGB", SIZE, (9, 9, 9)).save(tmp_path / "p" / "images" / "01.jpg")
    drain(ingest(tmp_path / "p", tmp_path / "out"))
    assert read_image(load_scene(out).photos[1].path).max() <= 10


def test_stopped_work_goes_on(tmp_path):
    poses = write_photos(tmp_path / "p" / "images", 6, k1=-0.1)
    write_colmap(tmp_path / "p" / "sparse", poses, k1=-0.1)
    work = ingest(tmp_path / "p", tmp_path / "out")
    while getattr(next(work), "done", 0) < 2:
        pass
    work.close()
    assert not (tmp_path / "out" / "scene.json").exists()
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "images").iterdir()}
    assert done
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out")))
    assert len(scene.photos) == 6
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())


def test_what_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "film.mp4").write_bytes(b"x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("x")
    poses = write_photos(tmp_path / "p" / "images", 3)
    write_colmap(tmp_path / "p" / "sparse", poses, names=["x.jpg", "y.jpg", "z.jpg"])
    cases = [
        (tmp_path / "nowhere", UsageError, "nothing is there"),
        (tmp_path / "empty", SplatkitError, r"empty: expected photos \(JPEG, PNG, HEIC"),
        (tmp_path / "notes.txt", UsageError, "expected a folder of photos"),
        (tmp_path / "film.mp4", SplatkitError, "expected a video, got a damaged file"),
        (tmp_path / "p", SplatkitError, "none of its 3 photos is among the 3"),
    ]
    for source, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            drain(ingest(source, tmp_path / "out"))
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out" / "scene.json").exists()
    good = write_photos(tmp_path / "q" / "images", 3)
    write_colmap(tmp_path / "q" / "sparse", good)
    with pytest.raises(UsageError, match="expected a new folder or one made by splatkit"):
        drain(ingest(tmp_path / "q", tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.doc").exists()
