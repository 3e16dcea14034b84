"""Frames are brought together although some of the cameras are wrong."""

import numpy as np
import pytest

from splatkit.ingest.alignment import (
    angle_between,
    camera_centers,
    moved_points,
    moved_pose,
    residuals,
    similarity_of_cameras,
    similarity_of_points,
)
from tests.ingest.corner import cameras

ANGLE = 0.7
TURN = np.array(
    [[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1.0]]
)
KNOWN = np.eye(4)
KNOWN[:3, :3], KNOWN[:3, 3] = 2.5 * TURN, (3, -4, 5)


def test_points_are_aligned_in_spite_of_outliers():
    points = np.random.default_rng(0).normal(size=(30, 3))
    target = moved_points(KNOWN, points)
    target[[3, 8]] += 40
    found = similarity_of_points(points, target)
    assert np.abs(found - KNOWN).max() < 1e-9
    assert (residuals(found, points, target) > 1).sum() == 2


@pytest.mark.parametrize("wrong", [(), (2,), (1, 6)])
def test_cameras_are_aligned_although_some_lie_elsewhere(wrong):
    poses = cameras(9)
    target = np.stack([moved_pose(KNOWN, pose) for pose in poses])
    for i in wrong:
        target[i, :3, 3] += 9
        target[i, :3] = np.diag([-1, -1, 1.0]) @ target[i, :3]
    found = similarity_of_cameras(poses, target)
    tolerance = 0.3 if wrong else 1e-9
    assert np.abs(found - KNOWN).max() < tolerance


def test_cameras_on_a_line_keep_their_rotation():
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 0, 3] = np.arange(4)
    target = np.stack([moved_pose(KNOWN, pose) for pose in poses])
    assert np.abs(similarity_of_cameras(poses, target) - KNOWN).max() < 1e-9


def test_a_moved_camera_sees_moved_points_alike():
    pose = cameras(1)[0]
    points = np.random.default_rng(1).normal(size=(5, 3))
    before = points @ pose[:3, :3].T + pose[:3, 3]
    moved = moved_pose(KNOWN, pose)
    after = moved_points(KNOWN, points) @ moved[:3, :3].T + moved[:3, 3]
    assert np.allclose(after, 2.5 * before)
    center = moved_points(KNOWN, camera_centers(pose[None]))
    assert np.allclose(camera_centers(moved[None]), center)
    assert angle_between(moved[None, :3, :3], pose[None, :3, :3] @ TURN.T)[0] < 1e-6
