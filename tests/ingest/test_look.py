"""Photos that are blurred or there twice are known before any work is done."""

import cv2
import numpy as np
import pytest

from splatkit.ingest.look import blurred_photos, look_at_photo, near_copies
from tests.ingest.corner import cameras, photograph

PHOTOS = {f"{i}.jpg": photograph(pose) for i, pose in enumerate(cameras(6))}


def looks(**changed):
    changed = {f"{name[1:]}.jpg": image for name, image in changed.items()}
    return {name: look_at_photo(image) for name, image in {**PHOTOS, **changed}.items()}


def test_sharp_photos_are_not_called_blurred():
    assert blurred_photos(looks()) == []
    assert blurred_photos({}) == []


@pytest.mark.parametrize(
    "blur",
    [lambda i: cv2.GaussianBlur(i, (0, 0), 3), lambda i: cv2.blur(i, (15, 1)),
     lambda i: cv2.blur(i, (1, 15))],
    ids=["out of focus", "moved sideways", "moved upwards"],
)  # fmt: skip
def test_blurred_photos_are_named(blur):
    assert blurred_photos(looks(_2=blur(PHOTOS["2.jpg"]), _5=blur(PHOTOS["5.jpg"]))) == [
        "2.jpg",
        "5.jpg",
    ]


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("sigma", [3, 12])
def test_what_compression_leaves_in_a_blurred_photo_is_no_sharpness(sigma, quality):
    """In a dark one the only sharp edges are those of the stored blocks."""
    blurred = cv2.GaussianBlur(PHOTOS["2.jpg"] // 3, (0, 0), sigma)
    _, stored = cv2.imencode(".jpg", blurred, [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert blurred_photos(looks(_2=again)) == ["2.jpg"]


def test_dark_and_grey_photos_are_not_blurred():
    dark = (PHOTOS["1.jpg"] * 0.15).astype(np.uint8)
    found = looks(_1=dark)
    assert blurred_photos(found) == []
    assert found["1.jpg"].brightness < 0.3 * found["2.jpg"].brightness


def test_the_same_picture_is_known_again_in_another_size_and_exposure():
    again = cv2.resize(PHOTOS["0.jpg"], (200, 150), interpolation=cv2.INTER_AREA)
    found = looks(_7=again, _8=(PHOTOS["3.jpg"] * 0.7).astype(np.uint8))
    assert near_copies(found) == {"7.jpg": "0.jpg", "8.jpg": "3.jpg"}
    assert near_copies({}) == {}


def test_pictures_without_anything_are_no_copies_of_each_other():
    flat = np.full((40, 60, 3), 128, np.uint8)
    found = {"a": look_at_photo(flat), "b": look_at_photo(flat // 2)}
    assert near_copies(found) == {}
    assert found["a"].blur == 1
