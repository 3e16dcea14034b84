"""``splatkit export``: a scene from one format to another, turned, cropped, and checked.

The written file is read again and rendered beside the scene that it should hold, so that an
export which would show something else is an error here and not a surprise elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Note, Progress, SplatkitError, UsageError
from splatkit.core.sh import MAX_DEGREE, count_from_degree, rgb_from_sh, sh_from_rgb
from splatkit.core.similarity import transformed
from splatkit.export.opening import open_scene
from splatkit.io import read_gaussians, spz
from splatkit.io.registry import Format, format_to_write
from splatkit.render import render
from splatkit.render.paths import circle

UP = {
    "x": (1, 0, 0), "neg-x": (-1, 0, 0), "y": (0, 1, 0), "neg-y": (0, -1, 0),
    "z": (0, 0, 1), "neg-z": (0, 0, -1),
}  # fmt: skip
LEAST_PSNR = {
    "ply": 60.0,
    "npz": 60.0,
    "spz": 38.0,
    "sog": 38.0,
    "compressed-ply": 30.0,
    "splat": 40.0,
}
"""Decibels that an export must keep, by format. The compressed PLY rounds harmonics to 1/32 and
places to 1/2048 of a chunk: no writer of it does much better. For .splat the scene is taken as it
can be held: without harmonics, colours within 0..1."""
CHECK_VIEWS = 4
CHECK_SIZE = (320, 240)

_WORLD_UP = (0, -1, 0)


@dataclass(frozen=True)
class ExportOptions:
    """What happens between reading and writing, in this order."""

    crop: tuple[float, float, float, float, float, float] | None = None
    """Keep the Gaussians whose centres are inside this box: low x y z, then high x y z, in the
    scene's units and axes as they come (x right, y down, z forward)."""
    up: str | None = None
    """The axis that points up in the input, one of ``UP``: it becomes -y, splatkit's up."""
    rotate: tuple[float, float, float] | None = None
    """Turn by these degrees about x, then y, then z."""
    scale: float = 1.0
    """Make the scene so many times larger, about its origin."""
    sh_degree: int | None = None
    """Drop harmonics above this degree, 0 to 4."""
    spz_version: int | None = None
    """SPZ version 3 or 4; 4 when None."""
    check: bool = True
    """Read the file again, render both and compare."""
    backend: str = "auto"
    """Rasterizer of the comparison: auto, cpu, torch_ref."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    format: str
    num_gaussians: int
    sh_degree: int
    bytes: int
    psnr: float | None
    """Decibels between the scene and the file, the worst view; None when exact or not checked."""


def export_scene(
    source: Path, target: Path, options: ExportOptions | None = None
) -> Generator[Event, None, Exported]:
    """Read a scene, change it as asked, write it, and check what was written.

    Args:
        source: a run folder or a scene file of any format.
        target: its suffix names the format.
        options: what to change; nothing when None.

    Raises:
        UsageError: an option or the target's suffix cannot be used.
        SplatkitError: the source cannot be read, the target not written, or the file shows
            something else than the scene (it stays where it is, for looking at).
    """
    options = options or ExportOptions()
    form, write = format_to_write(target)
    _check_options(options, form)
    yield Progress("Exporting", 0, 3, f"reading {source.name}")
    scene = prepared(open_scene(source).gaussians, options)
    yield Progress("Exporting", 1, 3, f"writing {target.name}")
    if form.name == "spz" and options.spz_version is not None:
        spz.write(scene, target, version=options.spz_version)
    else:
        write(scene, target)
    psnr = None
    if options.check:
        yield Progress("Exporting", 2, 3, "comparing")
        psnr = compare(scene, target, form, options.backend)
    if len(scene) == 0:
        yield Note(f"{target}: the scene is empty", warning=True)
    yield Progress("Exporting", 3, 3, target.name)
    degree = min(scene.sh_degree, form.max_degree)
    return Exported(target, form.name, len(scene), degree, target.stat().st_size, psnr)


def prepared(gaussians: Gaussians, options: ExportOptions) -> Gaussians:
    """The scene cropped, turned, scaled and with fewer harmonics, as the options say."""
    if options.crop is not None:
        low, high = torch.tensor(options.crop).view(2, 3).to(gaussians.means)
        inside = ((gaussians.means >= low) & (gaussians.means <= high)).all(1)
        if len(gaussians) and not bool(inside.any()):
            raise UsageError(
                f"--crop: none of the {len(gaussians)} Gaussians is inside the box; see the "
                "bounds with: splatkit info"
            )
        gaussians = gaussians[inside]
    turn = rotation_of(options)
    if turn is not None or options.scale != 1:
        gaussians = transformed(gaussians, turn, options.scale)
    if options.sh_degree is not None:
        gaussians = replace(gaussians, sh=gaussians.sh[:, : count_from_degree(options.sh_degree)])
    return gaussians


def rotation_of(options: ExportOptions) -> Tensor | None:
    """[3,3] float64 of ``--up`` and then ``--rotate``; None where neither turns anything."""
    if options.up is None and options.rotate is None:
        return None
    turn = torch.eye(3, dtype=torch.float64)
    if options.up is not None:
        turn = _onto_up(UP[options.up])
    for axis, degrees in enumerate(options.rotate or ()):
        turn = _about(axis, math.radians(degrees)) @ turn
    return turn


def compare(scene: Gaussians, path: Path, form: Format, backend: str = "auto") -> float | None:
    """PSNR between a scene and the file it was written to, the worst of some views around it.

    Returns:
        Decibels; None when every pixel is equal.

    Raises:
        SplatkitError: it is below what the format promises, or Gaussians are missing.
    """
    read = read_gaussians(path)
    if len(read) != len(scene):
        raise SplatkitError(
            f"{path}: expected {len(scene)} Gaussians in the written file, got {len(read)}: the "
            "others hold NaN, infinity or absurd scales; clean the scene first"
        )
    psnr = psnr_between(scene, read, form, backend)
    if psnr is None:
        return None
    least = LEAST_PSNR[form.name]
    if psnr < least:
        raise SplatkitError(
            f"{path}: written, but it shows the scene with {psnr:.1f} dB only (expected "
            f"{least:.0f}); its sizes, colours or places are beyond what {form.name} can hold: "
            "use .ply, or --no-check to keep it all the same"
        )
    return psnr


def psnr_between(
    scene: Gaussians, read: Gaussians, form: Format, backend: str = "auto"
) -> float | None:
    """Decibels between a scene as a format can hold it and what was read, the worst view.

    Returns:
        None when every pixel is equal.
    """
    if len(scene) == 0:
        return None
    held = replace(scene, sh=scene.sh[:, : read.sh.shape[1]], antialiased=read.antialiased)
    if form.name == "splat":
        held = replace(held, sh=sh_from_rgb(rgb_from_sh(held.sh).clamp(0, 1)))
    cameras = circle(scene, CHECK_VIEWS, *CHECK_SIZE).to(torch.float32)
    with torch.no_grad():
        views = [render(each, cameras, backend=backend).rgb for each in (held, read)]
    expected, got = (view.clamp(0, 1) for view in views)
    error = float((expected - got).square().mean((1, 2, 3)).max())
    return -10 * math.log10(error) if error > 0 else None


def _check_options(options: ExportOptions, form: Format) -> None:
    if options.up is not None and options.up not in UP:
        raise UsageError(f"--up: expected one of {', '.join(UP)}; got {options.up!r}")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= MAX_DEGREE:
        raise UsageError(f"--sh-degree: expected 0 to {MAX_DEGREE}, got {options.sh_degree}")
    if not (math.isfinite(options.scale) and options.scale > 0):
        raise UsageError(f"--scale: expected a positive number, got {options.scale}")
    if not all(map(math.isfinite, options.rotate or ())):
        raise UsageError("--rotate: expected three numbers of degrees, got infinity or NaN")
    if options.crop is not None:
        low, high = options.crop[:3], options.crop[3:]
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise UsageError(
                f"--crop: expected low x y z below high x y z, got {list(low)} and {list(high)}"
            )
    if options.spz_version is not None and form.name != "spz":
        raise UsageError(f"--spz-version: expected a target ending in .spz, got {form.suffix}")


def _onto_up(axis: tuple[int, int, int]) -> Tensor:
    """The shortest turn of a unit axis onto the world's up; a half turn is about x."""
    start = torch.tensor(axis, dtype=torch.float64)
    goal = torch.tensor(_WORLD_UP, dtype=torch.float64)
    if torch.equal(start, -goal):
        return torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    x, y, z = torch.linalg.cross(start, goal).tolist()
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + skew + skew @ skew


def _about(axis: int, angle: float) -> Tensor:
    """[3,3] float64 turn about a coordinate axis, radians, right-handed."""
    turn = torch.eye(3, dtype=torch.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[i, i] = turn[j, j] = math.cos(angle)
    turn[j, i] = math.sin(angle)
    turn[i, j] = -turn[j, i]
    return turn
