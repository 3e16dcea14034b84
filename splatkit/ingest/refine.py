"""The last touch to the chosen model: all its cameras and points moved together."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from splatkit.core import Event
from splatkit.ingest.candidates import Candidate, Climb
from splatkit.ingest.child import run_mapper
from splatkit.io.colmap import ColmapModel, read_model
from splatkit.io.files import read_json, write_json

AS_GOOD = 0.99
"""Support after the adjustment over that before it: a match in a hundred may cross the limit."""
_FINEST_FIRST = ("fine", "free", "plain", "near")


def refine(state: Climb) -> Generator[Event, None, None]:
    """Adjust the best candidate, and take the result where the matches like it as well.

    A joined model is adjusted on the matches of the finest attempt that it has photos of.
    """
    best = state.best
    if best is None:
        return
    attempt = best.name.split("/")[0]
    if attempt == "several":
        attempt = next(a for a in _FINEST_FIRST if a in state.pairs)
    folder = state.work / attempt
    job = refinement_of(best)
    told = folder / "refine.json"
    if not told.is_file() or read_json(told) != job:
        shutil.rmtree(folder / "refined", ignore_errors=True)
        write_json(told, job)
    yield from run_mapper(folder, "refine")
    model = read_model(folder / "refined")
    verdict = state.judged(model, best.pairs)
    as_good = verdict.worth >= AS_GOOD * best.verdict.worth
    if as_good and verdict.trusted >= best.verdict.trusted:
        # What spoke against other photos of the model still does.
        verdict = replace(verdict, doubted=best.verdict.doubted | verdict.doubted)
        state.refined = Candidate(f"{attempt}/refined/0", model, verdict, best.pairs)
        state.candidates.append(state.refined)


def refinement_of(best: Candidate) -> dict[str, Any]:
    """What the mapper's process has to know, in values that JSON can hold."""
    attempt, mapper, number = best.name.split("/")
    joined = attempt == "several"
    return {
        "model": None if joined else f"{mapper}/{number}",
        "photos": _photos(best.model) if joined else {},
        "without": sorted(best.verdict.doubted),
    }


def _photos(model: ColmapModel) -> dict[str, dict[str, Any]]:
    return {
        image.name: {
            "camera_from_world": image.camera_from_world.tolist(),
            "lens": list(model.cameras[image.camera_id].params),
        }
        for image in model.images
    }
