"""What the user pointed at: photos alone, or photos with cameras, and which file is what.

Every kind of input becomes a ``Source``: a list of photos found, and, where the input has
cameras, a ``Posed`` photo for each of them in the frame of the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from splatkit.core import SplatkitError, UsageError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.judge import TOO_FEW_POINTS, guessed_photos
from splatkit.io.colmap import ColmapModel, find_model, read_model
from splatkit.io.images import list_images
from splatkit.io.lenses import Lens
from splatkit.io.masks import find_masks, without_masks
from splatkit.io.metashape import is_metashape, read_metashape
from splatkit.io.realitycapture import is_realitycapture, read_realitycapture
from splatkit.io.scene import SCENE_FILE, load_scene
from splatkit.io.transforms import Frame, find_transforms, read_frames
from splatkit.io.video_frames import SUFFIXES as VIDEO_SUFFIXES

_PHOTO_FOLDERS = ("images", "input", "photos", "rgb")
_SHRUNK_FOLDERS = ("images_2", "images_4", "images_8")


@dataclass(frozen=True)
class Posed:
    """A photo and the camera that took it, in the frame of the input."""

    name: str
    path: Path
    lens: Lens
    camera_id: int
    camera_from_source: np.ndarray
    """[4,4] float64, rigid, OpenCV axes."""
    mask_path: Path | None = None
    upright: bool = True
    """Whether the camera belongs to the picture turned as EXIF says."""


@dataclass(frozen=True)
class Cameras:
    """Everything that is known once cameras are."""

    posed: list[Posed]
    """Sorted by name."""
    points: np.ndarray
    """[P,3] float64, frame of the input."""
    colors: np.ndarray
    """[P,3] uint8."""
    missing: dict[str, str] = field(default_factory=dict)
    """Photos without a camera: name -> reason."""
    settled: bool = False
    """Whether the frame is a scene's own already, to be kept as it is."""
    metric: bool = False
    """Of a settled frame: whether its unit is a metre."""


@dataclass(frozen=True)
class Source:
    """What was found."""

    kind: str
    """"photos", "video", "COLMAP model", "transforms.json", "scene", or a program's export."""
    folder: Path
    """Where the photos are; names are relative to it."""
    names: list[str]
    """All photos found, sorted."""
    held_out: frozenset[str] | None = None
    """The data set's own test split."""
    cameras: Cameras | None = None
    """None where structure from motion has to find them."""
    videos: list[Path] = field(default_factory=list)
    """Of the kind "video": the files whose frames become the photos."""
    masks: dict[str, Path] = field(default_factory=dict)
    """Photo name -> its mask, where photos have no cameras yet."""


def find_source(path: Path, config: IngestConfig) -> Source:
    """Recognise the input and read its cameras, if it has some.

    Raises:
        UsageError: there is nothing at ``path`` that splatkit takes.
        SplatkitError: what is there is damaged.
    """
    if not path.exists():
        raise UsageError(f"{path}: expected a folder of photos, but nothing is there")
    if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        return Source("video", path.parent, [], videos=[path])
    if config.model is not None:
        model = find_model(config.model)
        if model is None:
            raise UsageError(f"{config.model}: expected a COLMAP model (images and cameras files)")
        return _colmap_source(_photo_folder(path), model)
    made = next((p for p in (path, path / "scene") if (p / SCENE_FILE).is_file()), None)
    if made is not None:
        return _scene_source(made)
    if find_transforms(path):
        return _transforms_source(path)
    listed = _program_list(path)
    if listed is not None:
        return _listed_source(path if path.is_dir() else path.parent, *listed)
    if path.is_file():
        raise UsageError(
            f"{path}: expected a folder of photos, a video, a transforms.json, or the cameras that "
            "RealityCapture (CSV) or Metashape (XML) wrote"
        )
    model = find_model(path)
    if model is not None:
        return _colmap_source(_photo_folder(path), model)
    folder = _photo_folder(path)
    names = without_masks(list_images(folder))
    if not names:
        videos = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if not videos:
            raise SplatkitError(f"{path}: expected photos (JPEG, PNG, HEIC, ...), found none")
        return Source("video", path, [], videos=videos)
    return Source("photos", folder, names, masks=find_masks(folder, names))


def cameras_of_model(model: ColmapModel, folder: Path, names: list[str], reason: str) -> Cameras:
    """The cameras that a COLMAP model gives to photos of a folder."""
    by_name = {image.name: image for image in model.images}
    masks = find_masks(folder, names)
    # A model made from a folder above or below names the same files in another way.
    known = set(names)
    if not known & set(by_name):
        short = {Path(name).name: image for name, image in by_name.items()}
        by_name = {n: short[Path(n).name] for n in names if Path(n).name in short}
    posed = [
        Posed(
            name=name,
            path=folder / name,
            lens=model.cameras[image.camera_id],
            camera_id=image.camera_id,
            camera_from_source=image.camera_from_world,
            mask_path=masks.get(name),
            upright=False,
        )
        for name, image in sorted(by_name.items())
        if name in known
    ]
    placed = {photo.name for photo in posed}
    missing = {name: reason for name in names if name not in placed}
    return Cameras(posed, model.points, model.colors, missing)


def _photo_folder(path: Path) -> Path:
    """The folder itself when it holds photos, else the one inside it that does by custom."""
    if path.is_file():
        return path.parent
    for name in (*_PHOTO_FOLDERS, *_SHRUNK_FOLDERS):
        if (path / name).is_dir() and list_images(path / name):
            return path / name
    return path


def _colmap_source(folder: Path, model_folder: Path) -> Source:
    model = read_model(model_folder)
    names = without_masks(list_images(folder))
    cameras = cameras_of_model(model, folder, names, "not in the COLMAP model")
    if not cameras.posed:
        raise SplatkitError(
            f"{model_folder}: none of its {len(model.images)} photos is among the {len(names)} in "
            f"{folder}; put the photos that the model names there"
        )
    guessed = guessed_photos(model)
    if guessed:
        sure = replace(model, images=[i for i in model.images if i.name not in guessed])
        left = cameras_of_model(sure, folder, names, TOO_FEW_POINTS)
        cameras = replace(left, missing=left.missing | cameras.missing)
    return Source("COLMAP model", folder, names, cameras=cameras)


_Reader = Callable[[Path, Path], tuple[list[Frame], list[str]]]


def _program_list(path: Path) -> tuple[Path, str, _Reader] | None:
    """The camera list of another program at or in ``path``: file, program, reader."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    for file in files:
        if file.suffix.lower() == ".csv" and is_realitycapture(file):
            return file, "RealityCapture list", read_realitycapture
        if file.suffix.lower() == ".xml" and is_metashape(file):
            return file, "Metashape list", read_metashape
    return None


def _listed_source(folder: Path, file: Path, program: str, read: _Reader) -> Source:
    photos = _photo_folder(folder)
    frames, missing = read(file, photos)
    names = list_images(photos)
    return _framed_source(program, photos, frames, missing, names)


def _scene_source(folder: Path) -> Source:
    """A scene that ingest made, or the one of a run, with its cameras and frame."""
    scene = load_scene(folder)
    posed = [
        Posed(
            name=photo.name,
            path=photo.path,
            lens=Lens("PINHOLE", photo.width, photo.height,
                      (float(photo.K[0, 0]), float(photo.K[1, 1]), float(photo.K[0, 2]),
                       float(photo.K[1, 2]))),
            camera_id=photo.camera_id,
            camera_from_source=photo.viewmat.numpy(),
            mask_path=photo.mask_path,
        )
        for photo in scene.photos
    ]  # fmt: skip
    colors = np.round(scene.point_colors.numpy() * 255).astype(np.uint8)
    points = scene.points.numpy().astype(np.float64)
    cameras = Cameras(posed, points, colors, dict(scene.missing), True, scene.metric)
    names = sorted([photo.name for photo in scene.photos] + list(scene.missing))
    own = frozenset(photo.name for photo in scene.held_out_photos) | set(scene.missing_held_out)
    return Source("scene", folder, names, own or None, cameras)


def _transforms_source(path: Path) -> Source:
    frames, missing = read_frames(path)
    folder = path.parent if path.is_file() else path
    return _framed_source("transforms.json", folder, frames, missing, [])


def _framed_source(
    kind: str, folder: Path, frames: list[Frame], missing: list[str], names: list[str]
) -> Source:
    """Photos with cameras of frames; ``names`` are further photos, which have none."""
    lenses: dict[Lens, int] = {}
    masks = find_masks(folder, [frame.name for frame in frames])
    posed = [
        Posed(
            name=frame.name,
            path=frame.path,
            lens=frame.lens,
            camera_id=lenses.setdefault(frame.lens, len(lenses)),
            camera_from_source=frame.camera_from_world,
            mask_path=frame.mask_path or masks.get(frame.name),
            upright=kind == "RealityCapture list",
        )
        for frame in frames
    ]
    empty = np.zeros((0, 3))
    placed = {frame.name for frame in frames}
    lost = dict.fromkeys(missing, "file missing")
    lost |= {name: f"not in the {kind}" for name in names if name not in placed}
    cameras = Cameras(posed, empty, empty.astype(np.uint8), lost)
    tested = frozenset(frame.name for frame in frames if frame.split == "test")
    if not tested:
        tested = frozenset(frame.name for frame in frames if frame.split == "val")
    return Source(kind, folder, sorted(placed | set(lost)), tested or None, cameras)
