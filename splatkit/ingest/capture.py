"""The capture doctor: what is known about a set of photos before any work is done on it."""

from __future__ import annotations

import os
import shutil
import statistics
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import Event, Progress, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.cost import (
    Cost,
    estimate,
    feature_density,
    in_words,
    some_of,
    unit_seconds,
)
from splatkit.ingest.look import Look, blurred_photos, look_at_photo, near_copies
from splatkit.ingest.twins import find_twins
from splatkit.io.images import PhotoInfo, fit_within, read_image, read_info, resize_area

FEWEST = 3
"""Photos below which structure from motion has nothing to work on."""
GOOD_NUMBER = 20
"""Photos that a good scene needs at least."""
LARGE_EXPOSURE_SPREAD = 1.5
"""Stops between the darkest and the brightest tenth; more shows in a scene as seams."""
UNEVEN_BRIGHTNESS = 0.15
"""Standard deviation of mean grey values that speaks of automatic exposure."""
SMALL_PHOTO = 600
"""Long side, pixels, below which details are missing."""
MANY = 0.1
"""Share of a set from which a fault is worth a word about how to shoot."""
_MEASURED_AT = 1000


@dataclass(frozen=True)
class Capture:
    """What a set of photos is like."""

    infos: dict[str, PhotoInfo]
    looks: dict[str, Look]
    unreadable: dict[str, str]
    """Photo name -> what is wrong with it."""
    twins: dict[str, str]
    """The same photo again: name -> the one that is used."""
    cost: Cost
    free_disk_bytes: int

    @property
    def sizes(self) -> dict[str, int]:
        """ "4032x3024" -> number of photos, the most frequent first."""
        counts = Counter(f"{info.width}x{info.height}" for info in self.infos.values())
        return dict(counts.most_common())

    @property
    def blurred(self) -> list[str]:
        """Photos that are blurred beside the others."""
        return blurred_photos(self.looks)

    @property
    def near_copies(self) -> dict[str, str]:
        """Photos that show what an earlier one shows: name -> that one."""
        return near_copies(self.looks)

    @property
    def exposure_spread(self) -> float | None:
        """Stops between the darkest and the brightest tenth, by EXIF; None where it is silent."""
        stops = sorted(i.exposure for i in self.infos.values() if i.exposure is not None)
        if len(stops) < max(2, len(self.infos) / 2):
            return None
        tenth = len(stops) // 10
        return stops[-1 - tenth] - stops[tenth]

    @property
    def with_gps(self) -> int:
        """Photos that state where they were taken."""
        return sum(info.gps is not None for info in self.infos.values())

    @property
    def obstacle(self) -> str | None:
        """Why no scene can come of these photos, and what to do; None where one can."""
        count = len(self.infos)
        if count < FEWEST:
            return (
                f"expected at least {FEWEST} readable photos of one scene, got {count}; take "
                f"{GOOD_NUMBER} or more from all around"
            )
        if self.cost.disk_bytes > self.free_disk_bytes:
            return (
                f"expected {self.cost.disk_bytes / 1e9:.1f} GB of free disk, got "
                f"{self.free_disk_bytes / 1e9:.1f} GB; free some space, or write elsewhere with -o"
            )
        return None

    @property
    def advice(self) -> list[str]:
        """What to know or to do, the most important first."""
        return _advice(self)

    def as_json(self) -> dict[str, Any]:
        """Everything in values that JSON can hold."""
        return {
            "photos": len(self.infos),
            "unreadable": self.unreadable,
            "duplicates": self.twins,
            "sizes": self.sizes,
            "cameras": dict(Counter(info.camera for info in self.infos.values()).most_common()),
            "with_focal_length": sum(info.focal is not None for info in self.infos.values()),
            "with_gps": self.with_gps,
            "blurred": self.blurred,
            "near_copies": self.near_copies,
            "exposure_spread_stops": self.exposure_spread,
            "brightness_spread": _spread([look.brightness for look in self.looks.values()]),
            "minutes": round(self.cost.seconds / 60, 1),
            "minutes_more_where_hard": round(self.cost.fine_seconds / 60, 1),
            "memory_bytes": self.cost.memory_bytes,
            "disk_bytes": self.cost.disk_bytes,
            "free_disk_bytes": self.free_disk_bytes,
            "obstacle": self.obstacle,
            "advice": self.advice,
        }


def examine(
    folder: Path, names: list[str], config: IngestConfig, place: Path
) -> Generator[Event, None, Capture]:
    """Look at every photo once.

    Args:
        folder: where the photos are.
        names: the photos, relative to it.
        config: what the work would be told.
        place: a folder (it need not exist) on the disk that would be written to.
    """
    unit = unit_seconds()
    twins = find_twins(folder, names)
    infos, looks, unreadable = {}, {}, {}
    rest = [name for name in names if name not in twins]
    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        try:
            for name, found in zip(rest, pool.map(lambda n: _look(folder / n), rest), strict=True):
                if isinstance(found, SplatkitError):
                    unreadable[name] = str(found)
                else:
                    infos[name], looks[name] = found
                yield Progress("Looking at photos", len(looks) + len(unreadable), len(rest), name)
        finally:
            pool.shutdown(cancel_futures=True)
    free = shutil.disk_usage(_existing(place)).free
    sizes = [(info.width, info.height) for info in infos.values()]
    copies = [fit_within(*size, config.max_image_size) for size in sizes]
    samples = (_shrunk(folder / name, config.max_image_size) for name in some_of(list(infos)))
    cost = estimate(copies, sizes, config, feature_density(samples), min(unit, unit_seconds()))
    return Capture(infos, looks, unreadable, twins, cost, free)


def describe(capture: Capture) -> str:
    """The findings as lines of text for people."""
    infos = capture.infos.values()
    sizes = ", ".join(f"{count} of {size}" for size, count in list(capture.sizes.items())[:3])
    more = f" and {len(capture.sizes) - 3} other sizes" if len(capture.sizes) > 3 else ""
    spread = capture.exposure_spread
    cost = capture.cost
    rows = [
        ("photos", f"{len(capture.infos)} ({sizes}{more})" if capture.infos else "none"),
        ("cannot be read", str(len(capture.unreadable))),
        ("there twice", str(len(capture.twins))),
        ("blurred", _some(capture.blurred)),
        ("nearly the same", _some(list(capture.near_copies))),
        ("focal length", f"stated by {sum(i.focal is not None for i in infos)}"),
        ("GPS", f"in {capture.with_gps}"),
        ("exposure", "not stated" if spread is None else f"{spread:.1f} stops apart"),
        (
            "time",
            f"about {in_words(cost.seconds)} to find the cameras, and another "
            f"{in_words(cost.fine_seconds)} where photos are hard to place",
        ),
        ("memory", f"about {cost.memory_bytes / 1e9:.1f} GB"),
        ("disk", f"{cost.disk_bytes / 1e9:.1f} GB of {capture.free_disk_bytes / 1e9:.0f} GB free"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows if value != "0"]
    return "\n".join((*lines, *(f"- {line}" for line in capture.advice)))


def _look(path: Path) -> tuple[PhotoInfo, Look] | SplatkitError:
    try:
        info = read_info(path)
        size = fit_within(info.width, info.height, _MEASURED_AT)
        return info, look_at_photo(resize_area(read_image(path), *size))
    except SplatkitError as error:
        return error


def _shrunk(path: Path, longest: int) -> np.ndarray:
    image = read_image(path)[..., :3]
    return resize_area(image, *fit_within(image.shape[1], image.shape[0], longest))


def _advice(capture: Capture) -> list[str]:
    count = len(capture.infos)
    said = []
    if FEWEST <= count < GOOD_NUMBER:
        said.append(
            f"{count} photos are few: {GOOD_NUMBER} or more, each overlapping the last by two "
            "thirds, place more surely and look better"
        )
    if len(capture.blurred) > MANY * count:
        said.append("many photos are blurred: hold still, use more light or a shorter exposure")
    if len(capture.near_copies) > MANY * count:
        said.append("many photos show nearly the same: move between them, do not only turn")
    spread = capture.exposure_spread
    uneven = _spread([look.brightness for look in capture.looks.values()])
    if (spread or 0) > LARGE_EXPOSURE_SPREAD or uneven > UNEVEN_BRIGHTNESS:
        said.append(
            "exposure differs much: lock it when you shoot, or train with --exposure varies"
        )
    if len(capture.sizes) > 3:
        said.append("photos of many sizes: keep to one lens and zoom where you can")
    longest = [max(i.width, i.height) for i in capture.infos.values()]
    if longest and statistics.median(longest) < SMALL_PHOTO:
        said.append("the photos are small: use the camera's full size, not messenger copies")
    if capture.unreadable:
        said.append(f"cannot be read and will be left out: {_some(list(capture.unreadable))}")
    return said


def _some(names: list[str]) -> str:
    if not names:
        return "0"
    more = f", ... ({len(names)} in all)" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _spread(values: list[float]) -> float:
    return statistics.pstdev(values) if len(values) > 1 else 0.0


def _existing(place: Path) -> Path:
    """The nearest folder above that exists."""
    place = place.resolve()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
