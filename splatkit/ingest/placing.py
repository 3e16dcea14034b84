"""How sure the places of photos are: kept beside the scene, for reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splatkit.core import SplatkitError
from splatkit.ingest.candidates import Climb, describe_candidates
from splatkit.io.files import read_json, write_json

PLACING_FILE = "placing.json"


def save_placing(found: Climb, capture: dict[str, Any], file: Path) -> None:
    """Write what a climb found: models tried, support of each photo, matches between photos."""
    best = found.best
    names = {photo.copy: photo.name for photo in found.prepared}
    number = {photo.copy: i for i, photo in enumerate(found.prepared)}
    photos: dict[str, dict[str, float]] = {}
    if best is not None:
        for copy, errors in best.model.errors_seen().items():
            if copy in best.verdict.support:
                photos[names[copy]] = {
                    "support": round(best.verdict.support[copy], 4),
                    "points": len(errors),
                    "error": round(float(errors.mean()), 3) if len(errors) else 0.0,
                }
    pairs = best.pairs if best is not None else []
    write_json(
        file,
        {
            "models": describe_candidates(found),
            "chosen": best.name if best is not None else None,
            "names": list(names.values()),
            "photos": photos,
            "matches": [[number[p.first], number[p.second], len(p.xy_first)] for p in pairs],
            "capture": capture,
        },
    )


def read_placing(file: Path) -> dict[str, Any] | None:
    """What ``save_placing`` wrote; None where cameras came with the photos.

    Raises:
        SplatkitError: the file is damaged.
    """
    if not file.is_file():
        return None
    told = read_json(file)
    if not isinstance(told, dict) or not {"models", "names", "photos", "matches"} <= set(told):
        raise SplatkitError(f"{file}: expected what ingest writes; run ingest again")
    return told
