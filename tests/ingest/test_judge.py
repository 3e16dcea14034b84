"""Photos are believed when their matches say so, however many the mapper placed."""

import numpy as np
import pytest

from splatkit.ingest.judge import Pair, judge, without
from splatkit.io.colmap import ColmapImage, ColmapModel
from splatkit.io.lenses import Lens
from tests.ingest.corner import FOCAL, SIZE, cameras

LENS = Lens("SIMPLE_RADIAL", *SIZE, (FOCAL, SIZE[0] / 2, SIZE[1] / 2, -0.05))


def world(count=6, matches=80, seed=0):
    """A true model and its matches with half a pixel of noise."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, 1.2, (matches, 3))
    names = [f"{i}.jpg" for i in range(count)]
    pixels = {}
    images = []
    for name, pose in zip(names, cameras(count), strict=True):
        seen = points @ pose[:3, :3].T + pose[:3, 3]
        u, v = LENS.project(seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2])
        pixels[name] = np.stack((u, v), 1) + generator.normal(0, 0.5, (matches, 2))
        images.append(ColmapImage(name, 1, pose, pixels[name], np.arange(matches)))
    pairs = [Pair(a, b, pixels[a], pixels[b]) for i, a in enumerate(names) for b in names[i + 1 :]]
    ids = np.arange(matches)
    model = ColmapModel(
        {1: LENS}, images, ids, points, np.zeros((matches, 3), np.uint8), np.ones(matches),
        np.full(matches, count),
    )  # fmt: skip
    return model, pairs


def misplace(model, index):
    """The same model with one photo upside down."""
    turn = np.diag([-1.0, -1.0, 1.0])
    images = list(model.images)
    pose = images[index].camera_from_world.copy()
    pose[:3] = turn @ pose[:3]
    old = images[index]
    images[index] = ColmapImage(old.name, old.camera_id, pose, old.xys, old.point_ids)
    return ColmapModel(
        model.cameras, images, model.point_ids, model.points, model.colors, model.errors,
        model.track_lengths,
    )  # fmt: skip


def test_a_true_model_is_believed_whole():
    model, pairs = world()
    verdict = judge(model, pairs)
    assert len(verdict.trusted) == 6
    assert verdict.doubted == {}
    assert verdict.agreeing > 0.98 * sum(len(pair.xy_first) for pair in pairs)


def test_a_photo_upside_down_is_named_and_its_neighbours_are_not():
    model, pairs = world()
    for wrong in (0, 3, 5):
        verdict = judge(misplace(model, wrong), pairs)
        assert list(verdict.doubted) == [f"{wrong}.jpg"]
        assert "contradict" in verdict.doubted[f"{wrong}.jpg"]
        assert len(verdict.trusted) == 5


def test_a_photo_with_a_handful_of_matches_is_not_believed():
    model, pairs = world()
    few = [
        Pair(p.first, p.second, p.xy_first[:2], p.xy_second[:2]) if "2.jpg" in (p.first, p.second)
        else p
        for p in pairs
    ]  # fmt: skip
    verdict = judge(model, few)
    assert verdict.doubted == {"2.jpg": "too few matches with other photos"}


@pytest.mark.parametrize(("points", "error", "believed"), [
    (20, 1.0, True), (20, 3.0, False), (60, 3.0, True), (5, 1.0, False),
])  # fmt: skip
def test_a_photo_held_by_few_points_that_fit_badly_is_not_believed(points, error, believed):
    model, pairs = world()
    old = model.images[2]
    # Its points are its own and one neighbour's, so that theirs do not look bad.
    model.images[2] = ColmapImage(
        old.name, 1, old.camera_from_world, old.xys[:points], np.arange(points)
    )
    for i in (0, 3, 4, 5):
        other = model.images[i]
        model.images[i] = ColmapImage(
            other.name, 1, other.camera_from_world, other.xys[points:], np.arange(points, 80)
        )
    model.errors[:points] = error
    verdict = judge(model, pairs)
    if believed:
        assert len(verdict.trusted) == 6
    else:
        assert verdict.doubted == {"2.jpg": "sees too few points that other photos see"}


def test_a_model_without_matches_is_not_believed_at_all():
    model, _ = world()
    verdict = judge(model, [])
    assert not verdict.trusted
    assert len(verdict.doubted) == 6


def test_without_drops_photos_and_what_only_they_saw():
    model, _ = world()
    model.images[0] = ColmapImage("0.jpg", 1, np.eye(4), np.zeros((3, 2)), np.array([0, 1, 2]))
    for i in range(1, 6):
        old = model.images[i]
        ids = np.array([2, 3, 4]) if i < 3 else np.array([4, 5])
        nowhere = np.zeros((len(ids), 2))
        model.images[i] = ColmapImage(old.name, 1, old.camera_from_world, nowhere, ids)
    kept = without(model, {"0.jpg"})
    assert [image.name for image in kept.images] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert kept.point_ids.tolist() == [2, 3, 4, 5]
    assert len(kept.points) == len(kept.colors) == len(kept.errors) == 4
