"""Photos that only another model placed are taken over where the two lie alike."""

import numpy as np

from splatkit.ingest.alignment import moved_points, moved_pose
from splatkit.ingest.judge import judge, without
from splatkit.ingest.merge import joined_model
from splatkit.io.colmap import ColmapImage, ColmapModel
from tests.ingest.test_judge import misplace, world

ELSEWHERE = np.eye(4)
ELSEWHERE[:3, :3], ELSEWHERE[:3, 3] = 3 * np.diag([-1.0, -1.0, 1.0]), (7, 8, 9)


def moved(model):
    images = [
        ColmapImage(i.name, i.camera_id, moved_pose(ELSEWHERE, i.camera_from_world), i.xys,
                    i.point_ids)
        for i in model.images
    ]  # fmt: skip
    return ColmapModel(
        model.cameras, images, model.point_ids, moved_points(ELSEWHERE, model.points),
        model.colors, model.errors, model.track_lengths,
    )  # fmt: skip


def test_photos_of_an_overlapping_model_come_in_where_they_were_taken():
    model, pairs = world()
    ours = without(model, {"5.jpg"})
    theirs = without(moved(model), {"0.jpg"})
    joined = joined_model(ours, theirs, frozenset({"5.jpg"}))
    verdict = judge(joined, pairs)
    assert len(verdict.trusted) == 6
    truth = {image.name: image.camera_from_world for image in model.images}
    for image in joined.images:
        assert np.abs(image.camera_from_world - truth[image.name]).max() < 1e-6
        assert np.isin(image.point_ids, joined.point_ids).all()
    assert len(np.unique(joined.point_ids)) == len(joined.points) > len(model.points)


def test_nothing_is_taken_from_a_model_that_lies_otherwise():
    model, _ = world()
    ours = without(model, {"5.jpg"})
    crooked = moved(model)
    for index in (1, 2, 3):
        crooked = misplace(crooked, index)
    assert joined_model(ours, crooked, frozenset({"5.jpg"})) is ours


def test_two_common_photos_do_not_tell_how_models_lie():
    model, _ = world()
    ours = without(model, {"3.jpg", "4.jpg", "5.jpg"})
    theirs = without(moved(model), {"0.jpg"})
    assert joined_model(ours, theirs, frozenset({"5.jpg"})) is ours
