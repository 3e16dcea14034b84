"""A scene along a camera path: a video or a folder of pictures, one frame in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from splatkit.core import Cameras, Event, Gaussians, Note, Progress, UsageError
from splatkit.export.opening import OpenScene
from splatkit.io import atomic_path
from splatkit.io.camera_path import read_camera_path
from splatkit.io.images import fit_within, write_image
from splatkit.io.video import write_video
from splatkit.render import get_backend, render
from splatkit.render.paths import captured, circle, orbit
from splatkit.render.pictures import MODES, depth_range_of, outputs_of, picture, to_bytes

PATHS = ("orbit", "captured")
FPS = 30.0
LONG_SIDE = 1280
"""Of frames where no size is given, pixels; never more than the photos have."""
SIZE_WITHOUT_PHOTOS = (1280, 720)
OTHER_FILES = (".avi", ".gif", ".jpg", ".jpeg", ".mkv", ".mov", ".png", ".webm", ".webp")
"""Endings that are meant as a file and not as a folder."""
RANGE_VIEWS = 8
"""Views along the path that decide the depth colours of all frames."""
RANGE_SIDE = 160
"""Long side of those views, pixels."""
Paint = Callable[[Gaussians, Cameras, torch.Tensor], torch.Tensor]
"""Makes a picture [H,W,3] of Gaussians, one camera and a background [3]; not clamped."""
_FRAME_NAME = re.compile(r"\d{5}\.png")


@dataclass(frozen=True)
class RenderOptions:
    """How a scene becomes frames."""

    paths: tuple[str, ...] = PATHS
    """Camera paths, out of ``PATHS``, or nerfstudio's ``camera_path.json`` files, by name."""
    width: int | None = None
    """Pixels; follows from the height or the photos when None."""
    height: int | None = None
    """Pixels; follows from the width or the photos when None."""
    frames: int = 240
    """Of each path; a path from a file has its own."""
    fps: float | None = None
    """Frames a second of videos; those of a path from a file, or else ``FPS``, when None."""
    format: Literal["mp4", "png"] = "mp4"
    outputs: tuple[str, ...] = ("rgb",)
    """Pictures of each view, out of ``MODES``."""
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name, values, allowed in (
            ("--path", self.paths, PATHS),
            ("--outputs", self.outputs, MODES),
            ("--format", (self.format,), ("mp4", "png")),
        ):
            for value in values:
                if value not in allowed and not (name == "--path" and _is_file(value)):
                    raise UsageError(f"{name}: expected any of {', '.join(allowed)}, got {value!r}")
        for name, value in (
            ("--width", self.width),
            ("--height", self.height),
            ("--frames", self.frames),
        ):
            if value is not None and not 1 <= value <= 100_000:
                raise UsageError(f"{name}: expected 1 to 100000, got {value}")


def render_scene(
    scene: OpenScene,
    output: Path | None,
    options: RenderOptions,
    painter: Callable[[], Paint] | None = None,
) -> Generator[Event, None, list[Path]]:
    """Write a scene's videos or pictures.

    Args:
        scene: what to render; without photos both paths are a circle around it.
        output: a folder, or a file name ending in ``.mp4`` for exactly one path and one output;
            ``renders`` in the run folder, or beside the scene file, when None.
        options: paths, size, length, format.
        painter: gives for each path what makes the pictures of the output ``rgb`` where ``render``
            shall not.

    Returns:
        The files (or folders of pictures) in the order of paths and outputs.

    Raises:
        UsageError: the output does not fit the options.
        SplatkitError: the disk is full, or the place cannot be written.
    """
    get_backend(options.backend)
    if painter is not None and "rgb" not in options.outputs:
        raise UsageError("--outputs: expected rgb among them, which upscaling and colours are for")
    places = _places(scene, output, options)
    files = {path: read_camera_path(Path(path)) for path in options.paths if _is_file(path)}
    shapes = [(photo.width, photo.height) for photo in scene.photos] or [SIZE_WITHOUT_PHOTOS]
    if files:
        shapes = [(file.cameras.width, file.cameras.height) for file in files.values()]
    width, height = _size(shapes, options)
    if options.width not in (None, width) or options.height not in (None, height):
        yield Note(f"frames are {width}x{height}: H.264 needs even sizes")
    written = []
    for path in options.paths:
        file = files.get(path)
        if file is None:
            cameras, fps = _cameras(scene, path, options.frames, width, height), FPS
        else:
            cameras, fps = file.cameras.resized(width, height), file.fps
        targets = [places[path, mode] for mode in options.outputs]
        yield from render_frames(
            scene.gaussians,
            cameras,
            dict(zip(options.outputs, targets, strict=True)),
            fps=options.fps or fps,
            background=scene.background,
            backend=options.backend,
            stage=f"Rendering {_name_of(path)}",
            paint=None if painter is None else painter(),
        )
        written += targets
    return written


def render_frames(
    gaussians: Gaussians,
    cameras: Cameras,
    targets: dict[str, Path],
    *,
    fps: float = 30.0,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    backend: str = "auto",
    stage: str = "Rendering",
    paint: Paint | None = None,
) -> Generator[Event, None, None]:
    """Render views one by one into videos or folders of numbered pictures.

    Args:
        gaussians: the scene.
        cameras: C views.
        targets: mode (see ``splatkit.render.pictures``) -> a name ending in ``.mp4``, or a folder;
            each appears whole at the end, or not at all.
        fps: frames a second of videos.
        background: sRGB behind the scene.
        backend: see ``render``.
        stage: name in the progress events.
        paint: makes the pictures of the mode ``rgb`` where ``render`` shall not.
    """
    gaussians = gaussians.to(get_backend(backend).device)
    cameras = cameras.to(gaussians.means.dtype)
    behind = gaussians.means.new_tensor(background)
    ranges = {
        mode: _depth_range(gaussians, cameras, mode, backend)
        for mode in targets
        if mode.startswith("depth")
    }
    rendered_modes = [mode for mode in targets if not (mode == "rgb" and paint)]
    wanted = tuple(dict.fromkeys(name for mode in rendered_modes for name in outputs_of(mode)))
    yield Progress(stage, 0, len(cameras))
    with ExitStack() as stack:
        sinks = {
            mode: stack.enter_context(_sink(target, cameras, fps))
            for mode, target in targets.items()
        }
        for index in range(len(cameras)):
            camera = cameras[index : index + 1]
            if rendered_modes:
                with torch.no_grad():
                    rendered = render(
                        gaussians, camera, background=behind, outputs=wanted, backend=backend
                    )
                for mode in rendered_modes:
                    sinks[mode](picture(rendered, mode, ranges.get(mode))[0].cpu().numpy())
            if "rgb" in targets and paint:
                sinks["rgb"](to_bytes(paint(gaussians, camera, behind)).cpu().numpy())
            yield Progress(stage, index + 1, len(cameras))


@contextmanager
def _sink(target: Path, cameras: Cameras, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends one frame to a video or a folder."""
    if target.suffix.lower() == ".mp4":
        with write_video(target, cameras.width, cameras.height, fps) as add:
            yield add
        return
    if target.exists() and any(not _FRAME_NAME.fullmatch(f.name) for f in target.iterdir()):
        raise UsageError(
            f"{target}: expected a new folder or one with frames alone, found other files; "
            "choose another with -o"
        )
    with atomic_path(target) as temporary:
        temporary.mkdir()
        count = 0

        def add_picture(frame: np.ndarray) -> None:
            nonlocal count
            write_image(temporary / f"{count:05d}.png", frame)
            count += 1

        yield add_picture


def _depth_range(
    gaussians: Gaussians, cameras: Cameras, mode: str, backend: str
) -> tuple[float, float]:
    """One range for all frames, so that a depth keeps its colour along the path."""
    step = max(1, len(cameras) // RANGE_VIEWS)
    size = fit_within(cameras.width, cameras.height, RANGE_SIDE)
    with torch.no_grad():
        sample = render(gaussians, cameras[::step].resized(*size), outputs=(mode,), backend=backend)
    depth = sample.depth if mode == "depth" else sample.depth_median
    assert depth is not None
    return depth_range_of(depth)


def _places(
    scene: OpenScene, output: Path | None, options: RenderOptions
) -> dict[tuple[str, str], Path]:
    """Where the frames of each (path, output) go."""
    if output is not None and output.suffix.lower() == ".mp4":
        if options.format != "mp4" or len(options.paths) * len(options.outputs) != 1:
            raise UsageError(
                f"{output}: a single .mp4 takes one path and one output; give a folder for "
                f"{len(options.paths)} paths and {len(options.outputs)} outputs as {options.format}"
            )
        return {(options.paths[0], options.outputs[0]): output}
    if output is not None and output.suffix.lower() in OTHER_FILES:
        raise UsageError(f"{output}: expected a folder or a name ending in .mp4")
    if output is not None:
        folder = output
    elif scene.run is not None:
        folder = scene.run / "renders"
    else:
        folder = scene.file.with_name(f"{scene.name}-renders")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder or a name ending in .mp4, got a file")
    suffix = ".mp4" if options.format == "mp4" else ""
    return {
        (path, mode): folder / f"{_name_of(path)}{'' if mode == 'rgb' else '-' + mode}{suffix}"
        for path in options.paths
        for mode in options.outputs
    }


def _is_file(path: str) -> bool:
    return path.lower().endswith(".json")


def _name_of(path: str) -> str:
    """What the frames of a camera path are called."""
    return Path(path).stem if _is_file(path) else path


def _size(shapes: list[tuple[int, int]], options: RenderOptions) -> tuple[int, int]:
    """Width and height of the frames: as asked for, of a usual shape, even in a video."""
    full_width, full_height = sorted(shapes)[len(shapes) // 2]
    width, height = options.width, options.height
    if width is None and height is None:
        width, height = fit_within(full_width, full_height, LONG_SIDE)
    elif width is None and height is not None:
        width = max(1, round(height * full_width / full_height))
    elif height is None and width is not None:
        height = max(1, round(width * full_height / full_width))
    assert width is not None
    assert height is not None
    if options.format == "mp4":
        return max(2, width // 2 * 2), max(2, height // 2 * 2)
    return width, height


def _cameras(scene: OpenScene, path: str, frames: int, width: int, height: int) -> Cameras:
    views = scene.cameras(width, height)
    if views is None:
        return circle(scene.gaussians, frames, width, height)
    return (orbit if path == "orbit" else captured)(views, frames, width, height)
