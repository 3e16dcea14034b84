"""``splatkit export``: a scene from one format to another, turned, cropped, thinned, and checked.

The written file is read again and shown beside the scene that it should hold before it gets its
name, so that an export which would show something else is an error here and not a surprise
elsewhere.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splatkit.core import Cameras, Event, Gaussians, Note, Progress, SplatkitError
from splatkit.edit.decimate import LONG_SIDE, VIEWS, most_seen, views_around
from splatkit.export.opening import OpenScene, open_scene
from splatkit.export.prepare import (
    ExportOptions,
    cameras_turned,
    cropped,
    laid_out,
    mesh_turned,
    turned,
    writer_attempts,
)
from splatkit.export.proof import Proof, check_proof, prove
from splatkit.export.targets import place_for, target_named
from splatkit.export.tour import tour_of
from splatkit.io import write_json
from splatkit.io.images import fit_within
from splatkit.io.registry import Format
from splatkit.mesh.physics import read_collision
from splatkit.render.paths import circle

CHECK_VIEWS = 4
"""Around the scene, and as many of the photos' cameras."""
CHECK_SIZE = (320, 240)
SIDECAR = ".check.json"
COLLISION_FILE = Path("mesh", "surface_collision.glb")
"""In a run folder: what ``splatkit mesh RUN --collision`` writes."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    format: str
    num_gaussians: int
    sh_degree: int
    bytes: int
    proof: Proof | None
    """What the check found; None when there was none."""


def export_scene(
    source: Path, target: Path, options: ExportOptions | None = None
) -> Generator[Event, None, Exported]:
    """Read a scene, change it as asked, write it, and check what was written.

    Beside the file goes what the check found, as ``NAME.check.json``.

    Args:
        source: a run folder or a scene file of any format.
        target: its suffix names the format.
        options: what to change; nothing when None.

    Raises:
        UsageError: an option or the target's suffix cannot be used.
        SplatkitError: the source cannot be read, the target not written, or the file shows
            something else than the scene; then what stood under its name still does.
    """
    options = options or ExportOptions()
    program = target_named(options.target) if options.target is not None else None
    target, form = place_for(target, program)
    attempts = writer_attempts(form, options)
    yield Progress("Exporting", 0, 4, f"reading {source.name}")
    opened = open_scene(source)
    yield Progress("Exporting", 1, 4, "preparing")
    scene = prepared(opened, options)
    beside = yield from _beside(opened, form, options)
    with staged(target) as temporary, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield Progress("Exporting", 2, 4, f"writing {target.name}")
        proof = None
        try:
            for last, keywords in enumerate(attempts, 1 - len(attempts)):
                assert form.write is not None
                form.write(laid_out(scene, form, program), temporary, **keywords, **beside)
                if not options.check:
                    break
                yield Progress("Exporting", 3, 4, "comparing")
                axes = program.axes if program is not None else None
                views = check_views(opened, scene, options)
                proof = prove(scene, temporary, form, views, axes=axes, backend=options.backend)
                if last == 0 or not proof.rough:
                    check_proof(proof, target, _advice(form, keywords))
                    break
                yield Note(
                    f"{target.name}: shows the scene with {proof.psnr:.1f} dB (expected "
                    f"{proof.least_psnr:.0f}): written again with --precision high"
                )
        except SplatkitError as error:
            raise type(error)(_renamed(str(error), temporary, target)) from error
        yield from _notes(told, temporary, target)
        size = sum(file.stat().st_size for file in temporary.parent.iterdir())
    degree = min(scene.sh_degree, form.max_degree)
    if proof is not None:
        facts = {"file": target.name, "source": str(source), "format": form.name, "bytes": size}
        write_json(
            target.with_name(target.name + SIDECAR),
            facts | {"target": options.target, "sh_degree": degree} | proof.as_json(),
        )
    if len(scene) == 0:
        yield Note(f"{target}: the scene is empty", warning=True)
    yield Progress("Exporting", 4, 4, target.name)
    return Exported(target, form.name, len(scene), degree, size, proof)


def _advice(form: Format, keywords: Mapping[str, Any]) -> str:
    """What may help a file that shows too little, beside another format."""
    if "precision" in form.options and keywords.get("precision") != "high":
        return "add --precision high, "
    return ""


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a path of the same name in a temporary folder beside a file.

    What was written there (some formats are several files) takes its place when the block ends
    well, the file itself last; when the block raises, nothing changes. Missing folders are made.

    Raises:
        SplatkitError: the place cannot be written.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            ".tmp", f".{target.stem}.{os.getpid()}.", target.parent
        ) as folder:
            yield Path(folder, target.name)
            for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == target.name):
                file.replace(target.with_name(file.name))
    except BaseException as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            reason = "a file has the name of its folder"
        raise SplatkitError(
            f"{target}: cannot be written ({reason}); choose a folder that you can write to"
        ) from error


def prepared(opened: OpenScene, options: ExportOptions) -> Gaussians:
    """The scene cropped, thinned, turned, scaled and with fewer harmonics, as the options say."""
    scene = opened.gaussians
    if options.crop is not None:
        scene = cropped(scene, options.crop)
    if options.max_gaussians is not None and len(scene) > options.max_gaussians:
        cameras = photo_cameras(opened, VIEWS, LONG_SIDE) or views_around(scene)
        scene = most_seen(scene, cameras, options.max_gaussians, options.backend)
    return turned(scene, options)


def check_views(opened: OpenScene, scene: Gaussians, options: ExportOptions) -> Cameras:
    """Cameras of the comparison: some of the photos', moved with the scene, and some around it."""
    photos = photo_cameras(opened, CHECK_VIEWS, max(CHECK_SIZE))
    width, height = CHECK_SIZE if photos is None else (photos.width, photos.height)
    around = circle(scene, CHECK_VIEWS, width, height)
    if photos is None:
        return around
    photos = cameras_turned(photos, options)
    return Cameras(
        torch.cat((photos.viewmats, around.viewmats)),
        torch.cat((photos.Ks.double(), around.Ks)),
        width,
        height,
    )


def photo_cameras(opened: OpenScene, most: int, long_side: int) -> Cameras | None:
    """Some of the photos' cameras, spread evenly over their names; None where there are none."""
    if not opened.photos:
        return None
    first = opened.photos[0]
    cameras = opened.cameras(*fit_within(first.width, first.height, long_side))
    assert cameras is not None
    number = min(most, len(cameras))
    return cameras[torch.linspace(0, len(cameras) - 1, number).round().long()]


def _beside(
    opened: OpenScene, form: Format, options: ExportOptions
) -> Generator[Event, None, dict[str, Any]]:
    """What a format carries beside the scene: views and a walk, or a mesh for physics."""
    if "tour" in form.options:
        return {"tour": tour_of(opened, options)}
    file = None if opened.run is None else opened.run / COLLISION_FILE
    if "collision" not in form.options or file is None or not file.is_file():
        return {}
    if options.crop is not None:
        yield Note(f"{file}: left out, for it is not cropped")
        return {}
    yield Note(f"{file}: attached for physics")
    return {"collision": mesh_turned(read_collision(file).closed, options)}


def _notes(
    told: list[warnings.WarningMessage], temporary: Path, target: Path
) -> Generator[Event, None, None]:
    """What readers and writers warned of, once each, about the file by its own name."""
    texts = dict.fromkeys(_renamed(str(item.message), temporary, target) for item in told)
    for text in texts:
        yield Note(text, warning=True)


def _renamed(text: str, temporary: Path, target: Path) -> str:
    return text.replace(str(temporary), str(target))
