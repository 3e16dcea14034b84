"""Frames of a video that stand where the camera cannot have been between its neighbours.

Frames are taken after equal motion of the picture, so the camera goes about as far from each to
the next. A frame far from the one before it and from the one after it, which are near each other,
was placed wrongly however well its matches agree (a pattern that repeats does that).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from splatkit.ingest.alignment import angle_between, camera_centers
from splatkit.ingest.judge import Verdict
from splatkit.io.colmap import ColmapModel

FAR = 5.0
"""Times as far as a usual step, and as its neighbours are apart, that no frame stands off."""
TURNED = math.radians(45)
"""What a camera does not turn between two frames, beyond what it turns between their neighbours."""
JUMPS = "it jumps away from the frames before and after it"


def without_jumps(model: ColmapModel, verdict: Verdict) -> Verdict:
    """The verdict on frames, with those that jump doubted."""
    trusted = [image for image in model.images if image.name in verdict.trusted]
    found: dict[str, str] = {}
    for video in {_video(image.name) for image in trusted}:
        mine = [image for image in trusted if _video(image.name) == video]
        poses = np.stack([image.camera_from_world for image in mine])
        found |= {mine[i].name: JUMPS for i in jumps(poses)}
    return replace(
        verdict,
        trusted=verdict.trusted - set(found),
        doubted=verdict.doubted | found,
        support={name: share for name, share in verdict.support.items() if name not in found},
    )


def jumps(poses: np.ndarray) -> Collection[int]:
    """Numbers of the frames that jump, of camera_from_world poses [C,4,4] in their order."""
    if len(poses) < 4:
        return []
    centers, turns = camera_centers(poses), poses[:, :3, :3]
    step = float(np.median(np.linalg.norm(np.diff(centers, axis=0), axis=1)))
    before, here, after = slice(None, -2), slice(1, -1), slice(2, None)

    def apart(one: slice, other: slice) -> np.ndarray:
        return np.linalg.norm(centers[one] - centers[other], axis=1)

    def turned(one: slice, other: slice) -> np.ndarray:
        return angle_between(turns[one], turns[other])

    off = np.minimum(apart(before, here), apart(here, after))
    askew = np.minimum(turned(before, here), turned(here, after))
    far = off > FAR * np.maximum(apart(before, after), step)
    return (1 + np.flatnonzero(far | (askew > TURNED + turned(before, after)))).tolist()


def _video(frame: str) -> str:
    """The video that a frame is of, by its name."""
    return frame.rpartition("frame_")[0]
