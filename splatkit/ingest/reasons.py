"""Why a photo has no place, in words that say what to do about it."""

from __future__ import annotations

from splatkit.ingest.candidates import Climb
from splatkit.ingest.judge import MIN_AGREEING
from splatkit.ingest.look import blurred_photos, near_copies

BLURRED = "blurred"
_FEW_BETWEEN = 2 * MIN_AGREEING


def reasons_for(found: Climb) -> dict[str, str]:
    """Photo name -> reason, for every photo that the best model does not hold for sure."""
    best = found.best
    names = {photo.copy: photo.name for photo in found.prepared}
    looks = {photo.copy: photo.look for photo in found.prepared}
    blurred, copies = set(blurred_photos(looks)), near_copies(looks)
    trusted = best.verdict.trusted if best else frozenset()
    doubted = best.verdict.doubted if best else {}
    matches = _matches_between(found)
    reasons = {}
    for copy in found.lost:
        partners = matches.get(copy, {})
        inside = sum(count for other, count in partners.items() if other in trusted)
        outside = {o: c for o, c in partners.items() if o not in trusted and c >= MIN_AGREEING}
        if copy in copies and copies[copy] in trusted:
            reason = f"duplicate: the same picture as {names[copies[copy]]}"
        elif copy in blurred:
            reason = f"{BLURRED}: too few sharp details to find its place by"
        elif copy in doubted and inside >= _FEW_BETWEEN:
            reason = doubted[copy]
        elif inside < _FEW_BETWEEN and outside:
            others = sorted(names[o] for o in outside)
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            reason = f"elsewhere: matches only {', '.join(others[:3])}{more}"
        elif inside == 0 and not outside:
            reason = "elsewhere, or without texture: matches no other photo"
        elif inside < _FEW_BETWEEN:
            reason = f"too few matches with other photos ({inside})"
        else:
            reason = f"does not fit the others in spite of {inside} matches"
        reasons[names[copy]] = reason
    return reasons


def _matches_between(found: Climb) -> dict[str, dict[str, int]]:
    """For each photo, the largest number of verified matches that any attempt gave each pair."""
    counts: dict[str, dict[str, int]] = {}
    seen: set[int] = set()
    for candidate in found.candidates:
        if id(candidate.pairs) in seen:
            continue
        seen.add(id(candidate.pairs))
        for pair in candidate.pairs:
            for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                row = counts.setdefault(one, {})
                row[other] = max(row.get(other, 0), len(pair.xy_first))
    return counts
