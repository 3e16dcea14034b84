"""Raw photos are developed, upright, or said to need the extra."""

import struct
import sys

import numpy as np
import pytest

from splatkit.core import SplatkitError
from splatkit.io.images import list_images, read_image, read_info

RATIONAL, SIGNED = 5, 10


def write_dng(path, orientation=1):
    """A DNG of 64x48 with 16 bits: red on the left, green on the right, the upper half darker."""
    height, width = 48, 64
    sensor = np.full((height, width), 2000, np.uint16)
    sensor[0::2, 0:32:2] = 40000  # red of RGGB
    sensor[0::2, 33::2] = sensor[1::2, 32::2] = 40000  # both greens
    sensor[: height // 2] //= 4
    tags = [
        (254, 4, [0]), (256, 4, [width]), (257, 4, [height]), (258, 3, [16]), (259, 3, [1]),
        (262, 3, [32803]), (271, 2, b"Maker\0"), (272, 2, b"Model\0"), (273, 4, [0]),
        (274, 3, [orientation]), (277, 3, [1]), (278, 4, [height]), (279, 4, [sensor.nbytes]),
        (33421, 3, [2, 2]), (33422, 1, bytes((0, 1, 1, 2))), (50706, 1, bytes((1, 4, 0, 0))),
        (50708, 2, b"Maker Model\0"), (50717, 4, [65535]),
        (50721, SIGNED, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]),
        (50728, RATIONAL, [1, 1, 1, 1, 1, 1]), (50778, 3, [21]),
    ]  # fmt: skip
    sizes = {1: (1, "B"), 2: (1, "B"), 3: (2, "H"), 4: (4, "I"), RATIONAL: (8, "I"),
             SIGNED: (8, "i")}  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    more, entries = b"", b""
    for tag, kind, values in tags:
        size, code = sizes[kind]
        data = (
            values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{code}", *values)
        )
        count = len(data) // size
        if tag == 273:
            entries += struct.pack("<HHI4s", tag, kind, 1, b"STRP")
        elif len(data) <= 4:
            entries += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
        else:
            entries += struct.pack("<HHII", tag, kind, count, start + len(more))
            more += data + b"\0" * (len(data) % 2)
    entries = entries.replace(b"STRP", struct.pack("<I", start + len(more)))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(head + more + sensor.tobytes())


def test_a_dng_is_developed(tmp_path):
    pytest.importorskip("rawpy", reason="needs rawpy: pip install 'splatkit[raw]'")
    write_dng(tmp_path / "a.DNG")
    assert list_images(tmp_path) == ["a.DNG"]
    info = read_info(tmp_path / "a.DNG")
    assert (info.width, info.height, info.camera) == (64, 48, "Maker Model")
    assert not info.plain
    image = read_image(tmp_path / "a.DNG")
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    left, right = image[40, 10].astype(int), image[40, 54].astype(int)
    assert left[0] > left[1] + 50
    assert right[1] > right[0] + 50
    assert image[8, 54, 1] < right[1] - 30


def test_a_dng_is_turned_once(tmp_path):
    pytest.importorskip("rawpy", reason="needs rawpy: pip install 'splatkit[raw]'")
    write_dng(tmp_path / "a.dng", orientation=6)
    info = read_info(tmp_path / "a.dng")
    assert (info.width, info.height) == (48, 64)
    image = read_image(tmp_path / "a.dng")
    assert image.shape == (64, 48, 3)
    # Turned clockwise, what was left is up and what was dark is on the right.
    assert int(image[10, 8, 0]) > int(image[10, 8, 1]) + 50
    assert int(image[54, 8, 1]) > int(image[54, 40, 1]) + 30
    assert read_image(tmp_path / "a.dng", upright=False).shape == (48, 64, 3)


def test_damage_and_a_missing_library_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.dng").write_bytes(b"II*\0 words")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(SplatkitError, match=r"pip install 'splatkit\[raw\]'"):
        read_image(tmp_path / "a.dng")
    monkeypatch.undo()
    pytest.importorskip("rawpy", reason="needs rawpy: pip install 'splatkit[raw]'")
    with pytest.raises(SplatkitError, match="expected a raw photo") as caught:
        read_info(tmp_path / "a.dng")
    assert "\n" not in str(caught.value)
