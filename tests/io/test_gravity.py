"""Down, as phones and drones write it into their photos."""

import struct

import numpy as np
import pytest
from PIL import Image

from splatkit.io.gravity import gravity_of
from splatkit.io.images import read_info


def apple_note(x, y, z, kind=10):
    """A maker note with an accelerometer's vector after another tag."""
    entries = struct.pack(">HHII", 1, 9, 1, 14)
    start = 16 + 2 * 12 + 4
    entries += struct.pack(">HHII", 8, kind, 3, start)
    numbers = [n for value in (x, y, z) for n in (round(value * 10_000), 10_000)]
    head = b"Apple iOS\0\0\1MM" + struct.pack(">H", 2)
    return head + entries + bytes(4) + struct.pack(">6i", *numbers)


@pytest.mark.parametrize(
    ("held", "turn", "down"),
    [
        ((0, -1, 0), 6, (0, 1, 0)),  # upright
        ((-1, 0, 0), 1, (0, 1, 0)),  # lying, its bottom to the right
        ((1, 0, 0), 3, (0, 1, 0)),  # lying, its bottom to the left
        ((0, 1, 0), 8, (0, 1, 0)),  # upside down
        ((0, 0, -1), 6, (0, 0, 1)),  # on its back above a table: the camera looks down
        ((0, -0.8, -0.6), 6, (0, 0.8, 0.6)),
    ],
)
def test_a_phone_says_where_down_is(held, turn, down):
    assert gravity_of(apple_note(*held), None, turn) == pytest.approx(down, abs=1e-4)


def test_a_drone_says_where_down_is():
    def packet(pitch, roll):
        return (
            f'<x drone-dji:GimbalRollDegree="{roll}" drone-dji:GimbalPitchDegree="{pitch}"/>'
        ).encode()

    assert gravity_of(None, packet("+0.00", "0"), 1) == pytest.approx((0, 1, 0))
    assert gravity_of(None, packet("-90.0", "+0.00"), None) == pytest.approx((0, 0, 1), abs=1e-9)
    half = np.sqrt(0.5)
    assert gravity_of(None, packet(-45, 0), 1) == pytest.approx((0, half, half))
    # Its right side hangs down.
    assert gravity_of(None, packet(0, 90), 1) == pytest.approx((1, 0, 0), abs=1e-9)
    words = packet(-45, 0).replace(b'="', b">").replace(b'"', b"<")
    assert gravity_of(None, words, 1) == pytest.approx((0, half, half))


@pytest.mark.parametrize(
    ("note", "turn"),
    [
        (apple_note(0, -2, 0), 6),  # shaken
        (apple_note(0, -1, 0), 5),  # mirrored
        (apple_note(0, -1, 0, kind=5), 6),
        (apple_note(0, -1, 0)[:40], 6),
        (b"Nikon" + bytes(60), 1),
        (b"", 1),
    ],
)
def test_what_does_not_say_it_says_nothing(note, turn):
    assert gravity_of(note, b"<x:xmpmeta/>", turn) is None


def test_of_selfies_nothing_is_said():
    assert gravity_of(apple_note(0, -1, 0), None, 6, "iPhone front camera 2.9mm") is None


def test_it_is_read_from_the_file(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x927C] = apple_note(0, -1, 0)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "b.jpg")
    assert read_info(tmp_path / "a.jpg").gravity == pytest.approx((0, 1, 0))
    assert read_info(tmp_path / "b.jpg").gravity is None
