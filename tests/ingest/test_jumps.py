"""Frames of a video stand along the camera's way."""

import numpy as np
import pytest

from splatkit.ingest.judge import judge
from splatkit.ingest.jumps import JUMPS, jumps, without_jumps
from tests.ingest.corner import cameras
from tests.ingest.test_judge import world


def shifted(poses, index, by):
    """The camera at ``index`` moved by ``by`` in its own axes."""
    moved = poses.copy()
    moved[index, :3, 3] += by
    return moved


def test_a_way_without_jumps_is_left_alone():
    poses = cameras(30)
    assert jumps(poses) == []
    # A pause, a sharp turn, and a quick piece are no jumps.
    assert jumps(poses[[0, 1, 2, 2, 2, 3, 4, 10, 16, 22, 23]]) == []
    assert jumps(poses[[0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]]) == []
    assert jumps(poses[:3]) == []


@pytest.mark.parametrize("index", [1, 14, 28])
def test_a_frame_far_from_both_its_neighbours_jumps(index):
    assert jumps(shifted(cameras(30), index, (0.0, 0.0, 2.0))) == [index]


def test_a_frame_that_looks_elsewhere_jumps():
    poses = cameras(30)
    poses[7, :3] = np.diag([-1.0, 1.0, -1.0]) @ poses[7, :3]
    assert jumps(poses) == [7]


def test_a_jumping_frame_is_doubted_with_the_reason():
    model, pairs = world()
    verdict = judge(model, pairs)
    assert without_jumps(model, verdict) == verdict
    name = model.images[2].name
    model.images[2].camera_from_world[:3, 3] += (0, 0, 40)
    changed = without_jumps(model, verdict)
    assert changed.doubted == {name: JUMPS}
    assert changed.trusted == verdict.trusted - {name}
    assert name not in changed.support
