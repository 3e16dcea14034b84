"""Videos come out upright and in standard colours, whatever the phone wrote."""

from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest

from splatkit.core import SplatkitError
from splatkit.io.video import write_video
from splatkit.io.video_frames import read_video, read_video_info

IDENTITY = bytes.fromhex(
    "00010000000000000000000000000000000100000000000000000000000000004000 0000"
)
QUARTER = bytes.fromhex(
    "0000000000010000000000 00ffff000000000000000000000000000000000000 40000000"
)


def picture(width=64, height=48):
    """Red on the left, green on the right, the upper half darker."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 1] = 200
    image[: height // 2] //= 2
    return image


def write(path, count=6):
    with write_video(path, 64, 48, 10) as add:
        for _ in range(count):
            add(picture())


def test_frames_come_back(tmp_path):
    write(tmp_path / "a.mp4")
    frames = list(read_video(tmp_path / "a.mp4"))
    assert [frame.index for frame in frames] == list(range(6))
    assert frames[5].seconds == pytest.approx(0.5, abs=0.01)
    inner = (slice(4, 20), slice(4, 28))
    difference = frames[0].pixels[inner].astype(int) - picture()[inner].astype(int)
    assert np.abs(difference).max() < 12
    info = read_video_info(tmp_path / "a.mp4")
    assert (info.frames, info.width, info.height, info.hdr) == (6, 64, 48, False)
    assert info.seconds == pytest.approx(0.6, abs=0.11)


def test_chosen_frames_and_small_ones(tmp_path):
    write(tmp_path / "a.mp4")
    path = tmp_path / "a.mp4"
    assert [f.index for f in read_video(path, keep=lambda i: i in (1, 4))] == [1, 4]
    assert next(read_video(path, long_side=32)).pixels.shape == (24, 32, 3)


def test_a_phone_held_upright(tmp_path):
    """The rotation in the file's header is applied once."""
    write(tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    at = data.index(IDENTITY, data.index(b"tkhd"))
    (tmp_path / "b.mp4").write_bytes(data[:at] + QUARTER + data[at + len(QUARTER) :])
    frame = next(read_video(tmp_path / "b.mp4"))
    assert frame.pixels.shape == (64, 48, 3)
    # Turned clockwise, the left side is up and the darker half on the right.
    assert frame.pixels[10, 40, 0] > 60 > frame.pixels[50, 40, 0]
    assert frame.pixels[10, 10, 0] > frame.pixels[10, 40, 0] + 40
    info = read_video_info(tmp_path / "b.mp4")
    assert (info.width, info.height) == (48, 64)


@pytest.mark.parametrize("transfer", [16, 18], ids=["PQ", "HLG"])
def test_hdr_with_ten_bits_becomes_standard(tmp_path, transfer):
    """A grey of half of a page's white is a middle grey, brighter things stay brighter."""
    levels = {16: (0.5102, 0.58, 0.75), 18: (0.6, 0.75, 0.95)}[transfer]
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 96, 32, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        context.color_range = 1
        frame = av.VideoFrame(96, 32, "yuv420p10le")
        luma = np.repeat(np.array([64 + 876 * v for v in levels]), 32).round().astype(np.uint16)
        planes = (np.tile(luma, (32, 1)), *([np.full((16, 48), 512, np.uint16)] * 2))
        for plane, values in zip(frame.planes, planes, strict=True):
            row = plane.line_size // 2
            padded = np.zeros((values.shape[0], row), np.uint16)
            padded[:, : values.shape[1]] = values
            plane.update(padded.tobytes())
        frame.color_trc, frame.color_primaries, frame.colorspace = transfer, 9, 9
        frame.color_range = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_video_info(path).hdr
    pixels = next(read_video(path)).pixels
    gray = [int(pixels[16, x].mean()) for x in (16, 48, 80)]
    assert np.ptp(pixels[16, 16]) <= 2
    assert gray[0] < gray[1] < gray[2] <= 255
    assert 100 < gray[0] < 215


def test_what_is_no_video_is_one_line(tmp_path):
    (tmp_path / "a.mp4").write_text("words")
    with pytest.raises(SplatkitError, match=r"a\.mp4: expected a video") as caught:
        list(read_video(tmp_path / "a.mp4"))
    assert "\n" not in str(caught.value)
    with pytest.raises(SplatkitError, match="no such file"):
        list(read_video(tmp_path / "none.mp4"))


def test_a_cut_video_gives_what_it_has_or_says_so(tmp_path):
    write(tmp_path / "a.mp4", 30)
    data = (tmp_path / "a.mp4").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "cut.mp4").write_bytes(data[: int(share * len(data))])
        with suppress(SplatkitError):
            assert len(list(read_video(tmp_path / "cut.mp4"))) <= 30
