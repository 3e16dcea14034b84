"""The one reader of photos: upright once, 8 bits, and one line about anything else."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from splatkit.core import SplatkitError
from splatkit.io.images import (
    fit_within,
    list_images,
    read_image,
    read_info,
    resize_area,
    write_image,
)

ORIENTATION, MAKE, MODEL, EXIF, GPS = 0x0112, 0x010F, 0x0110, 0x8769, 0x8825


def picture(height=24, width=32):
    """A smooth picture whose corners differ: red grows to the right, green downwards."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 250, width)[None]
    image[..., 1] = np.linspace(0, 250, height)[:, None]
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_every_orientation_comes_out_upright_once(tmp_path, orientation, suffix):
    upright = picture()
    # What the camera stores so that the tag turns it back (EXIF 2.3, table of orientations).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95, "lossless": True} if suffix == ".webp" else {}
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    back = read_image(path)
    assert back.shape == upright.shape
    assert np.abs(back.astype(int) - upright).mean() < 3
    info = read_info(path)
    assert (info.width, info.height) == (32, 24)
    if suffix != ".tif":  # Pillow turns TIFF before anyone can ask
        assert info.turned == (orientation != 1)
        assert info.lying == (orientation > 4)
        assert read_image(path, upright=False).shape == stored.shape


def test_heif_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = np.ascontiguousarray(np.rot90(picture(64, 96), 1))
    Image.fromarray(lying).save(tmp_path / "a.heic", exif=exif.tobytes(), quality=95)
    image = read_image(tmp_path / "a.heic")
    assert image.shape == (64, 96, 3)
    assert np.abs(image.astype(int) - picture(64, 96)).mean() < 6
    assert (read_info(tmp_path / "a.heic").width, read_info(tmp_path / "a.heic").height) == (96, 64)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "CMYK", "YCbCr", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_8_bit_rgb_or_rgba(tmp_path, mode):
    rgb = Image.fromarray(picture())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    else:
        image = rgb.convert("RGBA").convert(mode) if mode in ("RGBA", "LA") else rgb.convert(mode)
    suffix = ".jpg" if mode in ("CMYK", "YCbCr") else ".png"
    path = tmp_path / f"a{suffix}"
    image.save(path)
    back = read_image(path)
    assert back.dtype == np.uint8
    assert back.shape == (24, 32, 4 if mode in ("RGBA", "LA") else 3)
    wanted = np.asarray(rgb.convert("L").convert("RGB") if mode in ("L", "I;16", "LA") else rgb)
    if mode not in ("1", "P"):
        assert np.abs(back[..., :3].astype(int) - wanted).mean() < 5


def test_focal_length_exposure_and_place_from_exif(tmp_path):
    exif = Image.Exif()
    exif[MAKE], exif[MODEL] = "Maker\0", "One "
    exif.get_ifd(EXIF).update({0xA405: 35, 0x829A: 1 / 100, 0x829D: 4.0, 0x8827: 200})
    exif.get_ifd(GPS).update(
        {1: "N", 2: (48.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 36.0), 5: b"\x00", 6: 61.5}
    )
    Image.fromarray(picture(300, 400)).save(tmp_path / "a.jpg", exif=exif)
    info = read_info(tmp_path / "a.jpg")
    assert info.camera == "Maker One"
    # A 35 mm lens on the 43.27 mm diagonal of full frame; this picture's diagonal is 500.
    assert info.focal == pytest.approx(35 / 43.2666 * 500, rel=1e-4)
    assert info.exposure == pytest.approx(np.log2(16 * 100) - 1)
    assert info.gps == pytest.approx((48.5, -2.26, 61.5))
    assert info.plain


def test_focal_length_from_the_sensor(tmp_path):
    exif = Image.Exif()
    # 10 mm, 100 pixels a millimetre on the original 4000 pixels, now 400.
    exif.get_ifd(EXIF).update({0x920A: 10.0, 0xA20E: 1000.0, 0xA210: 3, 0xA002: 4000})
    Image.fromarray(picture(300, 400)).save(tmp_path / "a.jpg", exif=exif)
    assert read_info(tmp_path / "a.jpg").focal == pytest.approx(100)
    Image.fromarray(picture(300, 400)).save(tmp_path / "b.jpg")
    assert read_info(tmp_path / "b.jpg").focal is None


def test_what_is_not_a_photo_is_one_line_with_the_name(tmp_path):
    (tmp_path / "text.jpg").write_text("these are words")
    with pytest.raises(SplatkitError, match=r"text\.jpg: expected a photo, got a file that is not"):
        read_image(tmp_path / "text.jpg")
    Image.fromarray(picture(200, 200)).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SplatkitError, match=r"cut\.jpg: expected a photo, got a damaged file"):
        read_image(tmp_path / "cut.jpg")
    with pytest.raises(SplatkitError, match="no such file"):
        read_info(tmp_path / "none.jpg")


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(SplatkitError, match=r"bomb\.png: expected at most 400 megapixels"):
        read_image(tmp_path / "bomb.png")


def test_list_of_photos(tmp_path):
    for name in (
        "b.JPG", "a.png", "sub/deep/c.HEIC", ".hidden.jpg", "notes.txt", "@eaDir/t.jpg",
        "masks/a.png", ".cache/x.jpg", "thumbs/y.jpg",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert list_images(tmp_path) == ["a.png", "b.JPG", "sub/deep/c.HEIC"]


def test_area_resize_is_the_mean_of_the_covered_pixels():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    small = resize_area(image, 6, 4)
    blocks = image.reshape(4, 2, 6, 2, 3).mean((1, 3))
    assert np.abs(small - blocks).max() <= 0.5
    assert fit_within(4000, 3000, 1600) == (1600, 1200)
    assert fit_within(400, 300, 1600) == (400, 300)


def test_writers(tmp_path):
    image = picture()
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png"), image)
    write_image(tmp_path / "a.jpg", image)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).mean() < 1.5
    with Image.open(tmp_path / "a.jpg") as written:
        assert {layer[1:3] for layer in written.layer} == {(1, 1)}  # no chroma subsampling
