"""Camera paths of nerfstudio: where the cameras stand, and what is no path."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import av
import pytest
import torch

from splatkit.core import SplatkitError, drain
from splatkit.export import RenderOptions, open_scene, render_scene
from splatkit.io import write_gaussians
from splatkit.io.camera_path import read_camera_path, write_camera_path
from tests.scenes import ball_over_floor


def told(**changes):
    """Two views: one at (1, 2, 3) that looks along -z, one that looks along -x."""
    ahead = [1, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 3, 0, 0, 0, 1]
    turned = [0, 0, 1, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 0, 1]
    views = [
        {"camera_to_world": ahead, "fov": 90, "aspect": 1},
        {"camera_to_world": turned, "fov": 50.0, "aspect": 1},
    ]
    whole = {"camera_type": "perspective", "render_height": 48, "render_width": 64, "fps": 12,
             "seconds": 4, "is_cycle": False, "keyframes": [], "camera_path": views}  # fmt: skip
    return whole | changes


def test_cameras_are_where_the_file_says(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(told()))
    path = read_camera_path(tmp_path / "a.json")
    cameras = path.cameras
    assert (path.fps, cameras.width, cameras.height) == (12, 64, 48)
    torch.testing.assert_close(cameras.positions[0].tolist(), [1.0, 2.0, 3.0])
    # A point in front, above and to the right of each camera falls where it should.
    for index, point in ((0, [2.0, 3.0, -1.0]), (1, [-4.0, 1.0, -1.0])):
        x, y, z, _ = cameras.viewmats[index] @ torch.tensor([*point, 1.0], dtype=torch.float64)
        torch.testing.assert_close([float(x), float(y), float(z)], [1.0, -1.0, 4.0])
    assert float(cameras.Ks[0, 1, 1]) == pytest.approx(24)
    assert float(cameras.Ks[1, 0, 0]) == pytest.approx(24 / math.tan(math.radians(25)))
    assert cameras.Ks[0, :2, 2].tolist() == [32, 24]


def test_a_video_along_a_path(tmp_path):
    write_gaussians(ball_over_floor(), tmp_path / "balls.ply")
    (tmp_path / "walk.json").write_text(json.dumps(told()))
    options = RenderOptions(paths=(str(tmp_path / "walk.json"),))
    (video,) = drain(render_scene(open_scene(tmp_path / "balls.ply"), None, options))
    assert video.name == "walk.mp4"
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 12
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 2


SCALED = [0] * 15 + [1]


@pytest.mark.parametrize(("changes", "message"), [
    ({"camera_path": []}, "with 1 to 100000 views"),
    ({"camera_path": 7}, "with 1 to 100000 views"),
    ({"camera_type": "equirectangular"}, "perspective views, got 'equirectangular'"),
    ({"render_width": 0}, "a side of 0 pixels"),
    ({"render_width": 10**9}, "a side of 1000000000 pixels"),
    ({"fps": -1}, "positive fps"),
    ({"camera_path": [{"fov": 50}]}, "KeyError"),
    ({"camera_path": [{"fov": 50, "camera_to_world": [1, 2]}]}, "ValueError"),
    ({"camera_path": [{"fov": 50, "camera_to_world": SCALED}]}, "no turned and moved camera"),
    ({"camera_path": [{"fov": 180, "camera_to_world": [1.0] * 16}]}, "no turned and moved"),
    ({"camera_path": [7]}, "TypeError"),
])  # fmt: skip
def test_faults_are_named(tmp_path, changes, message):
    (tmp_path / "a.json").write_text(json.dumps(told(**changes)))
    with pytest.raises(SplatkitError, match=message) as caught:
        read_camera_path(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_path_that_is_written_is_read_again(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(told()))
    first = read_camera_path(tmp_path / "a.json")
    assert first.keyframes is None
    kept = replace(first, keyframes=first.cameras[:1], loop=True)
    write_camera_path(kept, tmp_path / "b.json")
    again = read_camera_path(tmp_path / "b.json")
    assert (again.fps, again.loop) == (12, True)
    torch.testing.assert_close(again.cameras.viewmats, first.cameras.viewmats)
    torch.testing.assert_close(again.cameras.Ks, first.cameras.Ks)
    torch.testing.assert_close(again.keyframes.viewmats, first.cameras.viewmats[:1])
    # What nerfstudio reads: the very numbers that its own file had.
    ours = json.loads((tmp_path / "b.json").read_text())
    for mine, theirs in zip(ours["camera_path"], told()["camera_path"], strict=True):
        assert mine["camera_to_world"] == pytest.approx(theirs["camera_to_world"])
        assert mine["fov"] == pytest.approx(theirs["fov"])


def test_broken_keyframes_are_told(tmp_path):
    for keyframes in ([{"fov": 3}], [3], [{"matrix": [1, 2], "fov": 50}]):
        (tmp_path / "a.json").write_text(json.dumps(told(keyframes=keyframes)))
        with pytest.raises(SplatkitError, match="expected keyframes"):
            read_camera_path(tmp_path / "a.json")
