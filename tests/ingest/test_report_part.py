"""The cameras' part of the report: who has a place, who has not and why, what to add."""

import numpy as np
import torch

from splatkit.ingest.report_part import placing_section, write_report
from splatkit.ingest.top_view import (
    advice_on_coverage,
    gaps_around,
    photos_that_show,
    sampled_points,
)
from splatkit.io.files import write_json
from splatkit.io.scene import save_scene
from tests.ingest.ring_scene import ring_scene


def around(degrees):
    angle = np.radians(degrees)
    return np.stack((np.sin(angle), np.zeros(len(angle)), np.cos(angle)), 1)


def test_gaps_are_looked_for_only_where_cameras_go_round():
    assert gaps_around(around(range(0, 360, 15))) == []
    (gap,) = gaps_around(around([*range(0, 120, 15), *range(200, 360, 15)]))
    assert np.allclose(np.degrees(gap) % 360, (105, 200))
    assert gaps_around(around(range(0, 100, 10))) == []


def test_points_are_counted_in_the_pictures_that_hold_them(tmp_path):
    scene = ring_scene(tmp_path, 8)
    middle, behind_one = np.zeros(3), np.array([0.0, -1.0, -6.0])
    counts = photos_that_show(scene, np.stack((middle, behind_one, middle + 1e6)))
    assert counts[0] == 8
    assert 0 < counts[1] < 8
    assert counts[2] < 8


def test_a_side_without_photos_is_named(tmp_path):
    scene = ring_scene(tmp_path, 12)
    scene.photos = [photo for i, photo in enumerate(scene.photos) if i not in (3, 4, 5)]
    counts = photos_that_show(scene, sampled_points(scene))
    assert any("no photos were taken between" in line for line in advice_on_coverage(scene, counts))
    few = ring_scene(tmp_path, 2)
    counts = photos_that_show(few, sampled_points(few))
    assert any("fewer than 3 photos" in line for line in advice_on_coverage(few, counts))


def test_the_page_names_every_photo_and_reason(tmp_path):
    scene = ring_scene(tmp_path, 6)
    scene.missing = {"<b>&.jpg": "blurred: too few details", "gone.jpg": "elsewhere"}
    save_scene(scene, tmp_path)
    names = [photo.name for photo in scene.photos]
    model = {"model": "plain/incremental/0", "photos": 6, "trusted": 6, "worth": 5.5,
             "points": 40, "mean_error_pixels": 0.4, "focal_over_long_side": 1.1,
             "agreeing_matches": 100, "doubted": {}}  # fmt: skip
    photos = {n: {"support": 0.9, "points": 30, "error": 0.5} for n in names}
    photos[names[2]]["support"] = 0.41
    write_json(
        tmp_path / "placing.json",
        {"models": [model], "chosen": "plain/incremental/0", "names": names, "photos": photos,
         "matches": [[0, 1, 200], [1, 2, 20]], "capture": {"advice": ["hold still"]}},
    )  # fmt: skip
    text = write_report(tmp_path).read_text()
    for words in ("6 of 8 photos", "&lt;b&gt;&amp;.jpg", "blurred: too few", "elsewhere", *names,
                  "41% agree", "hold still", "plain/incremental/0"):  # fmt: skip
        assert words in text, words
    assert "<b>&.jpg" not in text
    # The least sure photo comes first, and its mark on the map says so.
    placed = text[text.index("Placed (6)") :]
    assert placed.index(names[2]) < min(placed.index(n) for n in names if n != names[2])
    assert text.count('class="weak"') == 2
    assert text.count("<polygon") == 6
    # Two charts with a bar for each photo.
    assert text.count('class="bar"') == 12
    assert f"{names[0]}: 0.50 pixels" in text


def test_cameras_that_came_with_the_photos(tmp_path):
    scene = ring_scene(tmp_path, 4)
    scene.points = torch.zeros(0, 3)
    scene.point_colors = torch.zeros(0, 3)
    save_scene(scene, tmp_path)
    text = placing_section(tmp_path)
    assert "Their cameras came with them" in text
    assert "Matches between photos" not in text
