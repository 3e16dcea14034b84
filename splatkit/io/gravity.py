"""Where down is in a photo, by what phones and drones write into its header.

Two tags are known that state it: Apple's maker note holds the accelerometer's vector (tag 8), and
DJI writes the angles of the gimbal, which is level to a tenth of a degree, as XMP. Directions are
camera axes of the upright picture: x right, y down, z forward.
"""

from __future__ import annotations

import math
import re
import struct

Direction = tuple[float, float, float]

_APPLE = b"Apple iOS\0"
_APPLE_ACCELERATION = 8
_SIGNED_RATIONAL = 10
_AT_REST = (0.8, 1.2)
"""Length in g of the vector of a phone that is held still."""


def gravity_of(
    maker_note: object, xmp: object, turn: object, lens: object = ""
) -> Direction | None:
    """Unit vector downwards in a photo, or None where the header does not tell.

    Args:
        maker_note: the EXIF tag of that name.
        xmp: the XMP packet.
        turn: EXIF orientation, 1 to 8; of mirrored pictures nothing is said.
        lens: EXIF lens model; of selfie cameras nothing is said.
    """
    stored = _of_gimbal(xmp) if isinstance(xmp, bytes) else None
    if stored is None and isinstance(maker_note, bytes) and "front" not in str(lens).lower():
        stored = _of_apple(maker_note)
    return None if stored is None else _turned(stored, turn)


def _of_gimbal(xmp: bytes) -> Direction | None:
    """Angles of DJI's gimbal: pitch upwards from the horizon, roll to the right."""
    angles = []
    for name in (b"GimbalPitchDegree", b"GimbalRollDegree"):
        told = re.search(name + rb"(?:=\"|>)\s*([+-]?\d+(?:\.\d+)?)\s*[\"<]", xmp)
        if told is None or abs(float(told[1])) > 180:
            return None
        angles.append(math.radians(float(told[1])))
    pitch, roll = angles
    return math.cos(pitch) * math.sin(roll), math.cos(pitch) * math.cos(roll), -math.sin(pitch)


def _of_apple(note: bytes) -> Direction | None:
    """The accelerometer in the frame of the sensor, whose right side is the phone's bottom.

    The numbers are gravity in Core Motion's axes: x to the right and y to the top of the phone as
    seen from its front, z out of the screen.
    """
    if not note.startswith(_APPLE) or note[12:14] != b"MM":
        return None
    try:
        (count,) = struct.unpack_from(">H", note, 14)
        for k in range(count):
            tag, kind, values, at = struct.unpack_from(">HHII", note, 16 + 12 * k)
            if (tag, kind, values) == (_APPLE_ACCELERATION, _SIGNED_RATIONAL, 3):
                parts = struct.unpack_from(">6i", note, at)
                x, y, z = (parts[i] / parts[i + 1] for i in (0, 2, 4))
                break
        else:
            return None
    except (struct.error, ZeroDivisionError):
        return None
    length = math.sqrt(x * x + y * y + z * z)
    if not _AT_REST[0] < length < _AT_REST[1]:
        return None
    return -y / length, -x / length, -z / length


def _turned(stored: Direction, turn: object) -> Direction | None:
    x, y, z = stored
    if turn in (None, 0, 1):
        return stored
    if turn == 3:
        return -x, -y, z
    if turn == 6:
        return -y, x, z
    if turn == 8:
        return y, -x, z
    return None
