"""transforms.json as nerfstudio, instant-ngp and Blender write it."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from splatkit.core import SplatkitError
from splatkit.io.transforms import read_frames


def photo(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def write(folder, told, name="transforms.json"):
    (folder / name).write_text(json.dumps(told))


def looking_along_minus_z(x=1.0, y=2.0, z=3.0):
    """OpenGL camera-to-world of a camera at (x, y, z) that looks along -z with y up."""
    matrix = np.eye(4)
    matrix[:3, 3] = (x, y, z)
    return matrix.tolist()


def test_axes_turn_from_opengl_to_opencv(tmp_path):
    photo(tmp_path / "a.png")
    write(tmp_path, {"fl_x": 50, "frames": [
        {"file_path": "./a.png", "transform_matrix": looking_along_minus_z()}]})  # fmt: skip
    (frame,), missing = read_frames(tmp_path)
    assert missing == []
    assert frame.name == "a.png"
    # A point 5 in front of the camera, 1 to the right and 1 above: x right, y down, z forward.
    seen = frame.camera_from_world @ [1 + 1, 2 + 1, 3 - 5, 1]
    assert np.allclose(seen, (1, -1, 5, 1))
    assert frame.lens.focal_and_center == (50, 50, 20, 15)


def test_blender_split_and_file_names_without_suffix(tmp_path):
    for split in ("train", "test", "val"):
        photo(tmp_path / split / "r_0.png")
        frames = [
            {"file_path": f"./{split}/r_0", "transform_matrix": looking_along_minus_z()},
            {"file_path": f"./{split}/r_1", "transform_matrix": looking_along_minus_z()},
        ]
        write(tmp_path, {"camera_angle_x": 0.8, "frames": frames}, f"transforms_{split}.json")
    frames, missing = read_frames(tmp_path)
    assert [(f.name, f.split) for f in frames] == [
        ("test/r_0.png", "test"),
        ("train/r_0.png", "train"),
    ]
    assert missing == ["test/r_1", "train/r_1"]
    assert frames[0].lens["fx"] == pytest.approx(20 / math.tan(0.4))
    assert frames[0].lens["fy"] == frames[0].lens["fx"]


def test_intrinsics_of_the_frame_win_and_distortion_is_kept(tmp_path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    matrix = looking_along_minus_z()
    write(tmp_path, {
        "w": 40, "h": 30, "fl_x": 50, "fl_y": 51, "cx": 19, "cy": 16, "k1": 0.1, "p2": 0.01,
        "test_filenames": ["./b.jpg"],
        "frames": [{"file_path": "a.jpg", "transform_matrix": matrix},
                   {"file_path": "b.jpg", "transform_matrix": matrix, "fl_x": 60,
                    "camera_model": "OPENCV_FISHEYE"}]})  # fmt: skip
    (a, b), _ = read_frames(tmp_path / "transforms.json")
    assert a.lens.model == "OPENCV"
    assert a.lens.params == (50, 51, 19, 16, 0.1, 0, 0, 0.01)
    assert b.lens.model == "OPENCV_FISHEYE"
    assert b.lens["fx"] == 60
    assert (a.split, b.split) == (None, "test")


def test_damage_is_one_line_with_the_file(tmp_path):
    photo(tmp_path / "a.jpg")
    good = looking_along_minus_z()

    def posed(matrix, name="a.jpg", **more):
        return {"fl_x": 5, "frames": [{"file_path": name, "transform_matrix": matrix}], **more}

    cases = [
        [],
        {},
        "text",
        None,
        {"frames": 3},
        {"frames": []},
        {"frames": [3]},
        {"frames": [{}]},
        {"fl_x": 5, "frames": [{"file_path": "a.jpg"}]},
        posed(good, fl_x=None),
        posed(good, fl_x="x"),
        posed(good, fl_x=-5),
        posed(good, w=1e300, h=1),
        posed([[1, 2], [3]]),
        posed(np.diag([1.0, 2.0, 3.0, 1.0]).tolist()),
        posed(np.zeros((4, 4)).tolist()),
        posed(good, "no.jpg"),
        posed(good, "a\0.jpg"),
        posed(good, "x" * 5000),
    ]
    for told in cases:
        write(tmp_path, told)
        with pytest.raises(SplatkitError, match=str(tmp_path)) as caught:
            read_frames(tmp_path)
        assert "\n" not in str(caught.value), told


def test_a_scaled_rotation_is_made_rigid(tmp_path):
    """Exporters that rescale the scene leave the scale in the matrices."""
    photo(tmp_path / "a.jpg")
    matrix = np.array(looking_along_minus_z())
    matrix[:3, :3] *= 0.25
    frames = [{"file_path": "a.jpg", "transform_matrix": matrix.tolist()}]
    write(tmp_path, {"fl_x": 5, "frames": frames})
    (frame,), _ = read_frames(tmp_path)
    assert np.allclose(frame.camera_from_world @ [1, 2, 3, 1], (0, 0, 0, 1))
    assert np.linalg.det(frame.camera_from_world[:3, :3]) == pytest.approx(1)
