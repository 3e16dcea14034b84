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
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import Event, Note, Progress
from splatkit.ingest.candidates import Candidate, Climb
from splatkit.ingest.child import memory_for_mapper, run_mapper
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.cost import IN_PARTS_ABOVE, in_words, most_features, threads_within
from splatkit.ingest.doubts import LENS_DOUBTS, doubts_about
from splatkit.ingest.geography import Place
from splatkit.ingest.matches import read_descriptors, read_focals, read_pairs
from splatkit.ingest.merge import joined_model
from splatkit.ingest.pairs import (
    ALL_PAIRS_UP_TO,
    NEIGHBOURS_FIRST_ABOVE,
    all_pairs,
    likeness_of,
    neighbour_pairs,
)
from splatkit.ingest.prepare import DEFAULT_FOCAL, Prepared, camera_groups
from splatkit.io.colmap import read_model
from splatkit.io.files import write_json, write_text

MANY_PHOTOS = 150
"""Above this a few photos without a place are not worth doing everything again."""
FEW_LOST = 0.05
"""Share of a large set that may stay without a place."""
_LIKENESS_FEATURES = 1000
_PARTNERS = 5
"""Photos with a place that one without is held against before all are looked at closer."""
_MAPPER_NAMES = {
    "incremental": "photo after photo",
    "at_once": "all at once",
    "relaxed": "photo after photo, relaxed",
    "in_parts": "in parts",
}


def climb(
    work: Path, prepared: list[Prepared], config: IngestConfig, video: bool, closer_seconds: float
) -> Generator[Event, None, Climb]:
    """Try rung after rung until all photos have a place that nothing speaks against.

    Args:
        work: receives a folder for each attempt.
        prepared: the photos, with copies in ``work``.
        config: numbers of features, threads, seed.
        video: whether the photos are frames of videos, in the order of their names.
        closer_seconds: what finer features are expected to take.
    """
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
    lens_in_doubt = any(doubt in LENS_DOUBTS for doubt in state.doubts)
    if lens_in_doubt or len(state.hopeful) > len(prepared) / 2:
        yield Note("Looking again without the focal lengths that EXIF states")
        _write_job(state, "free")
        yield from run_mapper(work / "free", "forget_focal")
        for mapper in ("incremental", "at_once"):
            yield from _rung(state, "free", mapper)
            if state.satisfied:
                break
    if state.hopeful and not _few(len(state.hopeful), len(prepared)):
        yield Note(f"Photos without a sure place: {len(state.hopeful)}; looking closer at them")
        if not (yield from _promising(state)):
            return state
        yield Note(f"Looking closer at all photos, which takes about {in_words(closer_seconds)}")
        yield from _match(state, "fine")
        for mapper in ("incremental", "at_once", "relaxed"):
            yield from _rung(state, "fine", mapper)
            if not state.within_reach("fine"):
                break
    return state


def _good_enough(state: Climb) -> bool:
    """Whether two mappers agree about all there is to place in a large set."""
    return not state.doubts and _few(len(state.hopeful), len(state.prepared))


def _few(lost: int, count: int) -> bool:
    return count > MANY_PHOTOS and lost <= FEW_LOST * count


def _promising(state: Climb) -> Generator[Event, None, bool]:
    """Whether finer features tie photos without a place to those that have one.

    Only they and the photos that they are likeliest to share something with are looked at: photos
    of another scene are not worth a closer look at all the rest.
    """
    lost, count = state.hopeful, len(state.prepared)
    if len(lost) > count / 2 or state.best is None or count > ALL_PAIRS_UP_TO:
        return True
    pairs = _likely_partners(state, lost)
    folder = _write_job(state, "fine", only=sorted({name for pair in pairs for name in pair}))
    write_text(folder / "probe.txt", "".join(f"{one} {other}\n" for one, other in pairs))
    yield from run_mapper(folder, "features", "matches")
    state.pairs["fine"] = read_pairs(folder / "database.db")
    found = bool(state.within_reach("fine"))
    del state.pairs["fine"]
    return found


def _likely_partners(state: Climb, lost: list[str]) -> list[tuple[str, str]]:
    """For each of some photos, those with a place that look most like it or match it most."""
    assert state.best is not None
    names = [photo.copy for photo in state.prepared]
    described = read_descriptors(state.work / "plain" / "database.db", _LIKENESS_FEATURES)
    empty = np.zeros((0, 128), np.uint8)
    likeness = likeness_of([described.get(n, empty) for n in names], state.config.seed)
    for pair in state.pairs["plain"]:
        i, k = names.index(pair.first), names.index(pair.second)
        # More than any likeness, so that matches come first.
        likeness[i, k] = likeness[k, i] = 1 + len(pair.xy_first)
    trusted = [i for i, name in enumerate(names) if name in state.best.verdict.trusted]
    return [
        (name, names[k])
        for name in lost
        for k in sorted(trusted, key=lambda k: -likeness[names.index(name), k])[:_PARTNERS]
    ]


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


def _write_job(state: Climb, attempt: str, only: list[str] | None = None) -> Path:
    """Describe an attempt to the mapper's process; ``only`` some photos, at first."""
    folder = state.work / attempt
    folder.mkdir(parents=True, exist_ok=True)
    earlier = "near" if attempt == "plain" else "plain"
    copies = [(photo.width, photo.height) for photo in state.prepared]
    threads, memory = state.config.threads or os.cpu_count() or 1, memory_for_mapper()
    write_json(
        folder / "job.json",
        {
            "cameras": [
                {**group, "max_features": _most_features(state, group)}
                for group in camera_groups(state.prepared)
            ],
            "only": only,
            "fine": attempt == "fine",
            "threads": threads if memory is None else threads_within(memory, copies, threads),
            "seed": state.config.seed,
            "default_focal": DEFAULT_FOCAL,
            # Seen from the job's own folder, which may be moved.
            "matches_from": f"../{earlier}/database.db",
        },
    )
    return folder


def _most_features(state: Climb, group: dict[str, Any]) -> int:
    """Of a photo of a group of like cameras."""
    most, count = state.config.max_features, len(state.prepared)
    return most_features(most, group["width"], group["height"], count)


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
        verdict = state.judged(model, pairs)
        name = f"{attempt}/{mapper}/{images.parent.name}"
        yield Progress(
            "Checking cameras", len(verdict.trusted), len(state.prepared), _MAPPER_NAMES[mapper]
        )
        found.append(Candidate(name, model, verdict, pairs))
    state.candidates += [candidate for candidate in found if candidate.verdict.trusted]
    state.vote()
    best = state.best
    if best is not None and state.lost:
        _take_over(state, best)
    if not state.stated:
        state.stated = read_focals(folder / "database.db")
    state.doubts = doubts_about(state)


def _take_over(state: Climb, best: Candidate) -> None:
    """Add a candidate with photos that only other models placed, where the matches approve."""
    model, pairs = best.model, list(best.pairs)
    for other in sorted(state.believed, key=lambda c: -c.verdict.worth):
        wanted = other.verdict.trusted - best.verdict.trusted
        larger = joined_model(model, other.model, wanted) if other is not best else model
        if larger is not model and other.pairs is not best.pairs:
            # Matches of another attempt are in the same pixels.
            pairs += [p for p in other.pairs if p.first in wanted or p.second in wanted]
        model = larger
    if model is best.model:
        return
    verdict = state.judged(model, pairs)
    if verdict.trusted > best.verdict.trusted:
        state.candidates.append(Candidate("several/joined/0", model, verdict, pairs))
