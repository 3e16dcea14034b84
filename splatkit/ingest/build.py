"""From photos with cameras to a scene on the disk: pinhole photos, masks, the world frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from splatkit.core import Event, Note, Photo, Progress, Scene, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.frame import points_in_world, pose_in_world
from splatkit.ingest.sources import Cameras, Posed
from splatkit.ingest.undistort import Undistortion
from splatkit.ingest.world import choose_world
from splatkit.io.files import link_or_copy, write_bytes
from splatkit.io.images import (
    PhotoInfo,
    read_image,
    read_info,
    read_mask,
    resize_area,
    without_metadata,
    write_image,
)
from splatkit.io.lenses import Lens
from splatkit.io.scene import save_scene

IMAGES, MASKS = "images", "masks"
_LENSES_AT_ONCE = 8
_AS_IS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class _Ready:
    photo: Photo
    transparent: bool


def build_scene(
    cameras: Cameras, held_out: frozenset[str], out: Path, config: IngestConfig
) -> Generator[Event, None, Path]:
    """Undistort every photo and write the scene.

    Photos that cannot be read are left out with a warning.

    Returns:
        ``out``, complete.
    """
    points = cameras.points
    world = yield from choose_world(cameras, config)
    frame = world.source_from_world
    # Photos of one lens share its maps; lenses of which every photo has its own must not pile up.
    undistortion_of = lru_cache(maxsize=_LENSES_AT_ONCE)(Undistortion)
    ready: list[_Ready] = []
    missing = dict(cameras.missing)
    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        jobs = {
            pool.submit(
                _prepare,
                posed,
                frame,
                posed.name in held_out,
                out,
                undistortion_of,
                config.keep_gps,
            ): posed.name
            for posed in cameras.posed
        }
        try:
            for job in as_completed(jobs):
                try:
                    ready.append(job.result())
                except _UnreadablePhotoError as error:
                    missing[jobs[job]] = "cannot be read"
                    yield Note(f"left out: {error}", warning=True)
                yield Progress("Undistorting photos", len(ready), len(jobs), jobs[job])
        finally:
            pool.shutdown(cancel_futures=True)
    if not ready:
        raise SplatkitError(f"{out}: none of the {len(jobs)} photos could be read")
    colors = torch.from_numpy(cameras.colors.astype(np.float32) / 255)
    scene = Scene(
        photos=sorted((item.photo for item in ready), key=lambda photo: photo.name),
        points=torch.from_numpy(points_in_world(points, frame).astype(np.float32)),
        point_colors=colors,
        source_from_world=torch.from_numpy(frame),
        metric=world.metric,
        enu_from_world=torch.from_numpy(world.enu_from_world)
        if world.enu_from_world is not None and config.keep_gps
        else None,
        enu_origin=world.enu_origin if config.keep_gps else None,
        missing=dict(sorted(missing.items())),
        missing_held_out=sorted(held_out & set(missing)),
        background=(1.0, 1.0, 1.0) if any(item.transparent for item in ready) else None,
    )
    return save_scene(scene, out)


class _UnreadablePhotoError(SplatkitError):
    """One photo is at fault, not the work as a whole."""


def _prepare(
    posed: Posed,
    frame: np.ndarray,
    held_out: bool,
    out: Path,
    undistortion_of: Callable[[Lens], Undistortion],
    keep_gps: bool,
) -> _Ready:
    try:
        info = read_info(posed.path)
    except SplatkitError as error:
        raise _UnreadablePhotoError(str(error)) from error
    lens, upright = _fit_lens(posed, info)
    undistort = undistortion_of(lens)
    as_is = not undistort.needed and not info.turned and posed.path.suffix.lower() in _AS_IS
    target = _target(posed.name, out / IMAGES, info.transparent, as_is)
    if not target.is_file():
        if as_is:
            if info.gps is None or keep_gps:
                link_or_copy(posed.path, target)
            else:
                write_bytes(target, without_metadata(posed.path))
        else:
            try:
                image = read_image(posed.path, upright=upright)
            except SplatkitError as error:
                raise _UnreadablePhotoError(str(error)) from error
            write_image(target, undistort(image))
    mask = _mask(posed, undistort, out / MASKS)
    pinhole = undistort.pinhole
    photo = Photo(
        name=posed.name,
        path=target,
        width=pinhole.width,
        height=pinhole.height,
        viewmat=torch.from_numpy(pose_in_world(posed.camera_from_source, frame)),
        K=torch.from_numpy(pinhole.K),
        camera_id=posed.camera_id,
        held_out=held_out,
        mask_path=mask,
        exposure=info.exposure,
        gps=info.gps if keep_gps else None,
    )
    return _Ready(photo, info.transparent)


def _fit_lens(posed: Posed, info: PhotoInfo) -> tuple[Lens, bool]:
    """The lens at the photo's own size, and whether the photo has to be turned for it."""
    upright = (info.width, info.height)
    stored = (info.height, info.width) if info.lying else upright
    for size, turn in ((upright, True), (stored, False)):
        # The shape decides where it can; where it cannot, the maker of the cameras does.
        if _same_shape(posed.lens, size) and (turn == posed.upright or info.lying):
            return posed.lens.resized(*size), turn
    raise SplatkitError(
        f"{posed.path}: expected {posed.lens.width}x{posed.lens.height} as its camera says, got "
        f"{info.width}x{info.height}"
    )


def _same_shape(lens: Lens, size: tuple[int, int]) -> bool:
    """Whether a picture is the lens's picture at some size (a pixel of rounding allowed)."""
    across, down = size[0] / lens.width, size[1] / lens.height
    return abs(across - down) * max(lens.width, lens.height) <= 1.5


def _target(name: str, folder: Path, transparent: bool, as_is: bool) -> Path:
    """Where the pinhole photo goes; another suffix is added to the old one, not put for it."""
    suffix = Path(name).suffix.lower()
    wanted = (".png",) if transparent else (".jpg", ".jpeg")
    inside = name.replace("..", "_").lstrip("/\\").replace(":", "_")
    return folder / (inside if as_is or suffix in wanted else inside + wanted[0])


def _mask(posed: Posed, undistort: Undistortion, folder: Path) -> Path | None:
    """Write what is blank after undistortion or masked by the user, where anything is."""
    if posed.mask_path is None and undistort.mask is None:
        return None
    target = folder / (posed.name.replace("..", "_").lstrip("/\\").replace(":", "_") + ".png")
    if target.is_file():
        return target
    mask = undistort.mask
    if posed.mask_path is not None:
        given = read_mask(posed.mask_path, posed.path, upright=posed.upright)
        lens = undistort.lens
        if given.shape != (lens.height, lens.width):
            given = resize_area(given, lens.width, lens.height)
        given = np.where(undistort(given) < 128, 0, 255).astype(np.uint8)
        mask = given if mask is None else cv2.min(mask, given)
    assert mask is not None
    write_image(target, mask)
    return target
