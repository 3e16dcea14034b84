"""The scenes that a viewer offers: runs and scene files below the folders that it was given."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splatkit.core import SplatkitError, UsageError
from splatkit.export import open_scene
from splatkit.io import FORMATS, read_json
from splatkit.io.images import SUFFIXES as PHOTO_SUFFIXES
from splatkit.train.run_folder import RunFolder
from splatkit.viewer.source import FixedSource, SceneSource
from splatkit.viewer.training import Training

MOST_FOLDERS = 20_000
"""Folders that a search looks into; what lies beyond is not listed."""
FEWEST_PHOTOS = 3
OPEN_AT_ONCE = 4
"""Scenes kept in memory that nobody looks at any more."""


@dataclass(frozen=True)
class Entry:
    """A scene on the disk."""

    id: str
    """Names the scene in addresses; the same in every session."""
    name: str
    path: Path
    """The run folder or the scene file."""
    file: Path
    """The file that holds the Gaussians."""
    size: int
    """Of that file, bytes."""
    modified: float
    """When that file was written, seconds since 1970."""
    photos: int | None = None
    """Photos placed; None where that is not known."""
    psnr: float | None = None
    """Mean over the held-out photos, dB."""


class Library:
    """Finds scenes and photo folders below some folders, and opens scenes when they are asked for.

    Args:
        roots: run folders, scene files, or folders that hold some; nothing else can be reached.
        uploads: folder for what people send to the page; None refuses all.
        opened: scenes that are open already, by id.

    Raises:
        UsageError: there is nothing at one of the roots.
    """

    def __init__(
        self,
        roots: list[Path],
        uploads: Path | None = None,
        opened: dict[str, SceneSource] | None = None,
    ) -> None:
        for root in roots:
            if not root.exists():
                raise UsageError(
                    f"{root}: expected a run folder or a scene file, found nothing there"
                )
        self.uploads = uploads
        self.trainings: dict[str, Training] = {}
        self._roots = roots
        self._fixed = opened or {}
        self._paths: dict[str, Path] = {}
        self._open: OrderedDict[tuple[str, float], SceneSource] = OrderedDict()
        self._lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """All scenes on the disk, newest first."""
        found: dict[str, Entry] = {}
        for root in self._places():
            for path in [root] if root.is_file() else _scene_paths(root):
                entry = _entry(path)
                if entry is not None:
                    found.setdefault(entry.id, entry)
        self._paths = {entry.id: entry.path for entry in found.values()}
        return sorted(found.values(), key=lambda entry: -entry.modified)

    def entry(self, scene: str) -> Entry:
        """The entry of that id.

        Raises:
            SplatkitError: there is none.
        """
        if scene not in self._paths:
            self.entries()
        path = self._paths.get(scene)
        entry = None if path is None else _entry(path)
        if entry is not None:
            return entry
        raise SplatkitError(f"{scene}: expected a scene of the library, found none of that name")

    @property
    def fixed(self) -> dict[str, SceneSource]:
        """Scenes that were handed over open, by id."""
        return dict(self._fixed)

    def source(self, scene: str) -> SceneSource:
        """Open the scene of that id, or return it where it is open.

        Raises:
            SplatkitError: there is no such scene, or its file is damaged.
        """
        if scene in self._fixed:
            return self._fixed[scene]
        training = self.trainings.get(scene)
        if training is not None and training.source.ready:
            return training.source
        entry = self.entry(scene)
        key = (scene, entry.modified)
        with self._lock:
            if key not in self._open:
                self._open[key] = FixedSource(open_scene(entry.path))
            self._open.move_to_end(key)
            while len(self._open) > OPEN_AT_ONCE:
                self._open.popitem(last=False)
            return self._open[key]

    def run_of(self, scene: str) -> Path | None:
        """The run folder of a scene; None where it is a file, or not on the disk yet."""
        if scene in self._fixed:
            return None
        path = self._paths.get(scene)
        return path if path is not None and path.is_dir() else None

    def add_training(self, training: Training) -> str:
        """Make a training known; returns its id, which is that of the run it makes.

        Raises:
            UsageError: one goes on already.
        """
        with self._lock:
            if any(other.busy for other in self.trainings.values()):
                raise UsageError("training: expected one at a time; stop the one that goes on")
            scene = _id(training.out, training.out.name)
            self.trainings[scene] = training
            return scene

    def photo_folders(self) -> list[tuple[Path, int]]:
        """Folders with photos to train on and how many they hold, sorted by name."""
        found: dict[Path, int] = {}
        for root in self._places():
            for folder, names in _folders(root) if root.is_dir() else ():
                count = sum(Path(name).suffix.lower() in PHOTO_SUFFIXES for name in names)
                if count >= FEWEST_PHOTOS and not _is_run(folder):
                    found[folder] = count
        return sorted(found.items())

    def _places(self) -> list[Path]:
        uploads = [self.uploads] if self.uploads is not None and self.uploads.is_dir() else []
        return [*self._roots, *uploads]


def _scene_paths(root: Path) -> Iterator[Path]:
    """Run folders and scene files below a folder."""
    for folder, names in _folders(root):
        if _is_run(folder):
            yield folder
            continue
        for name in names:
            if is_scene_file(folder / name):
                yield folder / name


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below it with their files; not what runs hold, nor what is hidden."""
    for count, (folder, inner, names) in enumerate(os.walk(root)):
        yield Path(folder), sorted(name for name in names if not name.startswith("."))
        if count >= MOST_FOLDERS:
            return
        run = _is_run(Path(folder))
        inner[:] = [] if run else sorted(name for name in inner if not name.startswith("."))


def _is_run(folder: Path) -> bool:
    run = RunFolder(folder)
    return run.ply.is_file() or (run.config.is_file() and run.scene.is_dir())


def is_scene_file(path: Path) -> bool:
    """Whether a file looks like one of Gaussians, by its suffix and its first bytes."""
    named = [known for known in FORMATS if path.name.lower().endswith(known.suffix)]
    if not named:
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(1024)
    except OSError:
        return False
    return any(start.startswith(known.magic) and known.holds in start for known in named)


def _entry(path: Path) -> Entry | None:
    """What can be told about a scene without opening it; None where it has no scene yet."""
    run = RunFolder(path)
    file = run.ply if path.is_dir() else path
    name = path.resolve().name
    try:
        told = file.stat()
        stats = read_json(run.stats) if run.stats.is_file() else {}
    except (OSError, SplatkitError):
        return None
    return Entry(
        id=_id(path, name),
        name=name,
        path=path,
        file=file,
        size=told.st_size,
        modified=told.st_mtime,
        photos=stats.get("photos", {}).get("registered"),
        psnr=stats.get("mean", {}).get("psnr"),
    )


def _id(path: Path, name: str) -> str:
    """Letters and digits of the name, and what tells it from others of that name."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "scene"
    return f"{plain[:40]}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:6]}"
