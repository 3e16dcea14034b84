"""Structure from motion as a ladder: each rung tries what the ones below it could not.

The first rung is the incremental mapper on plain features. When its model leaves photos out or
is open to doubt, other mappers are tried on the same matches; when the lens is in doubt, EXIF's
focal lengths are forgotten; when photos are still without a place, finer features are looked for.
The matches judge every model (``judge``); the one with the most support wins, and photos that
only another one placed are taken over from it where the two overlap.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from splatkit.core import Event, Note, Progress
from splatkit.ingest.child import run_mapper
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.geography import Place, east_north_up
from splatkit.ingest.judge import MIN_AGREEING, Pair, Verdict, judge
from splatkit.ingest.look import blurred_photos
from splatkit.ingest.matches import read_descriptors, read_focals, read_pairs
from splatkit.ingest.merge import joined_model
from splatkit.ingest.metres import georeference
from splatkit.ingest.pairs import ALL_PAIRS_UP_TO, all_pairs, likeness_of, neighbour_pairs
from splatkit.ingest.prepare import DEFAULT_FOCAL, Prepared, camera_groups
from splatkit.io.colmap import ColmapModel, read_model
from splatkit.io.files import write_json, write_text
from splatkit.io.lenses import Lens

NEIGHBOURS_FIRST_ABOVE = 30
"""Photos; of more only neighbours are matched at first, all pairs when that is not enough."""
MANY_PHOTOS = 150
"""Above this a few photos without a place are not worth doing everything again."""
FEW_LOST = 0.05
"""Share of a large set that may stay without a place."""
IN_PARTS_ABOVE = 400
FOCAL_TOLERANCE = 0.1
"""How far a focal length may be from the one that EXIF states before a second opinion is heard."""
SAME_FOCAL = 0.05
"""How far apart two mappers' focal lengths are that agree."""
USUAL_FOCALS = (0.4, 4.0)
"""Focal lengths over the long side that need no second opinion where EXIF says nothing."""
LARGE_ERROR = 0.0015
"""Mean reprojection error over the photo's long side that good models stay below."""
WEAK_SUPPORT = 0.75
"""Share of strictly agreeing matches that good models have."""
GPS_WITNESSES, GPS_SPREAD = 10, 25.0
"""Photos with GPS, and metres that they spread over, for GPS to speak against a model."""
_LIKENESS_FEATURES = 1000
_MAPPER_NAMES = {
    "incremental": "photo after photo",
    "at_once": "all at once",
    "relaxed": "photo after photo, relaxed",
    "in_parts": "in parts",
}


@dataclass(frozen=True)
class Candidate:
    """A reconstruction and what speaks for it."""

    name: str
    """Attempt, mapper and number: ``plain/incremental/0``."""
    model: ColmapModel
    verdict: Verdict
    pairs: list[Pair]
    """The verified matches that it was made from."""

    @property
    def focal(self) -> float:
        """Focal length over the long side, of the camera with the most photos."""
        used = [image.camera_id for image in self.model.images]
        lens = self.model.cameras[max(set(used), key=used.count)]
        return _relative_focal(lens)


@dataclass
class Climb:
    """Everything found so far."""

    work: Path
    prepared: list[Prepared]
    config: IngestConfig
    video: bool
    candidates: list[Candidate] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    """The verified matches of each attempt."""
    stated: dict[str, float] = field(default_factory=dict)
    """Focal length in pixels that each photo's camera began with."""
    doubts: list[str] = field(default_factory=list)
    """What speaks against the best candidate."""

    @property
    def best(self) -> Candidate | None:
        """The candidate with the most support; of equals the first, whose errors are smaller."""
        return max(self.candidates, key=lambda c: round(c.verdict.worth, 1), default=None)

    @property
    def lost(self) -> list[str]:
        """Copies of photos without a sure place."""
        trusted = self.best.verdict.trusted if self.best else frozenset()
        return [photo.copy for photo in self.prepared if photo.copy not in trusted]

    @property
    def hopeful(self) -> list[str]:
        """Those of them that are sharp enough to be worth another look."""
        blurred = blurred_photos({photo.copy: photo.look for photo in self.prepared})
        return [copy for copy in self.lost if copy not in blurred]

    def within_reach(self, attempt: str) -> list[str]:
        """Those that an attempt's matches tie to a photo with a sure place."""
        if self.best is None:
            return self.hopeful
        trusted, hopeful = self.best.verdict.trusted, set(self.hopeful)
        ends = [
            (one, other)
            for pair in self.pairs[attempt]
            if len(pair.xy_first) >= MIN_AGREEING
            for one, other in ((pair.first, pair.second), (pair.second, pair.first))
        ]
        return sorted({one for one, other in ends if one in hopeful and other in trusted})

    @property
    def satisfied(self) -> bool:
        """Whether nothing is left to be gained by looking further."""
        return not self.doubts and not self.hopeful


def climb(
    work: Path, prepared: list[Prepared], config: IngestConfig, video: bool
) -> Generator[Event, None, Climb]:
    """Try rung after rung until all photos have a place that nothing speaks against."""
    state = Climb(work, prepared, config, video)
    if NEIGHBOURS_FIRST_ABOVE < len(prepared) <= ALL_PAIRS_UP_TO:
        yield from _match(state, "near")
        yield from _rung(state, "near", "incremental")
        if state.satisfied:
            return state
        yield Note("Neighbours alone do not place all photos: the other pairs are matched, too")
    yield from _match(state, "plain")
    first = ("incremental",) if len(prepared) <= IN_PARTS_ABOVE else ("in_parts",)
    for mapper in first:
        yield from _rung(state, "plain", mapper)
    # Photos without a place are the relaxed mapper's business, doubts about the rest the global's.
    for mapper in ("at_once", "relaxed") if state.doubts else ("relaxed", "at_once"):
        if state.satisfied or _good_enough(state):
            break
        if state.doubts or state.within_reach("plain"):
            yield from _rung(state, "plain", mapper)
    lens_in_doubt = any(doubt in _LENS_DOUBTS for doubt in state.doubts)
    if lens_in_doubt or len(state.hopeful) > len(prepared) / 2:
        yield Note("Looking again without the focal lengths that EXIF states")
        _write_job(state, "free")
        yield from run_mapper(work / "free", "forget_focal")
        for mapper in ("incremental", "at_once"):
            yield from _rung(state, "free", mapper)
            if state.satisfied:
                break
    if state.hopeful and not _few(len(state.hopeful), len(prepared)):
        yield Note(
            f"Photos without a sure place: {len(state.hopeful)}; looking closer, which takes longer"
        )
        yield from _match(state, "fine")
        for mapper in ("incremental", "at_once", "relaxed"):
            yield from _rung(state, "fine", mapper)
            if not state.within_reach("fine"):
                break
    return state


def describe_candidates(state: Climb) -> list[dict[str, object]]:
    """Every model that was judged, in values that JSON can hold."""
    return [_report(candidate) for candidate in state.candidates]


def _good_enough(state: Climb) -> bool:
    """Whether two mappers agree about all there is to place in a large set."""
    return not state.doubts and _few(len(state.hopeful), len(state.prepared))


def _few(lost: int, count: int) -> bool:
    return count > MANY_PHOTOS and lost <= FEW_LOST * count


def _match(state: Climb, attempt: str) -> Generator[Event, None, None]:
    """Features and matches of an attempt, ``near``, ``plain`` or ``fine``.

    Plain ones go on from what the neighbours' matching did.

    Fine features (SIFT with affine shapes and pooled over scales) match across wider angles and
    take five times as long.
    """
    folder = _write_job(state, attempt)
    if attempt == "plain" and (state.work / "near").is_dir():
        yield from run_mapper(folder, "take_over", "features")
    else:
        yield from run_mapper(folder, "features")
    wanted = folder / "wanted.txt"
    if not wanted.is_file():
        names = [photo.copy for photo in state.prepared]
        pairs = _wanted_pairs(state, attempt, names)
        yield Note(f"Pairs of photos to match: {len(pairs)}")
        write_text(wanted, "".join(f"{names[i]} {names[k]}\n" for i, k in pairs))
    yield from run_mapper(folder, "matches")


def _wanted_pairs(state: Climb, attempt: str, names: list[str]) -> list[tuple[int, int]]:
    count = len(names)
    if count <= ALL_PAIRS_UP_TO and attempt != "near":
        pairs = all_pairs(count)
    else:
        described = read_descriptors(state.work / attempt / "database.db", _LIKENESS_FEATURES)
        empty = np.zeros((0, 128), np.uint8)
        likeness = likeness_of([described.get(n, empty) for n in names], state.config.seed)
        places: list[Place | None] = [photo.info.gps for photo in state.prepared]
        pairs = neighbour_pairs(count, likeness, places, state.video)
    if attempt != "fine" or not state.candidates:
        return pairs
    # What was seen to share nothing, and has its place without it, need not be looked at closer.
    lost = set(state.lost)
    matched = {(p.first, p.second) for p in state.pairs["plain"]}
    return [
        (i, k)
        for i, k in pairs
        if names[i] in lost
        or names[k] in lost
        or (names[i], names[k]) in matched
        or (names[k], names[i]) in matched
    ]


def _write_job(state: Climb, attempt: str) -> Path:
    folder = state.work / attempt
    folder.mkdir(parents=True, exist_ok=True)
    earlier = "near" if attempt == "plain" else "plain"
    write_json(
        folder / "job.json",
        {
            "cameras": camera_groups(state.prepared),
            "max_features": state.config.max_features,
            "fine": attempt == "fine",
            "threads": state.config.threads or os.cpu_count() or 1,
            "seed": state.config.seed,
            "default_focal": DEFAULT_FOCAL,
            "matches_from": str((state.work / earlier / "database.db").resolve()),
        },
    )
    return folder


def _rung(state: Climb, attempt: str, mapper: str) -> Generator[Event, None, None]:
    """Run one mapper, judge its models, and see what the best of all leaves in doubt."""
    folder = state.work / attempt
    yield from run_mapper(folder, mapper)
    if attempt not in state.pairs:
        state.pairs[attempt] = read_pairs(folder / "database.db")
    pairs = state.pairs[attempt]
    found = []
    for images in sorted(folder.glob(f"{mapper}/*/images.bin")):
        model = read_model(images.parent)
        verdict = judge(model, pairs)
        name = f"{attempt}/{mapper}/{images.parent.name}"
        yield Progress(
            "Checking cameras", len(verdict.trusted), len(state.prepared), _MAPPER_NAMES[mapper]
        )
        found.append(Candidate(name, model, verdict, pairs))
    state.candidates += [candidate for candidate in found if candidate.verdict.trusted]
    best = state.best
    if best is not None and state.lost:
        _take_over(state, best)
    if not state.stated:
        state.stated = read_focals(folder / "database.db")
    state.doubts = doubts_about(state)


def _take_over(state: Climb, best: Candidate) -> None:
    """Add a candidate with photos that only other models placed, where the matches approve."""
    model, pairs = best.model, list(best.pairs)
    for other in sorted(state.candidates, key=lambda c: -c.verdict.worth):
        wanted = other.verdict.trusted - best.verdict.trusted
        larger = joined_model(model, other.model, wanted) if other is not best else model
        if larger is not model and other.pairs is not best.pairs:
            # Matches of another attempt are in the same pixels.
            pairs += [p for p in other.pairs if p.first in wanted or p.second in wanted]
        model = larger
    if model is best.model:
        return
    verdict = judge(model, pairs)
    if verdict.trusted > best.verdict.trusted:
        state.candidates.append(Candidate("several/joined/0", model, verdict, pairs))


ODD_FOCAL = "its focal length is not what EXIF states"
UNUSUAL_LENS = "its focal length is unusual"
LARGE_ERRORS = "its errors are large"
WEAK = "too many matches disagree with it"
AGAINST_GPS = "it is bent against the photos' GPS positions"
OTHER_MODEL = "other photos form a model of their own"
_OPINIONS = {ODD_FOCAL, UNUSUAL_LENS}
_LENS_DOUBTS = {ODD_FOCAL, UNUSUAL_LENS, LARGE_ERRORS, WEAK, AGAINST_GPS}


def doubts_about(state: Climb) -> list[str]:
    """What speaks against the best candidate and has not been answered by another mapper."""
    best = state.best
    if best is None:
        return ["nothing was placed"]
    found = []
    long_side = max(max(lens.width, lens.height) for lens in best.model.cameras.values())
    if len(best.model.errors) and float(best.model.errors.mean()) > LARGE_ERROR * long_side:
        found.append(LARGE_ERRORS)
    if best.verdict.worth < WEAK_SUPPORT * len(best.verdict.trusted):
        found.append(WEAK)
    known = {photo.copy for photo in state.prepared if photo.info.focal is not None}
    for image in best.model.images:
        lens = best.model.cameras[image.camera_id]
        relative = _relative_focal(lens)
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


def _relative_focal(lens: Lens) -> float:
    fx, fy, _, _ = lens.focal_and_center
    return (fx + fy) / 2 / max(lens.width, lens.height)


def _report(candidate: Candidate) -> dict[str, object]:
    model, verdict = candidate.model, candidate.verdict
    return {
        "model": candidate.name,
        "photos": len(model.images),
        "trusted": len(verdict.trusted),
        "worth": round(verdict.worth, 2),
        "points": len(model.points),
        "mean_error_pixels": float(model.errors.mean()) if len(model.errors) else None,
        "focal_over_long_side": round(candidate.focal, 4),
        "agreeing_matches": verdict.agreeing,
        "doubted": verdict.doubted,
    }
