"""The capture doctor: faults are named before any work is done."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from splatkit.cli import main
from splatkit.core import SplatkitError, drain
from splatkit.ingest import IngestConfig, check, describe
from splatkit.ingest.cost import (
    estimate,
    feature_density,
    in_words,
    most_features,
    some_of,
    threads_within,
)
from splatkit.io.images import read_image
from tests.ingest.corner import write_photos


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    write_photos(folder, 8)
    return folder


def test_faults_are_found(photos, tmp_path):
    blurred = cv2.GaussianBlur(read_image(photos / "03.jpg"), (0, 0), 5)
    Image.fromarray(blurred).save(photos / "03.jpg")
    (photos / "notes.jpg").write_text("words")
    shutil.copy(photos / "05.jpg", photos / "05 again.jpg")
    Image.fromarray(read_image(photos / "06.jpg")).save(photos / "06 small.jpg", quality=60)
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 36.0)})
    Image.open(photos / "07.jpg").save(photos / "07.jpg", exif=exif, quality=95)
    capture = drain(check(photos))
    assert capture.blurred == ["03.jpg"]
    assert list(capture.unreadable) == ["notes.jpg"]
    assert capture.twins == {"05.jpg": "05 again.jpg"}
    assert capture.near_copies == {"06.jpg": "06 small.jpg"}
    assert capture.sizes == {"400x300": 9}
    assert capture.with_gps == 1
    text = describe(capture)
    assert "blurred          03.jpg" in text
    assert "few: 20 or more" in text
    assert "messenger" in text
    assert not (tmp_path / "out").exists()


def test_the_command_prints_text_or_json_and_writes_nothing(photos, capsys):
    assert main(["ingest", str(photos), "--check"]) == 0
    assert "to find the cameras" in capsys.readouterr().out
    assert main(["ingest", str(photos), "--check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["photos"] == 8
    assert told["blurred"] == []
    assert told["minutes"] >= 0
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]


def test_photos_that_cannot_become_a_scene_end_the_check_with_an_error(tmp_path, capsys):
    write_photos(tmp_path / "two", 2)
    assert main(["ingest", str(tmp_path / "two"), "--check"]) == 1
    told = capsys.readouterr()
    assert "photos" in told.out
    assert "expected at least 3 readable photos of one scene, got 2; take" in told.err
    assert main(["ingest", str(tmp_path / "two"), "--check", "--json"]) == 1
    assert "got 2" in json.loads(capsys.readouterr().out)["obstacle"]


def test_without_an_output_folder_the_command_says_what_it_wants(photos, capsys):
    assert main(["ingest", str(photos)]) == 2
    assert "expected -o DIR" in capsys.readouterr().err


def test_exposure_that_differs_is_said(photos):
    for i in range(8):
        image = read_image(photos / f"{i:02d}.jpg")
        exif = Image.Exif()
        seconds = 1 / 50 if i % 2 else 1 / 800
        exif.get_ifd(0x8769).update({0x829A: seconds, 0x829D: 4.0, 0x8827: 100})
        Image.fromarray(image).save(photos / f"{i:02d}.jpg", exif=exif)
    capture = drain(check(photos))
    assert capture.exposure_spread == pytest.approx(4, abs=0.01)
    assert any("exposure" in line for line in capture.advice)


def test_threads_are_as_many_as_find_room_in_memory():
    copies = [(1600, 1200)] * 3
    assert threads_within(64_000_000_000, copies, 8) == 8
    assert 1 < threads_within(2_000_000_000, copies, 64) < 8
    assert threads_within(1, copies, 8) == 1


@pytest.mark.parametrize(("seconds", "words"), [(1, "10 s"), (44, "40 s"), (100, "2 min")])
def test_durations_are_said_as_exactly_as_they_are_known(seconds, words):
    assert in_words(seconds) == words


def test_features_are_foreseen(photos):
    photo = read_image(photos / "02.jpg")
    density = feature_density([photo])
    # A pattern down to the pixel has several times as many as photos of real things.
    assert 0.02 < density < 0.08
    assert feature_density([cv2.GaussianBlur(photo, (0, 0), 3)]) < 0.3 * density
    assert feature_density([np.full((60, 80, 3), 128, np.uint8)]) == 0
    assert most_features(8192, 480, 360, 10) < 3000
    assert most_features(8192, 4000, 3000, 100) == 8192
    assert some_of([]) == []
    assert some_of(["a"]) == ["a"]
    assert some_of(list("abcdefghijkl")) == ["c", "g", "k"]


def test_a_large_set_needs_no_more_memory_than_a_smaller_one():
    assert most_features(8192, 4000, 3000, 500) == 2000
    assert most_features(8192, 4000, 3000, 5000) == most_features(8192, 4000, 3000, 50_000) == 1000


def test_nothing_to_look_at(tmp_path):
    with pytest.raises(SplatkitError, match="expected photos"):
        drain(check(tmp_path))
    (tmp_path / "a.jpg").write_text("words")
    capture = drain(check(tmp_path))
    assert "got 0" in (capture.obstacle or "")


def test_more_work_costs_more():
    few = estimate([(1000, 750)] * 20, [(4000, 3000)] * 20, IngestConfig(threads=2), 0.01, 0.06)
    many = estimate([(1000, 750)] * 80, [(4000, 3000)] * 80, IngestConfig(threads=2), 0.01, 0.06)
    assert many.disk_bytes == pytest.approx(4 * few.disk_bytes, rel=0.01)
    assert many.memory_bytes > few.memory_bytes
    assert 0 < few.seconds < few.fine_seconds < 3600
    assert estimate([], [], IngestConfig(), 0.0, 0.06).disk_bytes == 0
