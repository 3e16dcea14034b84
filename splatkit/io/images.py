"""The one reader and the one writer of photos.

Whatever a camera or a phone wrote comes out as 8-bit RGB (or RGBA where the file has
transparency), turned upright by its EXIF orientation, once and only here.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageOps

from splatkit.core import SplatkitError
from splatkit.io.files import atomic_path
from splatkit.io.gravity import gravity_of
from splatkit.io.raw import SUFFIXES as RAW_SUFFIXES
from splatkit.io.raw import raw_size, read_raw

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".hif",
     ".avif")
) | RAW_SUFFIXES  # fmt: skip
MAX_PIXELS = 400_000_000
"""A larger picture is refused before it is decoded (a phone's 200 megapixels pass)."""
JPEG_QUALITY = 97
_FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)
_OTHER_FOLDERS = frozenset(("thumbnails", "thumbs", "@eadir", "__macosx", "mask", "masks"))

pillow_heif.register_heif_opener()
# Pillow's own alarm is process-wide and lower; every picture passes the check in `_open`.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class PhotoInfo:
    """What a photo's header says, for the upright picture."""

    width: int
    height: int
    camera: str
    """Make and model, or empty."""
    focal: float | None
    """Focal length in pixels of this picture by EXIF; a prior that may be wrong."""
    exposure: float | None
    """Exposure value at ISO 100, log2."""
    gps: tuple[float, float, float] | None
    """WGS84 latitude and longitude in degrees, altitude in metres."""
    turned: bool
    """Whether EXIF says that the stored picture has to be turned to be upright."""
    lying: bool
    """Whether that turn is by a quarter, so that the stored picture has its sides exchanged."""
    transparent: bool
    """Whether the picture has an alpha channel."""
    plain: bool
    """Whether every program reads the file alike: JPEG or PNG, 8-bit grey or RGB, upright."""
    gravity: tuple[float, float, float] | None = None
    """Unit vector downwards in camera axes of the upright picture, where the header tells it."""


def list_images(folder: Path) -> list[str]:
    """Names of the photos in a folder, at any depth, relative with forward slashes, sorted.

    Suffixes count in any case; hidden files, links that lead nowhere and folders of thumbnails
    and masks do not. The contents are not looked at.
    """
    names: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f[0] != "." and f.lower() not in _OTHER_FOLDERS]
        for file in files:
            path = Path(parent, file)
            if file[0] != "." and path.suffix.lower() in SUFFIXES and path.is_file():
                names.append(path.relative_to(folder).as_posix())
    return sorted(names)


def read_image(path: Path, *, upright: bool = True) -> np.ndarray:
    """Read a photo.

    Args:
        path: the file.
        upright: turn the picture as EXIF says; False is for cameras that other programs
            computed from the picture as it is stored.

    Returns:
        [H,W,3] or, with transparency in the file, [H,W,4] uint8, sRGB, packed.

    Raises:
        SplatkitError: the file is missing, damaged, too large, or not a photo.
    """
    if path.suffix.lower() in RAW_SUFFIXES:
        return read_raw(path, upright=upright)
    try:
        with _open(path) as image:
            image.load()
            turned = ImageOps.exif_transpose(image) if upright else image
            return np.ascontiguousarray(_eight_bit(turned, path))
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def read_info(path: Path) -> PhotoInfo:
    """Read size, camera, focal length, exposure and place from a photo's header."""
    if path.suffix.lower() in RAW_SUFFIXES:
        return _raw_info(path)
    try:
        with _open(path) as image:
            exif = image.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
            width, height = image.size
            # Pillow turns TIFF itself and gives the size that it will have then.
            turn = 1 if image.format == "TIFF" else exif.get(ExifTags.Base.Orientation)
            transparent = _is_transparent(image)
            usual = image.format in ("JPEG", "PNG") and image.mode in ("RGB", "L")
            gravity = gravity_of(
                details.get(ExifTags.Base.MakerNote),
                image.info.get("xmp"),
                turn,
                details.get(ExifTags.Base.LensModel),
            )
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    lying = turn in (5, 6, 7, 8)
    turned = lying or turn in (2, 3, 4)
    return PhotoInfo(
        width=height if lying else width,
        height=width if lying else height,
        camera=_camera(exif),
        focal=_focal(details, width, height),
        exposure=_exposure(details),
        gps=_place(gps),
        turned=turned,
        lying=lying,
        transparent=transparent,
        plain=usual and not transparent and not turned,
        gravity=gravity,
    )


def read_mask(path: Path, photo: Path, *, upright: bool = True) -> np.ndarray:
    """Read the mask of a photo: [H,W] uint8, 0 where the photo does not count.

    A mask that has the shape of the photo as it is stored is turned with it.

    Args:
        path: the mask.
        photo: the photo that it belongs to.
        upright: as for ``read_image``, of the photo.

    Raises:
        SplatkitError: either cannot be read.
    """
    mask = read_image(path)[..., :3].max(2)
    with _open(photo) as image:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
        stored = image.size[0] > image.size[1]
    if upright and turn in (5, 6, 7, 8) and stored == (mask.shape[1] > mask.shape[0]):
        turned = Image.fromarray(mask)
        turned.getexif()[ExifTags.Base.Orientation] = turn
        mask = np.asarray(ImageOps.exif_transpose(turned))
    return np.ascontiguousarray(mask)


def _raw_info(path: Path) -> PhotoInfo:
    """The size that development gives; the rest as far as the header is TIFF's."""
    width, height = raw_size(path)
    details: dict[int, Any] = {}
    gps: dict[int, Any] = {}
    camera = ""
    exif = Image.Exif()
    with suppress(*_DAMAGE), path.open("rb") as file:
        exif.load_from_fp(file)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        camera = _camera(exif)
    return PhotoInfo(
        width, height, camera, _focal(details, width, height), _exposure(details), _place(gps),
        turned=False, lying=False, transparent=False, plain=False,
    )  # fmt: skip


def _camera(exif: Image.Exif) -> str:
    """Make and model, or empty."""
    tags = (ExifTags.Base.Make, ExifTags.Base.Model)
    return " ".join(part for tag in tags if (part := str(exif.get(tag) or "").strip("\0 ")))


def resize_area(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink [H,W,...] to ``height`` x ``width``, each new pixel the mean of those it covers."""
    if image.shape[1] == width and image.shape[0] == height:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def fit_within(width: int, height: int, longest: int) -> tuple[int, int]:
    """Size of the same shape whose long side is at most ``longest`` pixels, never larger."""
    factor = min(1.0, longest / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def write_image(path: Path, image: np.ndarray, quality: int = JPEG_QUALITY) -> None:
    """Write [H,W], [H,W,3] or [H,W,4] uint8 atomically, as JPEG (4:4:4) or PNG by the suffix."""
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    options: dict[str, Any] = {"quality": quality, "subsampling": 0} if jpeg else {}
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, **options)


def without_metadata(path: Path) -> bytes:
    """The bytes of a JPEG or PNG file without EXIF, XMP, IPTC and comments; pixels unchanged.

    Colour profiles stay. Of a file in another format the bytes are returned as they are.
    """
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        return _jpeg_without_metadata(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_without_metadata(data)
    return data


def _jpeg_without_metadata(data: bytes) -> bytes:
    """Drops APP1 (EXIF, XMP), APP13 (IPTC) and comments, up to the first scan."""
    kept, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] not in (0xE1, 0xED, 0xFE):
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))


def _png_without_metadata(data: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] not in (b"eXIf", b"tEXt", b"iTXt", b"zTXt"):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


_DAMAGE = (OSError, ValueError, SyntaxError, MemoryError, EOFError, IndexError, KeyError,
           TypeError, OverflowError, ZeroDivisionError, AttributeError, RuntimeError,
           NotImplementedError, Image.DecompressionBombError)  # fmt: skip
"""Everything that Pillow and its plugins raise on damaged files."""


def _open(path: Path) -> Image.Image:
    image = Image.open(path)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise SplatkitError(
            f"{path}: expected at most {MAX_PIXELS // 1_000_000} megapixels, got {width}x{height}"
        )
    return image


def _damaged(path: Path, error: BaseException) -> SplatkitError:
    if isinstance(error, FileNotFoundError):
        return SplatkitError(f"{path}: no such file")
    if isinstance(error, PermissionError):
        return SplatkitError(f"{path}: cannot be read ({error.strerror})")
    if isinstance(error, Image.UnidentifiedImageError):
        return SplatkitError(f"{path}: expected a photo, got a file that is not one")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SplatkitError(f"{path}: expected a photo, got a damaged file ({reason})")


def _eight_bit(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise SplatkitError(f"{path}: expected 8 or 16 bits a channel, got {image.mode}")
        # 65535 / 257 = 255: both ends of the range stay ends.
        gray = np.round(values.astype(np.float32) / 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, 2)
    return np.asarray(image.convert("RGBA" if _is_transparent(image) else "RGB"))


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _number(value: Any) -> float | None:
    """An EXIF number, or None for what cameras write when they do not know."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _focal(details: dict[int, Any], width: int, height: int) -> float | None:
    equivalent = _number(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if equivalent:
        return equivalent / _FULL_FRAME_DIAGONAL * math.hypot(width, height)
    focal = _number(details.get(ExifTags.Base.FocalLength))
    density = _number(details.get(ExifTags.Base.FocalPlaneXResolution))
    taken = _number(details.get(ExifTags.Base.ExifImageWidth)) or width
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(
        details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2), 25.4
    )
    if not focal or not density:
        return None
    pixels = focal * density / unit * width / taken
    # Outside these limits (fields of view of 150 and 3 degrees) the tags are nonsense.
    return pixels if 0.13 < pixels / max(width, height) < 20 else None


def _exposure(details: dict[int, Any]) -> float | None:
    seconds = _number(details.get(ExifTags.Base.ExposureTime))
    stop = _number(details.get(ExifTags.Base.FNumber))
    speed = details.get(ExifTags.Base.ISOSpeedRatings)
    iso = _number(speed[0] if isinstance(speed, tuple) and speed else speed)
    if not seconds or not stop or not iso:
        return None
    # Sums of logarithms: products of numbers out of damaged files leave the range of floats.
    return 2 * math.log2(stop) - math.log2(seconds) - math.log2(iso) + math.log2(100)


def _place(gps: dict[int, Any]) -> tuple[float, float, float] | None:
    def degrees(tag: int, reference: int, negative: str) -> float | None:
        try:
            d, m, s = (float(part) for part in gps[tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        value = d + m / 60 + s / 3600
        return -value if str(gps.get(reference, "")).strip("\0 ").upper() == negative else value

    latitude = degrees(ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
    longitude = degrees(ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
    if latitude is None or longitude is None or not -90 <= latitude <= 90:
        return None
    if not -180 <= longitude <= 180:
        return None
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude)) or 0.0
    below = gps.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    return latitude, longitude, -altitude if below else altitude
