"""Models that bend are given away by those that do not."""

import numpy as np

from splatkit.ingest.consensus import outvoted
from tests.ingest.corner import cameras

COUNT = 12
TRUE = {f"{i}.jpg": np.asarray(pose, float) for i, pose in enumerate(cameras(COUNT))}


def framed(places, scale, degrees):
    """The same cameras in another frame and unit."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    moved = {}
    for name, pose in places.items():
        rotation = pose[:3, :3] @ turn.T
        center = scale * turn @ (-pose[:3, :3].T @ pose[:3, 3]) + np.array([5.0, -3.0, 1.0])
        moved[name] = np.eye(4)
        moved[name][:3, :3], moved[name][:3, 3] = rotation, -rotation @ center
    return moved


def bent(places, count, by=0.5):
    """The last photos shifted together, as where nothing but a few points holds them."""
    changed = {name: pose.copy() for name, pose in places.items()}
    for name in list(changed)[-count:]:
        changed[name][:3, 3] += by
    return changed


def part(places, count):
    return dict(list(places.items())[:count])


def test_the_same_cameras_in_other_frames_agree():
    models = [TRUE, framed(TRUE, 3.0, 40), framed(TRUE, 0.2, -100)]
    assert outvoted(models, [True] * 3) == [False] * 3


def test_a_bent_model_is_outvoted_however_many_photos_it_has():
    models = [framed(part(TRUE, 10), 2.0, 10), bent(TRUE, 5), framed(part(TRUE, 11), 0.5, 70)]
    assert outvoted(models, [True] * 3) == [False, True, False]


def test_one_photo_that_is_elsewhere_is_no_reason_to_distrust_a_model():
    models = [TRUE, bent(TRUE, 1), framed(TRUE, 2.0, 10)]
    assert outvoted(models, [True] * 3) == [False] * 3


def test_two_that_contradict_each_other_are_left_as_they_are():
    assert outvoted([TRUE, bent(TRUE, 5)], [True, True]) == [False, False]


def test_a_model_made_of_others_has_no_vote():
    models = [TRUE, bent(TRUE, 5), bent(TRUE, 5)]
    assert outvoted(models, [True, True, False]) == [False] * 3


def test_models_of_other_photos_say_nothing():
    models = [part(TRUE, 5), bent(TRUE, 5), dict(list(TRUE.items())[7:])]
    assert outvoted(models, [True] * 3) == [False] * 3
    assert outvoted([], []) == []
