"""An edited scene as a new file or a new run folder; the old one stays as it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.edit.placement import Similarity
from splatkit.io import atomic_path, write_gaussians, write_json
from splatkit.io.files import link_or_copy
from splatkit.io.registry import format_to_write
from splatkit.io.scene import load_scene, save_scene
from splatkit.train.run_folder import RunFolder


def check_target(target: Path) -> None:
    """Refuse what exists already or cannot be written as a scene, before any work is done.

    Raises:
        UsageError: there is something at that path, or its ending is no scene format's.
    """
    if target.exists():
        raise UsageError(f"{target}: expected a new name, there is something already")
    if target.suffix:
        format_to_write(target)


def save_edited(
    gaussians: Gaussians,
    target: Path,
    steps: list[str],
    placed: Similarity | None = None,
    run: Path | None = None,
) -> Path:
    """Write an edited scene.

    Args:
        gaussians: as they are to be.
        target: a new file whose suffix names the format, or, without a suffix, a new run folder:
            with the photos of the old run and their cameras, moved as the scene was.
        steps: what was done, in words.
        placed: how the scene was moved since ``run``; not at all when None.
        run: the run folder that the scene comes from, where it does.

    Returns:
        The file or the folder.

    Raises:
        UsageError: see ``check_target``.
    """
    check_target(target)
    placed = placed or Similarity()
    record = {
        "steps": steps,
        "num_gaussians": len(gaussians),
        "new_from_old": placed.matrix().tolist(),
    }
    if target.suffix:
        write_gaussians(gaussians, target)
        write_json(target.with_name(f"{target.name}.edit.json"), record)
        return target
    with atomic_path(target) as temporary:
        folder = RunFolder(temporary)
        write_gaussians(gaussians, folder.ply)
        if run is not None and RunFolder(run).scene.is_dir():
            _copy_photos(RunFolder(run).scene, folder.scene, placed)
            with suppress(SplatkitError):
                record["options"] = RunFolder(run).options()
        write_json(folder.edits, record)
        # Another command may have made it meanwhile.
        check_target(target)
    return target


def _copy_photos(old: Path, new: Path, placed: Similarity) -> None:
    """The photos of a run in a new folder (linked where the file system can), cameras moved."""
    scene = load_scene(old)
    photos = []
    for index, photo in enumerate(scene.photos):
        path = new / "images" / f"{index:05d}{photo.path.suffix}"
        link_or_copy(photo.path, path)
        mask = None
        if photo.mask_path is not None:
            mask = new / "masks" / f"{index:05d}{photo.mask_path.suffix}"
            link_or_copy(photo.mask_path, mask)
        photos.append(replace(placed.photo(photo), path=path, mask_path=mask))
    matrix = placed.matrix()
    points = scene.points.double() @ matrix[:3, :3].mT + matrix[:3, 3]
    save_scene(
        replace(
            scene,
            photos=photos,
            points=points.float(),
            source_from_world=scene.source_from_world @ torch.linalg.inv(matrix),
        ),
        new,
    )
