"""Structure from motion in a process of its own, run by its file name with a job file.

A failed check inside pycolmap ends the process it runs in, so this is not the user's. Progress
goes to the standard output, one JSON list a line; what each stage made stays in the job's
folder, and a stage whose result is there is not repeated. The process ends when its standard
input closes, so it does not outlive the program that started it. It imports nothing of splatkit:
it starts in a moment and needs no torch in its memory.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pycolmap

FEATURES = "Finding features"
MATCHES = "Matching photos"
PLACING = "Placing cameras"
PLACING_ALL = "Placing all cameras at once"
_SECONDS_BETWEEN_REPORTS = 2.0
_MIN_MODEL_PHOTOS = 3


def main(job_file: str) -> None:
    """Run all stages of a job."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pycolmap.logging.minloglevel = pycolmap.logging.Level.WARNING.value
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    pycolmap.set_random_seed(job["seed"])
    stage = _Stages(job, Path(job_file).resolve().parent)
    stage.features()
    stage.matches()
    stage.incremental()
    if stage.most_placed() < len(stage.names):
        stage.glomap()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(3)


def _say(stage: str, done: int, total: int | None = None, detail: str = "") -> None:
    print(json.dumps([stage, done, total, detail]), flush=True)


class _Stages:
    def __init__(self, job: dict[str, Any], work: Path) -> None:
        self.job = job
        self.work = work
        self.photos = work.parent / "photos"
        self.database = work / "database.db"
        self.names: list[str] = [name for group in job["cameras"] for name in group["names"]]
        self.threads: int = job["threads"]

    def features(self) -> None:
        """SIFT of every photo; photos of one group share a camera."""
        options = pycolmap.FeatureExtractionOptions()
        options.use_gpu = False
        options.num_threads = self.threads
        options.sift.max_num_features = self.job["max_features"]
        options.sift.estimate_affine_shape = self.job["fine"]
        options.sift.domain_size_pooling = self.job["fine"]
        numbers = self._cameras()
        found = self._photos_with_features()
        done = len(found)
        for number, group in zip(numbers, self.job["cameras"], strict=True):
            reader = pycolmap.ImageReaderOptions()
            reader.existing_camera_id = number
            rest = [name for name in group["names"] if name not in found]
            for chunk in _chunks(rest, 2 * self.threads):
                _say(FEATURES, done, len(self.names), chunk[0])
                pycolmap.extract_features(
                    self.database, self.photos, chunk, pycolmap.CameraMode.SINGLE, reader, options,
                    pycolmap.Device.cpu,
                )  # fmt: skip
                done += len(chunk)
        _say(FEATURES, done, len(self.names))

    def _cameras(self) -> list[int]:
        """Database numbers of the groups' cameras, written at the first run."""
        with pycolmap.Database.open(self.database) as database:
            known = sorted(camera.camera_id for camera in database.read_all_cameras())
            for group in self.job["cameras"][len(known) :]:
                camera = pycolmap.Camera(
                    model="SIMPLE_RADIAL", width=group["width"], height=group["height"],
                    params=[group["focal"], group["width"] / 2, group["height"] / 2, 0.0],
                )  # fmt: skip
                camera.has_prior_focal_length = group["focal_known"]
                known.append(database.write_camera(camera))
        return known

    def _photos_with_features(self) -> set[str]:
        with pycolmap.Database.open(self.database) as database:
            return {
                image.name
                for image in database.read_all_images()
                if database.exists_descriptors(image.image_id)
            }

    def matches(self) -> None:
        """All pairs of photos, in chunks that take about ``_SECONDS_BETWEEN_REPORTS``."""
        pairs = list(itertools.combinations(self.names, 2))
        marker = self.work / "matched"
        if marker.is_file():
            _say(MATCHES, len(pairs), len(pairs))
            return
        matching = pycolmap.FeatureMatchingOptions()
        matching.use_gpu = False
        matching.num_threads = self.threads
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.random_seed = self.job["seed"]
        listed = pycolmap.ImportedPairingOptions()
        listed.match_list_path = self.work / "pairs.txt"
        done, size = 0, 8
        while done < len(pairs):
            chunk = pairs[done : done + size]
            _say(MATCHES, done, len(pairs), chunk[0][0])
            lines = "".join(f"{first} {second}\n" for first, second in chunk)
            Path(listed.match_list_path).write_text(lines, encoding="utf-8")
            start = time.monotonic()
            # Pairs that an earlier run matched are in the database and cost nothing.
            pycolmap.match_image_pairs(
                self.database, matching, listed, verification, pycolmap.Device.cpu
            )
            done += len(chunk)
            speed = _SECONDS_BETWEEN_REPORTS / max(time.monotonic() - start, 0.01)
            size = int(min(max(size * speed, 8), 4 * size, 4096))
        marker.touch()
        _say(MATCHES, len(pairs), len(pairs))

    def incremental(self) -> None:
        """Photo after photo from a good first pair."""
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = self.threads
        options.random_seed = self.job["seed"]
        options.min_model_size = _MIN_MODEL_PHOTOS
        # A photo far from the rest is not worth the minutes of fifty attempts.
        options.max_num_models = 10
        placed = itertools.count(3)

        def report() -> None:
            _say(PLACING, min(next(placed), len(self.names)), len(self.names))

        def run(folder: Path) -> None:
            _say(PLACING, 0, len(self.names))
            pycolmap.incremental_mapping(
                self.database, self.photos, folder, options, next_image_callback=report
            )

        self._map("incremental", run)

    def glomap(self) -> None:
        """All photos at once (GLOMAP): places some that the incremental mapper cannot."""
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = self.threads
        options.random_seed = self.job["seed"]

        def run(folder: Path) -> None:
            _say(PLACING_ALL, 0, None)
            pycolmap.global_mapping(self.database, self.photos, folder, options)

        self._map("global", run)

    def _map(self, name: str, run: Callable[[Path], None]) -> None:
        folder = self.work / name
        if folder.is_dir():
            return
        unfinished = self.work / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        run(unfinished)
        unfinished.rename(folder)

    def most_placed(self) -> int:
        """Number of photos in the largest model so far."""
        sizes = [0]
        for images in self.work.glob("*/*/images.bin"):
            sizes.append(pycolmap.Reconstruction(images.parent).num_reg_images())
        return max(sizes)


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


if __name__ == "__main__":
    main(sys.argv[1])
