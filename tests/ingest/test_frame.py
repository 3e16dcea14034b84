"""The world frame: up, centre, size, and the way back."""

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import drain
from splatkit.core.transforms import look_at
from splatkit.ingest import ingest
from splatkit.ingest.frame import (
    CAMERA_DISTANCE,
    points_in_world,
    pose_in_world,
    source_from_world,
    up_by_gravity,
    up_direction,
)
from splatkit.io.scene import load_scene
from tests.ingest.corner import write_photos
from tests.ingest.test_posed import write_colmap
from tests.io.test_gravity import apple_note


def orbit(count=24, turns=1.0, up=(0.0, 0.0, 1.0), seed=0):
    """Cameras around (5, 6, 7) in a frame whose up is ``up``, at random heights."""
    generator = np.random.default_rng(seed)
    up = np.array(up) / np.linalg.norm(up)
    side = np.linalg.svd(up[None])[2][1:]
    angle = np.linspace(0, 2 * np.pi * turns, count, endpoint=False)
    around = np.cos(angle)[:, None] * side[0] + np.sin(angle)[:, None] * side[1]
    target = np.array([5.0, 6.0, 7.0])
    eyes = target + 3 * around + generator.uniform(0.2, 1.5, (count, 1)) * up
    return look_at(
        torch.tensor(eyes), torch.tensor(target).expand(count, 3), torch.tensor(up).expand(count, 3)
    ).numpy()


@pytest.mark.parametrize("turns", [1.0, 0.4, 0.02])
@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (1, 2, -3)])
def test_up_is_found_on_whole_and_part_orbits_and_a_single_side(turns, up):
    poses = orbit(turns=turns, up=up)
    found = up_direction(poses[:, :3, :3])
    angle = np.degrees(np.arccos(np.clip(found @ (np.array(up) / np.linalg.norm(up)), -1, 1)))
    # From one side only, the direction in which the photos look down is open.
    assert angle < (1 if turns >= 0.4 else 30)


def test_a_few_rolled_photos_do_not_tilt_the_world():
    poses = orbit()
    roll = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    for i in (3, 4, 11):
        poses[i, :3] = roll @ poses[i, :3]
    found = up_direction(poses[:, :3, :3])
    assert np.degrees(np.arccos(found[2])) < 2


def test_world_is_upright_centred_and_of_the_known_size():
    poses = orbit()
    similarity = source_from_world(poses, np.zeros((0, 3)))
    world = np.stack([pose_in_world(pose, similarity) for pose in poses])
    centers = -np.einsum("nji,nj->ni", world[:, :3, :3], world[:, :3, 3])
    assert np.median(np.linalg.norm(centers, axis=1)) == pytest.approx(CAMERA_DISTANCE)
    assert (centers[:, 1] < 0).all()  # above the centre, and up is -y
    assert np.abs(world[:, 0, 1]).max() < 2e-3  # level: x axes have no part in y
    assert np.allclose(points_in_world(np.array([[5.0, 6, 7]]), similarity), 0, atol=1e-6)


def test_parallel_views_are_centred_on_the_points():
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = np.linspace(-1, 1, 5)
    points = np.random.default_rng(0).normal((3, 4, 20), 1.0, (500, 3))
    similarity = source_from_world(poses, points)
    assert np.allclose(np.median(points_in_world(points, similarity), axis=0), 0, atol=1e-9)


def test_the_way_back_is_exact():
    poses = orbit(up=(1, 2, -3))
    points = np.random.default_rng(1).normal(size=(50, 3))
    similarity = source_from_world(poses, points)
    linear = similarity[:3, :3]
    scale = np.linalg.det(linear) ** (1 / 3)
    assert np.abs(linear @ linear.T / scale**2 - np.eye(3)).max() < 1e-12
    assert np.linalg.det(linear) > 0
    for pose in poses:
        world = pose_in_world(pose, similarity)
        assert np.abs(world[:3, :3] @ world[:3, :3].T - np.eye(3)).max() < 1e-9
        # Source coordinates are camera coordinates divided by the scale, moved back.
        back = np.diag([scale, scale, scale, 1]) @ world @ np.linalg.inv(similarity)
        assert np.abs(back - pose).max() < 1e-9
    homogeneous = np.c_[points_in_world(points, similarity), np.ones(50)]
    assert np.abs((homogeneous @ similarity.T)[:, :3] - points).max() < 1e-9


def test_one_camera_looking_straight_down():
    pose = np.eye(4)
    pose[2, 3] = 4
    similarity = source_from_world(pose[None], np.zeros((0, 3)))
    assert np.isfinite(similarity).all()


def test_up_is_what_the_photos_say_of_gravity_in_spite_of_wrong_ones():
    up = np.array((1, 2, -3)) / np.sqrt(14)
    rotations = orbit(up=up)[:, :3, :3]
    generator = np.random.default_rng(1)
    gravity = -rotations @ up + generator.normal(0, 0.02, (len(rotations), 3))
    gravity[::6] = (1, 0, 0)
    gravity /= np.linalg.norm(gravity, axis=1, keepdims=True)
    found = up_by_gravity(rotations, gravity)
    assert found is not None
    assert np.degrees(np.arccos(found @ up)) < 1
    # The same direction in every camera is a sensor that does not work.
    assert up_by_gravity(rotations, np.tile((1.0, 0.0, 0.0), (len(rotations), 1))) is None


def test_photos_held_askew_make_an_upright_scene_where_they_state_gravity(tmp_path):
    turn = np.radians(40)
    roll = np.eye(4)
    roll[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    poses = np.stack([roll @ pose for pose in write_photos(tmp_path / "images", 5)])
    for path, pose in zip(sorted((tmp_path / "images").iterdir()), poses, strict=True):
        x, y, z = -pose[:3, 2]  # the room's z is up
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x927C] = apple_note(-y, -x, -z)
        image = Image.open(path).copy()
        image.save(path, exif=exif)
    write_colmap(tmp_path / "sparse", poses)
    scene = load_scene(drain(ingest(tmp_path, tmp_path / "out")))
    up = np.linalg.inv(scene.source_from_world.numpy())[:3, :3] @ (0, 0, 1)
    assert up / np.linalg.norm(up) == pytest.approx((0, -1, 0), abs=1e-3)
