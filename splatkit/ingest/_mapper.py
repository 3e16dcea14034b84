"""Structure from motion in a process of its own: run by its file name with a job file and stages.

A failed check inside pycolmap ends the process it runs in, so this is not the user's. Progress
goes to the standard output, one JSON list a line; what each stage made stays in the job's
folder, and a stage whose result is there is not repeated. The process ends when its standard
input closes, so it does not outlive the program that started it. It imports nothing of splatkit:
it starts in a moment and needs no torch in its memory.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pycolmap

FEATURES = "Finding features"
MATCHES = "Matching photos"
PLACING = "Placing cameras"
PLACING_ALL = "Placing all cameras at once"
FOCAL = "Estimating focal lengths"
REFINING = "Refining cameras"
_SECONDS_BETWEEN_REPORTS = 2.0
_MIN_MODEL_PHOTOS = 3
_PART_PHOTOS = 200
_MANY_PHOTOS = 150
_OUTLIER_PIXELS = 1.0
"""Errors beyond this weigh less the larger they are, when a model is refined."""
_REFINED = 1e-5
"""Share of the cost below which another step of refinement gains nothing."""


def main(job_file: str, names: list[str]) -> None:
    """Run stages of a job, each the name of a method of ``Stages``."""
    _die_with_parent()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work = Path(job_file).resolve().parent
    lock = _only_one(work)
    pycolmap.logging.minloglevel = pycolmap.logging.Level.WARNING.value
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    pycolmap.set_random_seed(job["seed"])
    stages = Stages(job, work)
    for name in names:
        getattr(stages, name)()
    if lock is not None:
        lock.close()


def _die_with_parent() -> None:
    """Ask Linux to kill this process with its parent: pycolmap holds Python's lock for long."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _only_one(work: Path) -> IO[str] | None:
    """Wait until no other mapper writes to the folder: one whose parent was killed ends soon."""
    try:
        import fcntl
    except ImportError:
        return None  # Windows
    lock = (work / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(3)


def _say(stage: str, done: int, total: int | None = None, detail: str = "") -> None:
    print(json.dumps([stage, done, total, detail]), flush=True)


class Stages:
    """What can be done in a job's folder; what is done already is not done again."""

    def __init__(self, job: dict[str, Any], work: Path) -> None:
        self.job = job
        self.work = work
        self.photos = work.parent / "photos"
        self.database = work / "database.db"
        listed = [name for group in job["cameras"] for name in group["names"]]
        self.names: list[str] = listed if job["only"] is None else job["only"]
        self.threads: int = job["threads"]

    def features(self) -> None:
        """SIFT of every photo; photos of one group share a camera."""
        options = pycolmap.FeatureExtractionOptions()
        options.use_gpu = False
        options.num_threads = self.threads
        options.sift.estimate_affine_shape = self.job["fine"]
        options.sift.domain_size_pooling = self.job["fine"]
        numbers = self._cameras()
        wanted = set(self.names)
        found = self._photos_with_features() & wanted
        done = len(found)
        for number, group in zip(numbers, self.job["cameras"], strict=True):
            options.sift.max_num_features = group["max_features"]
            reader = pycolmap.ImageReaderOptions()
            reader.existing_camera_id = number
            if (self.work.parent / "masks").is_dir():
                reader.mask_path = self.work.parent / "masks"
            rest = [n for n in group["names"] if n not in found and n in wanted]
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

    def take_over(self) -> None:
        """Go on from another job's features and matches."""
        if not self.database.is_file():
            unfinished = self.work / "unfinished.db"
            shutil.copyfile(self.work / self.job["matches_from"], unfinished)
            unfinished.rename(self.database)

    def matches(self) -> None:
        """The pairs listed in ``wanted.txt``, in chunks of about ``_SECONDS_BETWEEN_REPORTS``.

        Of a job about ``only`` some photos, those in ``probe.txt``.
        """
        part, done_part = ("wanted", "matched") if self.job["only"] is None else ("probe", "probed")
        wanted = (self.work / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        marker = self.work / done_part
        if marker.is_file():
            _say(MATCHES, len(wanted), len(wanted))
            return
        matching = pycolmap.FeatureMatchingOptions()
        matching.use_gpu = False
        matching.num_threads = self.threads
        listed = pycolmap.ImportedPairingOptions()
        listed.match_list_path = self.work / "pairs.txt"
        done, size = 0, 8
        while done < len(wanted):
            chunk = wanted[done : done + size]
            _say(MATCHES, done, len(wanted), chunk[0].split()[0])
            Path(listed.match_list_path).write_text("\n".join(chunk) + "\n", encoding="utf-8")
            start = time.monotonic()
            # Pairs that an earlier run matched are in the database and cost nothing.
            pycolmap.match_image_pairs(
                self.database, matching, listed, self._verification(), pycolmap.Device.cpu
            )
            done += len(chunk)
            speed = _SECONDS_BETWEEN_REPORTS / max(time.monotonic() - start, 0.01)
            size = int(min(max(size * speed, 8), 4 * size, 4096))
        marker.touch()
        _say(MATCHES, len(wanted), len(wanted))

    def forget_focal(self) -> None:
        """Start again from another job's matches, its focal lengths unknown to begin with.

        The matches are verified without a camera, and focal lengths that fit most pairs of
        photos take the place of what EXIF said.
        """
        if self.database.is_file():
            return
        _say(FOCAL, 0, None)
        unfinished = self.work / "unfinished.db"
        unfinished.unlink(missing_ok=True)
        shutil.copyfile(self.work / self.job["matches_from"], unfinished)
        with pycolmap.Database.open(unfinished) as database:
            for camera in database.read_all_cameras():
                camera.has_prior_focal_length = False
                focal = self.job["default_focal"] * max(camera.width, camera.height)
                camera.params = [focal, *map(float, camera.params[1:])]
                database.update_camera(camera)
            database.clear_two_view_geometries()
        pycolmap.geometric_verification(unfinished, two_view_geometry_options=self._verification())
        calibration = pycolmap.ViewGraphCalibrationOptions()
        calibration.random_seed = self.job["seed"]
        pycolmap.calibrate_view_graph(unfinished, calibration)
        unfinished.rename(self.database)

    def _verification(self) -> pycolmap.TwoViewGeometryOptions:
        options = pycolmap.TwoViewGeometryOptions()
        options.ransac.random_seed = self.job["seed"]
        return options

    def incremental(self) -> None:
        """Photo after photo from a good first pair."""
        self._incremental("incremental", self._incremental_options())

    def relaxed(self) -> None:
        """The same with what its defaults refuse: small angles, forward motion, few matches."""
        options = self._incremental_options()
        options.mapper.init_min_tri_angle = 4.0
        options.mapper.init_min_num_inliers = 50
        options.mapper.init_max_forward_motion = 1.0
        options.mapper.abs_pose_min_num_inliers = 15
        options.mapper.abs_pose_min_inlier_ratio = 0.15
        options.mapper.ba_local_min_tri_angle = 3.0
        options.mapper.filter_min_tri_angle = 0.75
        options.triangulation.min_angle = 0.75
        options.triangulation.ignore_two_view_tracks = False
        self._incremental("relaxed", options)

    def _incremental_options(self) -> pycolmap.IncrementalPipelineOptions:
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = self.threads
        options.random_seed = self.job["seed"]
        options.min_model_size = _MIN_MODEL_PHOTOS
        # A photo far from the rest is not worth the minutes of fifty attempts.
        options.max_num_models = 10
        if len(self.names) > _MANY_PHOTOS:
            # Everything is adjusted once more at the end: on the way less will do.
            options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.3
            options.ba_global_max_refinements = 2
            options.ba_global_max_num_iterations = options.ba_local_max_num_iterations = 15
        return options

    def _incremental(self, name: str, options: pycolmap.IncrementalPipelineOptions) -> None:
        placed = itertools.count(3)

        def report() -> None:
            _say(PLACING, min(next(placed), len(self.names)), len(self.names))

        def run(folder: Path) -> None:
            _say(PLACING, 0, len(self.names))
            pycolmap.incremental_mapping(
                self.database, self.photos, folder, options, next_image_callback=report
            )

        self._map(name, run)

    def at_once(self) -> None:
        """All photos at once (GLOMAP): places some that the incremental mapper cannot."""
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = self.threads
        options.random_seed = self.job["seed"]

        def run(folder: Path) -> None:
            _say(PLACING_ALL, 0, None)
            pycolmap.global_mapping(self.database, self.photos, folder, options)

        self._map("at_once", run)

    def in_parts(self) -> None:
        """Large sets in overlapping parts that are joined afterwards."""
        options = pycolmap.HierarchicalPipelineOptions()
        options.num_threads = self.threads
        options.num_workers = self.threads
        options.clustering_options.leaf_max_num_images = _PART_PHOTOS
        options.incremental_options = self._incremental_options()

        def run(folder: Path) -> None:
            _say(PLACING, 0, None, "in parts")
            pycolmap.hierarchical_mapping(self.database, self.photos, folder, options)

        self._map("in_parts", run)

    def refine(self) -> None:
        """Bundle adjustment of the chosen model in which outliers weigh little.

        The mappers' own takes squares of errors, of all points within 4 pixels: a tenth of them
        that are wrong bends a lens. ``refine.json`` names the model and the photos to leave out,
        or, where the model was joined of several, gives poses and lenses; points are found anew
        then.
        """
        told = json.loads((self.work / "refine.json").read_text(encoding="utf-8"))
        options = pycolmap.BundleAdjustmentOptions()
        options.print_summary = False
        options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
        options.ceres.loss_function_scale = _OUTLIER_PIXELS
        options.ceres.solver_options.function_tolerance = _REFINED
        options.ceres.solver_options.num_threads = self.threads

        def run(folder: Path) -> None:
            _say(REFINING, 0, None)
            if told["model"] is None:
                model = self._triangulated(told["photos"], folder)
            else:
                model = pycolmap.Reconstruction(self.work / told["model"])
            for image in list(model.images.values()):
                if image.has_pose and image.name in told["without"]:
                    model.deregister_frame(image.frame_id)
            pycolmap.bundle_adjustment(model, options)
            model.update_point_3d_errors()
            model.write(folder)

        self._map("refined", run)

    def _triangulated(
        self, photos: dict[str, dict[str, Any]], folder: Path
    ) -> pycolmap.Reconstruction:
        """A model of known poses and lenses with the points that the matches give."""
        model = pycolmap.Reconstruction()
        with pycolmap.Database.open(self.database) as database:
            cache = pycolmap.DatabaseCache.create(database, pycolmap.DatabaseCacheOptions())
        model.load(cache)
        for image in list(model.images.values()):
            told = photos.get(image.name)
            if told is not None:
                model.camera(image.camera_id).params = told["lens"]
                model.frame(image.frame_id).rig_from_world = pycolmap.Rigid3d(
                    np.array(told["camera_from_world"])[:3]
                )
                model.register_frame(image.frame_id)
        return pycolmap.triangulate_points(
            model, self.database, self.photos, folder, True, self._incremental_options()
        )

    def _map(self, name: str, run: Callable[[Path], None]) -> None:
        folder = self.work / name
        if folder.is_dir():
            return
        unfinished = self.work / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        run(unfinished)
        unfinished.rename(folder)


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
