"""Frames of any video that FFmpeg reads, upright, as 8-bit sRGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorTrc

from splatkit.core import SplatkitError
from splatkit.io.images import MAX_PIXELS

SUFFIXES = frozenset(
    (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".mpg", ".mpeg", ".insv")
)
HDR_WHITE_NITS = 203.0
"""Luminance of a white page in an HDR video (ITU-R BT.2408); it becomes sRGB white."""
_PEAK_NITS = 1000.0
_BT709_FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


@dataclass(frozen=True)
class VideoFrame:
    """One frame with its place in the video."""

    index: int
    seconds: float
    pixels: np.ndarray
    """[H,W,3] uint8 sRGB upright."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says."""

    frames: int
    """As stated, or worked out of duration and rate; 0 where neither is known."""
    seconds: float
    width: int
    """Upright, pixels."""
    height: int
    hdr: bool


def read_video_info(path: Path) -> VideoInfo:
    """Read size, duration and kind.

    Raises:
        SplatkitError: the file is no video, or damaged.
    """
    first = next(read_video(path, keep=lambda index: index == 0), None)
    if first is None:
        raise SplatkitError(f"{path}: expected a video, got a file without frames")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            base = stream.time_base or Fraction(1, 1)
            seconds = float(stream.duration * base) if stream.duration else 0.0
            if not seconds and container.duration:
                seconds = container.duration / av.time_base
            rate = float(stream.average_rate or 0)
            hdr = _is_hdr(stream.codec_context.color_trc)
            count = stream.frames or round(seconds * rate)
    except (FFmpegError, ValueError, IndexError) as error:
        raise _damaged(path, error) from error
    height, width = first.pixels.shape[:2]
    return VideoInfo(max(0, count), max(0.0, seconds), width, height, hdr)


def read_video(
    path: Path, *, long_side: int | None = None, keep: object = None
) -> Iterator[VideoFrame]:
    """Decode a video frame by frame.

    Frames that cannot be decoded are passed over, as players do.

    Args:
        path: the file.
        long_side: at most this many pixels long, scaled by the decoder.
        keep: a function of a frame's index; only frames for which it is true are converted.

    Raises:
        SplatkitError: the file is no video, or its pictures are too large.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SplatkitError(f"{path}: expected a video, got a file without pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            index = 0
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except FFmpegError:
                    continue
                for frame in decoded:
                    if frame.width * frame.height > MAX_PIXELS:
                        raise SplatkitError(
                            f"{path}: expected frames of at most {MAX_PIXELS // 1_000_000} "
                            f"megapixels, got {frame.width}x{frame.height}"
                        )
                    if not callable(keep) or keep(index):
                        seconds = float(frame.time or 0.0)
                        yield VideoFrame(index, seconds, _upright(frame, long_side))
                    index += 1
    except (FFmpegError, ValueError, OSError, MemoryError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SplatkitError:
    if isinstance(error, FileNotFoundError):
        return SplatkitError(f"{path}: no such file")
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = said.splitlines()[0]
    return SplatkitError(f"{path}: expected a video, got a damaged file ({reason})")


def _is_hdr(transfer: int | None) -> bool:
    return transfer in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def _upright(frame: av.VideoFrame, long_side: int | None) -> np.ndarray:
    width, height = frame.width, frame.height
    factor = min(1.0, (long_side or max(width, height)) / max(width, height))
    width, height = max(1, round(width * factor)), max(1, round(height * factor))
    if _is_hdr(frame.color_trc):
        deep = (
            frame.to_ndarray(width=width, height=height, format="rgb48le").astype(np.float32)
            / 65535
        )
        pixels = _standard_range(deep, pq=frame.color_trc == ColorTrc.SMPTE2084)
    else:
        pixels = frame.to_ndarray(width=width, height=height, format="rgb24")
    # FFmpeg's angle is anticlockwise, as np.rot90's is.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _standard_range(signal: np.ndarray, pq: bool) -> np.ndarray:
    """[H,W,3] uint8 sRGB of an HDR signal in BT.2020 primaries (BT.2100), highlights rolled off."""
    nits = _pq_nits(signal) if pq else _hlg_nits(signal)
    linear = nits / HDR_WHITE_NITS @ _BT709_FROM_BT2020.T
    linear = np.maximum(linear, 0)
    # Extended Reinhard on the brightest channel keeps hues; the peak becomes white.
    peak = _PEAK_NITS / HDR_WHITE_NITS
    brightest = linear.max(-1, keepdims=True)
    mapped = brightest * (1 + brightest / peak**2) / (1 + brightest)
    # Half of white stays half of white: photos of the same scene must not look darker.
    gain = 0.5 / (0.5 * (1 + 0.5 / peak**2) / 1.5)
    linear = linear * np.minimum(mapped * gain / np.maximum(brightest, 1e-6), 1.5)
    linear = np.clip(linear, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(curve * 255).astype(np.uint8)


def _pq_nits(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = signal ** (1 / m2)
    return 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg_nits(signal: np.ndarray) -> np.ndarray:
    """ARIB STD-B67 on a display of 1000 nits, system gamma 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return _PEAK_NITS * scene * np.maximum(luminance, 1e-6)[..., None] ** 0.2
