"""Structure from motion as the rest of splatkit sees it: photos in, trusted cameras out."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from splatkit.core import Event, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.judge import without
from splatkit.ingest.ladder import Candidate, climb
from splatkit.ingest.prepare import Prepared, prepare_photos
from splatkit.ingest.reasons import reasons_for
from splatkit.ingest.sources import Cameras, Posed

_FEWEST = 3
_SHOOT = (
    "take photos from many positions, each overlapping the last by two thirds, of a scene that "
    "holds still and has texture"
)


def place_cameras(
    folder: Path, names: list[str], work: Path, config: IngestConfig, video: bool = False
) -> Generator[Event, None, Cameras]:
    """Find the cameras of photos by structure from motion.

    Args:
        folder: where the photos are.
        names: the photos, relative to ``folder``, sorted.
        work: folder for what has to survive an interruption; made where missing.
        config: sizes, numbers of features, threads, seed.
        video: whether the photos are frames of one video, in order.

    Returns:
        Cameras in the frame and scale that the reconstruction happened to choose.

    Raises:
        SplatkitError: too few photos, nothing placed, or the mapper ended unexpectedly.
    """
    missing: dict[str, str] = {}
    prepared = yield from prepare_photos(folder, names, work / "photos", config, missing)
    if len(prepared) < _FEWEST:
        raise SplatkitError(
            f"{folder}: expected at least {_FEWEST} readable photos of one scene, got "
            f"{len(prepared)}; 20 or more are needed for a good result: {_SHOOT}"
        )
    found = yield from climb(work, prepared, config, video)
    best = found.best
    if best is None or len(best.verdict.trusted) < _FEWEST:
        raise SplatkitError(
            f"none of the {len(prepared)} photos could be placed: they share too few details; "
            f"{_SHOOT}"
        )
    missing |= reasons_for(found)
    return _cameras(folder, prepared, best, missing)


def _cameras(
    folder: Path, prepared: list[Prepared], best: Candidate, missing: dict[str, str]
) -> Cameras:
    """Trusted photos at their own size."""
    model = without(best.model, best.verdict.doubted.keys())
    placed = {image.name: image for image in model.images}
    posed = []
    for photo in prepared:
        image = placed.get(photo.copy)
        if image is not None:
            lens = model.cameras[image.camera_id].resized(photo.info.width, photo.info.height)
            path, pose = folder / photo.name, image.camera_from_world
            posed.append(Posed(photo.name, path, lens, image.camera_id, pose))
    return Cameras(posed, model.points, model.colors, dict(sorted(missing.items())))
