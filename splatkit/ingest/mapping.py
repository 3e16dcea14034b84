"""Structure from motion as the rest of splatkit sees it: photos in, trusted cameras out."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

from splatkit.core import Event, Note, SplatkitError
from splatkit.ingest.candidates import Candidate
from splatkit.ingest.capture import FEWEST, Capture
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.cost import estimate, feature_density, in_words, some_of, unit_seconds
from splatkit.ingest.judge import without
from splatkit.ingest.ladder import climb
from splatkit.ingest.placing import PLACING_FILE, save_placing
from splatkit.ingest.prepare import PHOTOS, Prepared, prepare_photos
from splatkit.ingest.reasons import reasons_for
from splatkit.ingest.refine import refine
from splatkit.ingest.sources import Cameras, Posed, Source
from splatkit.ingest.twins import find_twins
from splatkit.io.images import read_image

_SHOOT = (
    "take photos from many positions, each overlapping the last by two thirds, of a scene that "
    "holds still and has texture"
)


def place_cameras(
    source: Source, work: Path, config: IngestConfig
) -> Generator[Event, None, Cameras]:
    """Find the cameras of photos by structure from motion.

    Args:
        source: the photos.
        work: folder for what has to survive an interruption; made where missing.
        config: sizes, numbers of features, threads, seed.

    Returns:
        Cameras in the frame and scale that the reconstruction happened to choose.

    Raises:
        SplatkitError: too few photos, nothing placed, or the mapper ended unexpectedly.
    """
    missing: dict[str, str] = {}
    folder, unit = source.folder, unit_seconds()
    twins = find_twins(folder, source.names)
    missing |= {name: f"duplicate: the same picture as {other}" for name, other in twins.items()}
    names = [name for name in source.names if name not in twins]
    prepared = yield from prepare_photos(folder, names, work, config, missing, source.masks)
    if len(prepared) < FEWEST:
        raise SplatkitError(
            f"{folder}: expected at least {FEWEST} readable photos of one scene, got "
            f"{len(prepared)}; 20 or more are needed for a good result: {_SHOOT}"
        )
    capture = yield from _expect(prepared, missing, twins, work, config, unit)
    closer = capture.cost.fine_seconds
    found = yield from climb(work, prepared, config, source.kind == "video", closer)
    yield from refine(found)
    best = found.best
    if best is None or len(best.verdict.trusted) < FEWEST:
        raise SplatkitError(
            f"none of the {len(prepared)} photos could be placed: they share too few details; "
            f"{_SHOOT}"
        )
    missing |= reasons_for(found)
    save_placing(found, capture.as_json(), work.parent / PLACING_FILE)
    return _cameras(folder, prepared, best, missing)


def _expect(
    prepared: list[Prepared],
    unreadable: dict[str, str],
    twins: dict[str, str],
    work: Path,
    config: IngestConfig,
    unit: float,
) -> Generator[Event, None, Capture]:
    """Say what the photos are like and how long the work will take."""
    copies = some_of([photo.copy for photo in prepared])
    cost = estimate(
        [(photo.width, photo.height) for photo in prepared],
        [(photo.info.width, photo.info.height) for photo in prepared],
        config,
        feature_density(read_image(work / PHOTOS / copy) for copy in copies),
        min(unit, unit_seconds()),
    )
    capture = Capture(
        {photo.name: photo.info for photo in prepared},
        {photo.name: photo.look for photo in prepared},
        {name: why for name, why in unreadable.items() if name not in twins},
        twins,
        cost,
        shutil.disk_usage(work).free,
    )
    obstacle = [capture.obstacle] if capture.obstacle is not None else []
    for line in (*obstacle, *capture.advice):
        yield Note(line, warning=True)
    yield Note(
        f"Expected: about {in_words(cost.seconds)}, {cost.memory_bytes / 1e9:.1f} GB of memory and "
        f"{cost.disk_bytes / 1e9:.1f} GB of the disk; photos that are hard to place take another "
        f"{in_words(cost.fine_seconds)}"
    )
    return capture


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
            posed.append(Posed(photo.name, path, lens, image.camera_id, pose, photo.mask))
    return Cameras(posed, model.points, model.colors, dict(sorted(missing.items())))
