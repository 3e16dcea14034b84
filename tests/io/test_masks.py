"""Masks are found wherever tools put them, and are not taken for photos."""

import numpy as np
import pytest
from PIL import Image

from splatkit.io.images import read_mask
from splatkit.io.masks import find_masks, without_masks


@pytest.mark.parametrize(
    "mask",
    ["photos/a.mask.png", "photos/a_mask.png", "photos/masks/a.png", "photos/mask/a.jpg.png",
     "masks/a.png", "masks/a.jpg.png", "mask/a.jpg"],
)  # fmt: skip
def test_masks_are_found(tmp_path, mask):
    folder = tmp_path / "photos"
    (tmp_path / mask).parent.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    for name in ("photos/a.jpg", "photos/b.jpg", mask):
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    assert find_masks(folder, ["a.jpg", "b.jpg"]) == {"a.jpg": tmp_path / mask}


def test_masks_of_nested_photos(tmp_path):
    (tmp_path / "masks" / "left").mkdir(parents=True)
    Image.new("L", (8, 6)).save(tmp_path / "masks" / "left" / "a.png")
    found = find_masks(tmp_path / "images", ["left/a.jpg", "right/a.jpg"])
    assert list(found) == ["left/a.jpg"]


def test_masks_are_no_photos():
    names = ["a.jpg", "a.mask.png", "b.png", "b_mask.png", "c_mask.png", "sub/a_mask.jpg"]
    # A name that ends so without a photo of that name is a photo's own.
    assert without_masks(names) == ["a.jpg", "b.png", "c_mask.png", "sub/a_mask.jpg"]


@pytest.mark.parametrize("stored", [True, False])
def test_a_mask_is_turned_with_its_photo_when_it_lies_as_the_photo_does(tmp_path, stored):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    mask = np.zeros((6, 8), np.uint8)
    mask[0] = 255  # the stored picture's upper edge is the upright one's right edge
    if not stored:
        mask = np.rot90(mask, -1)
    Image.fromarray(mask).save(tmp_path / "m.png")
    upright = read_mask(tmp_path / "m.png", tmp_path / "a.jpg")
    assert upright.shape == (8, 6)
    assert (upright[:, -1] == 255).all()
    assert (upright[:, :-1] == 0).all()
