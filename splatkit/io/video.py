"""H.264 videos in MP4 that every browser plays, written frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from av.video.stream import VideoStream

from splatkit.core import SplatkitError, UsageError
from splatkit.io.files import atomic_path

ENCODERS = ("libx264", "libopenh264")
"""H.264 encoders in the order of preference; builds of FFmpeg ship one or the other."""
X264_OPTIONS = {"crf": "18", "preset": "medium"}
BITS_PER_PIXEL = 0.2
"""Bit rate of encoders that know no constant quality."""


def find_encoder() -> str:
    """Name of the H.264 encoder that this FFmpeg has.

    Raises:
        SplatkitError: it has none.
    """
    for name in ENCODERS:
        try:
            av.Codec(name, "w")
        except UnknownCodecError:
            continue
        return name
    raise SplatkitError(
        f"video: expected an H.264 encoder ({' or '.join(ENCODERS)}) in PyAV's FFmpeg, found "
        "none; install PyAV's own wheel: pip install --force-reinstall av, or write PNG files"
    )


@contextmanager
def write_video(
    path: Path | str, width: int, height: int, fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that appends one frame; the file appears when the block ends well.

    The pixels are 4:2:0 in BT.709 limited range, marked as such, with the index at the front, so
    that players start before they have the whole file.

    Args:
        path: ends in ``.mp4``.
        width: even, pixels.
        height: even, pixels.
        fps: frames a second, above 0.

    Yields:
        A function of one frame [height, width, 3] uint8 sRGB.

    Raises:
        UsageError: an argument or a frame is not as said.
        SplatkitError: there is no encoder, or the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise UsageError(f"{path}: expected a file name ending in .mp4")
    if width < 2 or height < 2 or width % 2 or height % 2:
        raise UsageError(f"{path}: expected an even width and height, got {width}x{height}")
    if not 0 < fps <= 1000:
        raise UsageError(f"{path}: expected 0 to 1000 frames a second, got {fps}")
    encoder = find_encoder()
    rate = Fraction(fps).limit_denominator(1001)
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream(encoder, rate=rate)
                assert isinstance(stream, VideoStream)
                context = stream.codec_context
                context.width, context.height, context.pix_fmt = width, height, "yuv420p"
                _describe_colors(context)
                if encoder == "libx264":
                    context.options = dict(X264_OPTIONS)
                else:
                    context.bit_rate = int(BITS_PER_PIXEL * width * height * float(rate))

                def add(frame: np.ndarray) -> None:
                    if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                        raise UsageError(
                            f"{path}: expected frames [{height}, {width}, 3] of uint8, got "
                            f"{list(frame.shape)} of {frame.dtype}"
                        )
                    container.mux(stream.encode(_yuv(frame)))

                yield add
                container.mux(stream.encode(None))
        except FFmpegError as error:
            # FFmpeg's errors are OSErrors by errno where they come from the system.
            raise OSError(error.errno, error.strerror, str(temporary)) from error


def _yuv(frame: np.ndarray) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _describe_colors(context: av.VideoCodecContext) -> None:
    """Without these marks players guess, and guess BT.601 for small pictures."""
    bt709, limited = 1, 1
    context.colorspace = bt709
    context.color_primaries = bt709
    context.color_trc = bt709
    context.color_range = limited
