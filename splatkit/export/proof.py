"""The self-check of an export: the file, read again as its program reads it, beside the scene.

*Shown* means rendered by us. The scene is shown in the world; the file's numbers are shown as they
stand in the file, by the same cameras expressed in the axes that the program takes them in. A
mistake in turning (places, rotations or colours), a mirror or a lost Gaussian shows.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, SplatkitError
from splatkit.core.sh import rgb_from_sh, sh_from_rgb
from splatkit.core.similarity import transformed
from splatkit.export.prepare import seen_in
from splatkit.io.axes import world_from_axes
from splatkit.io.registry import Format
from splatkit.render import render

BOUNDS_TOLERANCE = 0.01
"""Share of the scene's diagonal that a corner of its bounds may move."""
MIRROR_RATIO = 2.0
"""How many times smaller one squared error must be to tell left from right."""


@dataclass(frozen=True)
class Proof:
    """What the check of one file found."""

    psnr: float | None
    """Decibels between the scene and the file in the worst view; None when every pixel is equal."""
    least_psnr: float
    """What the format promises."""
    views: list[float | None]
    """Decibels of each view."""
    mirrored_psnr: float | None
    """Decibels between the file and the scene seen in a mirror, over all views."""
    handedness: str
    """``kept``, ``mirrored``, or ``undecided`` for a scene that looks like its mirror image."""
    num_gaussians: int
    """Read back."""
    expected_gaussians: int
    bounds: list[list[float]] | None
    """Low and high x y z that were read back, in the world frame; None for an empty scene."""
    bounds_moved: float
    """Largest move of a corner, as a share of the scene's diagonal."""
    axes: str
    """The axes that the file's numbers were taken in."""

    @property
    def rough(self) -> bool:
        """Whether it shows less than its format promises."""
        return self.psnr is not None and self.psnr < self.least_psnr

    @property
    def faults(self) -> list[str]:
        """What is wrong with the file; empty when nothing is."""
        found = []
        if self.num_gaussians != self.expected_gaussians:
            found.append(
                f"expected {self.expected_gaussians} Gaussians, got {self.num_gaussians} (the "
                "others hold NaN, infinity or absurd scales: clean the scene first)"
            )
        if self.handedness == "mirrored":
            found.append("it shows the scene mirrored")
        if self.rough:
            found.append(
                f"it shows the scene with {self.psnr:.1f} dB (expected {self.least_psnr:.0f})"
            )
        if self.bounds_moved > BOUNDS_TOLERANCE:
            found.append(f"its bounds moved by {self.bounds_moved:.1%} of the scene")
        return found

    def as_json(self) -> dict[str, Any]:
        """The findings in values that JSON holds."""
        return asdict(self) | {"faults": self.faults}


def prove(
    scene: Gaussians,
    path: Path,
    form: Format,
    cameras: Cameras,
    *,
    axes: str | None = None,
    backend: str = "auto",
) -> Proof:
    """Read a file again and compare it with the scene that it should hold.

    Args:
        scene: in the world frame, before it was laid out for a program.
        path: the file.
        form: its format.
        cameras: C views, world frame.
        axes: in which a program takes the file's numbers; the format's own when None.
        backend: see ``render``.
    """
    axes = axes or form.axes
    read = form.read(path)
    # As the numbers stand in the file: the reader has turned them into the world.
    raw = transformed(read, world_from_axes(form.axes).mT)
    world_from_program = world_from_axes(axes)
    held = held_by(form, scene, read)
    errors = torch.zeros(len(cameras), dtype=torch.float64)
    mirrored = errors.clone()
    seen = seen_in(cameras, world_from_program.mT)
    if len(scene) and len(read):
        for index in range(len(cameras)):
            expected = _shown(held, cameras[index : index + 1], backend)
            got = _shown(raw, seen[index : index + 1], backend)
            errors[index] = (expected - got).double().square().mean()
            mirrored[index] = (expected.flip(2) - got).double().square().mean()
    bounds, moved = _bounds(scene, transformed(raw, world_from_program))
    return Proof(
        psnr=_decibels(float(errors.max())) if len(cameras) else None,
        least_psnr=form.least_psnr,
        views=[_decibels(float(error)) for error in errors],
        mirrored_psnr=_decibels(float(mirrored.mean())) if len(cameras) else None,
        handedness=_handedness(float(errors.mean()), float(mirrored.mean())),
        num_gaussians=len(read),
        expected_gaussians=len(scene),
        bounds=bounds,
        bounds_moved=moved,
        axes=axes,
    )


def check_proof(proof: Proof, path: Path, advice: str = "") -> None:
    """Refuse a file that shows something else than its scene.

    Args:
        proof: of the file.
        path: where it was meant to be.
        advice: what else may help, a clause.

    Raises:
        SplatkitError: it names what is wrong and what to do.
    """
    if proof.faults:
        raise SplatkitError(
            f"{path}: not kept, for {' and '.join(proof.faults)}; {advice}choose .ply for all "
            "that there is, or --no-check to keep the file all the same"
        )


def held_by(form: Format, scene: Gaussians, read: Gaussians) -> Gaussians:
    """The scene with what the format cannot hold taken out: harmonics, glaring base colours."""
    degree = min(scene.sh.shape[1], read.sh.shape[1])
    held = replace(scene, sh=scene.sh[:, :degree], antialiased=read.antialiased)
    if form.max_degree == 0:
        held = replace(held, sh=sh_from_rgb(rgb_from_sh(held.sh).clamp(0, 1)))
    return held


def _shown(gaussians: Gaussians, camera: Cameras, backend: str) -> Tensor:
    with torch.no_grad():
        view = render(gaussians, camera.to(gaussians.means.dtype), backend=backend)
    return view.rgb.clamp(0, 1)


def _decibels(error: float) -> float | None:
    return -10 * math.log10(error) if error > 0 else None


def _handedness(own: float, mirrored: float) -> str:
    if own * MIRROR_RATIO < mirrored:
        return "kept"
    return "mirrored" if mirrored * MIRROR_RATIO < own else "undecided"


def _bounds(scene: Gaussians, read: Gaussians) -> tuple[list[list[float]] | None, float]:
    if len(scene) == 0 or len(read) == 0:
        return None, 0.0
    expected, got = (torch.stack((g.means.amin(0), g.means.amax(0))) for g in (scene, read))
    # A scene of one Gaussian is as large as that one.
    size = scene.scales.amax(1).median()
    diagonal = ((expected[1] - expected[0]).norm() + size).clamp_min(1e-12)
    moved = (expected - got).abs().amax() / diagonal
    return got.double().tolist(), float(moved)
