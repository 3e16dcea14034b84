"""What speaks against a model although the matches agree with it."""

from __future__ import annotations

import numpy as np

from splatkit.ingest.candidates import Candidate, Climb, relative_focal
from splatkit.ingest.geography import east_north_up
from splatkit.ingest.metres import georeference

FOCAL_TOLERANCE = 0.1
"""How far a focal length may be from the one that EXIF states before a second opinion is heard."""
SAME_FOCAL = 0.05
"""How far apart two mappers' focal lengths are that agree."""
USUAL_FOCALS = (0.4, 4.0)
"""Focal lengths over the long side that need no second opinion where EXIF says nothing."""
LARGE_ERROR = 0.0015
"""Mean reprojection error over the photo's long side that good models stay below."""
LARGE_ERROR_PIXELS = 1.2
"""The same of small photos, where key points are no more exact."""
WEAK_SUPPORT = 0.75
"""Share of strictly agreeing matches that good models have."""
GPS_WITNESSES, GPS_SPREAD = 10, 25.0
"""Photos with GPS, and metres that they spread over, for GPS to speak against a model."""
ODD_FOCAL = "its focal length is not what EXIF states"
UNUSUAL_LENS = "its focal length is unusual"
LARGE_ERRORS = "its errors are large"
WEAK = "too many matches disagree with it"
AGAINST_GPS = "it is bent against the photos' GPS positions"
OTHER_MODEL = "other photos form a model of their own"
_OPINIONS = {ODD_FOCAL, UNUSUAL_LENS}
LENS_DOUBTS = {ODD_FOCAL, UNUSUAL_LENS, LARGE_ERRORS, WEAK, AGAINST_GPS}


def doubts_about(state: Climb) -> list[str]:
    """What speaks against the best candidate and has not been answered by another mapper."""
    best = state.best
    if best is None:
        return ["nothing was placed"]
    found = []
    long_side = max(max(lens.width, lens.height) for lens in best.model.cameras.values())
    limit = max(LARGE_ERROR * long_side, LARGE_ERROR_PIXELS)
    if len(best.model.errors) and float(best.model.errors.mean()) > limit:
        found.append(LARGE_ERRORS)
    if best.verdict.worth < WEAK_SUPPORT * len(best.verdict.trusted):
        found.append(WEAK)
    known = {photo.copy for photo in state.prepared if photo.info.focal is not None}
    for image in best.model.images:
        lens = best.model.cameras[image.camera_id]
        relative = relative_focal(lens)
        if image.name in known:
            was = state.stated[image.name] / max(lens.width, lens.height)
            if abs(relative / was - 1) > FOCAL_TOLERANCE:
                found.append(ODD_FOCAL)
                break
        elif not USUAL_FOCALS[0] < relative < USUAL_FOCALS[1]:
            found.append(UNUSUAL_LENS)
            break
    if _contradicts_gps(state, best):
        found.append(AGAINST_GPS)
    attempt, mapper, _ = best.name.split("/")
    second = [
        c
        for c in state.candidates
        if c.name.startswith(f"{attempt}/{mapper}/") and c is not best
        and len(c.verdict.trusted - best.verdict.trusted) >= 3
    ]  # fmt: skip
    if second:
        found.append(OTHER_MODEL)
    agreed = any(_agree(best, c) for c in state.candidates if c is not best)
    # Two mappers that work in different ways do not make the same mistake about a lens.
    return [
        doubt for doubt in found if (doubt != ODD_FOCAL and doubt != UNUSUAL_LENS) or not agreed
    ]


def _contradicts_gps(state: Climb, best: Candidate) -> bool:
    """Whether GPS, spread over much more than its errors, lies otherwise than the cameras."""
    placed = {image.name: image.camera_from_world for image in best.model.images}
    told = [
        (placed[photo.copy], photo.info.gps)
        for photo in state.prepared
        if photo.copy in best.verdict.trusted and photo.info.gps is not None
    ]
    if len(told) < GPS_WITNESSES:
        return False
    meters = east_north_up([place for _, place in told])
    if float(np.std(meters, axis=0).max()) < GPS_SPREAD:
        return False
    return georeference(np.stack([pose for pose, _ in told]), [p for _, p in told]) is None


def _agree(one: Candidate, other: Candidate) -> bool:
    """Whether another kind of mapper found the same focal length for most of the photos."""
    if one.name.split("/")[1] == other.name.split("/")[1]:
        return False
    common = one.verdict.trusted & other.verdict.trusted
    close = abs(one.focal / other.focal - 1) <= SAME_FOCAL
    return close and len(common) > len(one.verdict.trusted) / 2
