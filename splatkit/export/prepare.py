"""What happens to a scene between reading and writing: cut, turned, laid out for a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, Triangles, UsageError
from splatkit.core.sh import MAX_DEGREE, count_from_degree
from splatkit.core.similarity import transformed
from splatkit.edit.placement import AXES, turn_between
from splatkit.edit.selection import check_crop, in_crop
from splatkit.export.targets import TARGETS, Target
from splatkit.io.axes import world_from_axes
from splatkit.io.registry import Format

PRECISIONS = ("low", "normal", "high")


@dataclass(frozen=True)
class ExportOptions:
    """What happens between reading and writing, in this order."""

    crop: tuple[float, ...] | None = None
    """Keep the Gaussians whose centres are inside: low x y z, high x y z of a box, or x y z and
    radius of a sphere, in the scene's units and axes as they come (x right, y down, z forward)."""
    max_gaussians: int | None = None
    """Keep as many, those that show most from the photos' cameras or from around the scene."""
    up: str | None = None
    """The axis that points up in the input, one of ``AXES``: it becomes -y, splatkit's up."""
    rotate: tuple[float, float, float] | None = None
    """Turn by these degrees about x, then y, then z."""
    scale: float = 1.0
    """Make the scene so many times larger, about its origin."""
    origin: tuple[float, float, float] | None = None
    """The point that becomes the origin, in the scene's axes and units after all that."""
    sh_degree: int | None = None
    """Drop harmonics above this degree, 0 to 4."""
    target: str | None = None
    """Lay the file out for this program, one of ``TARGETS``."""
    precision: str | None = None
    """One of ``PRECISIONS``, where the format has several; normal when None."""
    spz_version: int | None = None
    """SPZ version 3 or 4; 4, or what the target reads, when None."""
    check: bool = True
    """Read the file again, render both and compare."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("--up", self.up, AXES),
            ("--target", self.target, TARGETS),
            ("--precision", self.precision, PRECISIONS),
        ):
            if value is not None and value not in allowed:
                raise UsageError(f"{name}: expected one of {', '.join(allowed)}; got {value!r}")
        if self.sh_degree is not None and not 0 <= self.sh_degree <= MAX_DEGREE:
            raise UsageError(f"--sh-degree: expected 0 to {MAX_DEGREE}, got {self.sh_degree}")
        if self.max_gaussians is not None and self.max_gaussians < 1:
            raise UsageError(f"--max-gaussians: expected 1 or more, got {self.max_gaussians}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"--scale: expected a positive number, got {self.scale}")
        if not all(map(math.isfinite, self.rotate or ())):
            raise UsageError("--rotate: expected three numbers of degrees, got infinity or NaN")
        if self.crop is not None:
            check_crop("--crop", self.crop)


def cropped(gaussians: Gaussians, crop: tuple[float, ...]) -> Gaussians:
    """What is inside a box (6 numbers) or a sphere (4 numbers), see ``ExportOptions.crop``.

    Raises:
        UsageError: nothing is.
    """
    inside = in_crop(gaussians, crop)
    if len(gaussians) and not bool(inside.any()):
        raise UsageError(
            f"--crop: none of the {len(gaussians)} Gaussians is inside; see the bounds with: "
            "splatkit info"
        )
    return gaussians[inside]


def turned(gaussians: Gaussians, options: ExportOptions) -> Gaussians:
    """The scene turned, scaled and with fewer harmonics, as the options say."""
    turn, shift = rotation_of(options), shift_of(options)
    if turn is not None or shift is not None or options.scale != 1:
        gaussians = transformed(gaussians, turn, options.scale, shift)
    if options.sh_degree is not None:
        gaussians = replace(gaussians, sh=gaussians.sh[:, : count_from_degree(options.sh_degree)])
    return gaussians


def mesh_turned(triangles: Triangles, options: ExportOptions) -> Triangles:
    """A mesh of the scene, where the ``turned`` scene is."""
    turn, shift = rotation_of(options), shift_of(options)
    places = triangles.vertices.double()
    if turn is not None:
        places = places @ turn.mT
    places = places * options.scale
    if shift is not None:
        places = places + shift
    return replace(triangles, vertices=places.to(triangles.vertices.dtype))


def cameras_turned(cameras: Cameras, options: ExportOptions) -> Cameras:
    """Cameras that see of the ``turned`` scene what they saw before."""
    turn, shift = rotation_of(options), shift_of(options)
    moved = cameras.viewmats.double().clone()
    moved[:, :3, 3] *= options.scale
    seen = seen_in(replace(cameras, viewmats=moved), torch.eye(3) if turn is None else turn)
    if shift is not None:
        seen.viewmats[:, :3, 3] -= seen.viewmats[:, :3, :3] @ shift
    return seen


def seen_in(cameras: Cameras, turn: Tensor) -> Cameras:
    """The same views of a world that is turned (or mirrored) by an orthogonal matrix [3,3]."""
    moved = cameras.viewmats.double().clone()
    moved[:, :3, :3] = moved[:, :3, :3] @ turn.to(moved).mT
    return replace(cameras, viewmats=moved)


def laid_out(gaussians: Gaussians, form: Format, target: Target | None) -> Gaussians:
    """The scene such that the format's writer puts the numbers into the file that a program wants.

    The writer turns the world into the format's axes; where the program takes the numbers in
    others, the difference is taken out beforehand. Programs that read columns by their place get
    no further ones.
    """
    if target is None:
        return gaussians
    number = count_from_degree(target.max_degree)
    sh = gaussians.sh[:, :number]
    if target.exact_degree and form.max_degree >= target.max_degree:
        sh = torch.nn.functional.pad(sh, (0, 0, 0, number - sh.shape[1]))
    gaussians = replace(gaussians, sh=sh, extra={})
    if target.axes in (None, form.axes):
        return gaussians
    return transformed(gaussians, world_from_axes(form.axes) @ world_from_axes(target.axes).mT)


def writer_options(form: Format, options: ExportOptions) -> Mapping[str, Any]:
    """Keywords for the format's writer.

    Raises:
        UsageError: the format has no such option.
    """
    wanted = dict(TARGETS[options.target].options) if options.target is not None else {}
    wanted = {name: value for name, value in wanted.items() if name in form.options}
    for flag, name, value in (
        ("--precision", "precision", options.precision),
        ("--spz-version", "version", options.spz_version),
    ):
        if value is None:
            continue
        if name not in form.options:
            raise UsageError(f"{flag}: {form.suffix} files have no such choice; leave it out")
        wanted[name] = value
    return wanted


def writer_attempts(form: Format, options: ExportOptions) -> list[Mapping[str, Any]]:
    """Keywords for the format's writer, and then those to write the file again with.

    Formats that can be more precise are so where their usual precision shows too little, unless
    the precision was chosen.

    Raises:
        UsageError: the format has no such option.
    """
    first = writer_options(form, options)
    if "precision" not in form.options or "precision" in first:
        return [first]
    return [first, {**first, "precision": "high"}]


def rotation_of(options: ExportOptions) -> Tensor | None:
    """[3,3] float64 of ``--up`` and then ``--rotate``; None where neither turns anything."""
    if options.up is None and options.rotate is None:
        return None
    turn = torch.eye(3, dtype=torch.float64)
    if options.up is not None:
        turn = turn_between(AXES[options.up])
    for axis, degrees in enumerate(options.rotate or ()):
        turn = _about(axis, math.radians(degrees)) @ turn
    return turn


def shift_of(options: ExportOptions) -> Tensor | None:
    """[3] float64 what is added to every place last; None where nothing moves."""
    return None if options.origin is None else -torch.tensor(options.origin, dtype=torch.float64)


def _about(axis: int, angle: float) -> Tensor:
    """[3,3] float64 turn about a coordinate axis, radians, right-handed."""
    turn = torch.eye(3, dtype=torch.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[i, i] = turn[j, j] = math.cos(angle)
    turn[j, i] = math.sin(angle)
    turn[i, j] = -turn[j, i]
    return turn
