"""What a browser wants to see of a scene, and the picture of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.edit.selection import on_screen
from splatkit.render import render
from splatkit.render.display import Display
from splatkit.render.pictures import EMPTY, MODES, depth_range_of, outputs_of, picture, to_bytes
from splatkit.viewer.enhancing import Enhancing
from splatkit.viewer.photographs import Photographs
from splatkit.viewer.source import SceneSource

Paint = Callable[[Gaussians, Cameras], Tensor]
"""Makes a picture [H,W,3] in colour."""
COLORMAPS = ("turbo", "viridis", "inferno", "gray")
DEPTHS = ("depth", "depth_median")
VALUES = {"opacity": (0.0, 1.0), "count": (0.0, 32.0), "seen": None, "error": (0.0, 0.3)}
"""Modes that show one value a pixel in colours, and the range at first; None: from the photos."""
OF_PHOTOS = ("seen", "error", "photo")
"""Modes that need photos."""
ALL_MODES = (*MODES, *VALUES, "photo")
COUNTED = 32
"""Gaussians of a pixel that are counted at most."""
SEAM = 255
"""Grey level of the line between two scenes that are compared."""


@dataclass(frozen=True)
class Look:
    """What a browser wants to see of the scene."""

    mode: str = "rgb"
    """One of ``ALL_MODES``."""
    sh_degree: int = 4
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    resolution: float = 1.0
    """Share of the page's own pixels for sharp pictures, per side."""
    colormap: str = "turbo"
    """Colours of depths and values: one of ``COLORMAPS``."""
    value_range: tuple[float, float] | None = None
    """Depth or value of the first and the last colour; the usual one when None."""
    size: float = 1.0
    """Factor for the size of the Gaussians."""
    near: float = 0.01
    """Camera z before which nothing is drawn, scene units."""
    far: float | None = None
    """Camera z behind which no Gaussian's centre is drawn."""
    other: SceneSource | None = None
    """The scene that this one is compared with."""
    photo: bool = False
    """Compare with the nearest photo instead."""
    plain: bool = False
    """Compare with the plain render instead."""
    enhancing: Enhancing = field(default_factory=Enhancing)
    """Upscaling and grading of colours."""
    wipe: float = 0.5
    """Share of the width that shows this scene; the rest shows the other one."""


@dataclass(frozen=True)
class Subject:
    """A scene to draw, with what some modes need beside its Gaussians."""

    gaussians: Gaussians
    photographs: Photographs | None = None
    version: Hashable = 0
    """Differs when the Gaussians do."""


def draw(
    subject: Subject,
    camera: Cameras,
    look: Look,
    backend: str = "auto",
    other: Gaussians | None = None,
    paint: Paint | None = None,
) -> np.ndarray:
    """[H,W,3] uint8 picture of a scene, or of two with a line between them.

    Args:
        subject: the scene.
        camera: one camera.
        look: what to show.
        backend: see ``render``.
        other: fills the picture from ``look.wipe`` to the right where it is given.
        paint: makes the colours of this scene where ``render`` shall not.

    Raises:
        SplatkitError: a mode needs photos, and there are none.
    """
    pixels = _draw(subject, camera, look, backend, paint)
    if other is not None:
        right = _draw(Subject(other), camera, look, backend)
    elif look.photo:
        right = _draw(subject, camera, replace(look, mode="photo"), backend)
    elif look.plain:
        right = _draw(subject, camera, look, backend)
    else:
        return pixels
    seam = round(look.wipe * camera.width)
    pixels = pixels.copy()
    pixels[:, seam:] = right[:, seam:]
    pixels[:, max(0, seam - 1) : seam + 1] = SEAM
    return pixels


def cut_and_sized(gaussians: Gaussians, camera: Cameras, look: Look) -> Gaussians:
    """Those that one camera has before ``look.far``, in the size that is wanted."""
    if look.far is not None:
        gaussians = gaussians[on_screen(gaussians, camera)[1] < look.far]
    if look.size != 1:
        log_size = float(np.log(look.size))
        gaussians = replace(gaussians, log_scales=gaussians.log_scales + log_size)
    return gaussians


@cache
def _display(backend: str) -> Display:
    return Display(backend)


def _draw(
    subject: Subject, camera: Cameras, look: Look, backend: str, paint: Paint | None = None
) -> np.ndarray:
    # What photos are compared with is worked out on the CPU.
    usual = look.mode in MODES
    gaussians = subject.gaussians
    gaussians = _display(backend).scene(gaussians) if usual else gaussians.to("cpu")
    subject, camera = replace(subject, gaussians=gaussians), camera.to(gaussians.device)
    gaussians = cut_and_sized(gaussians, camera, look)
    drawn = replace(subject, gaussians=gaussians)
    with torch.no_grad():
        if look.mode == "rgb" and paint is not None:
            shown = to_bytes(paint(gaussians, camera))
        elif usual:
            shown = _usual(drawn, camera, look, backend)
        elif look.mode in VALUES:
            shown = _value(subject, drawn, camera, look, backend)
        else:
            shown = _photo(drawn, camera, look, backend)
    return shown.cpu().numpy()


def _rendered(gaussians: Gaussians, camera: Cameras, look: Look, backend: str, **options: object):
    return render(
        gaussians,
        camera.to(gaussians.means.dtype),
        background=gaussians.means.new_tensor(look.background),
        sh_degree=min(look.sh_degree, gaussians.sh_degree),
        near=look.near,
        backend=backend,
        **options,  # type: ignore[arg-type]
    )


def _usual(subject: Subject, camera: Cameras, look: Look, backend: str) -> Tensor:
    outputs = outputs_of(look.mode)
    rendered = _rendered(subject.gaussians, camera, look, backend, outputs=outputs, display=True)
    if look.mode in DEPTHS and look.colormap != "turbo":
        depth = rendered.depth if look.mode == "depth" else rendered.depth_median
        assert depth is not None
        near, far = look.value_range or depth_range_of(depth)
        disparity = 1 / torch.where(depth > 0, depth, 1.0)
        level = (disparity - 1 / far) / (1 / near - 1 / far)
        return colored(level[0], depth[0] > 0, look.colormap)
    return picture(rendered, look.mode, look.value_range)[0]


def _value(whole: Subject, drawn: Subject, camera: Cameras, look: Look, backend: str) -> Tensor:
    usual = VALUES[look.mode]
    gaussians, photographs = drawn.gaussians, drawn.photographs
    if look.mode == "count":
        rendered = _rendered(gaussians, camera, look, backend, outputs=("top_k",), top_k=COUNTED)
        assert rendered.top_ids is not None
        values = (rendered.top_ids[0] >= 0).sum(-1).float()
        there = values > 0
    elif look.mode == "error":
        rendered = _rendered(gaussians, camera, look, backend, outputs=("depth",))
        assert rendered.depth is not None
        photo, there = _photographs(photographs).projected(
            camera, rendered.depth[0].cpu(), gaussians, drawn.version
        )
        values = (rendered.rgb[0].cpu().clamp(0, 1) - photo).abs().mean(-1)
    else:
        if look.mode == "seen":
            every = _photographs(photographs).seen(whole.gaussians, whole.version)
            usual = (0.0, float(max(_photographs(photographs).count // 4, 1)))
            kept = every.to(gaussians.device)
            if look.far is not None:
                kept = kept[on_screen(whole.gaussians, camera)[1] < look.far]
            feature = kept
        else:
            feature = gaussians.opacities.detach()
        rendered = _rendered(gaussians, camera, look, backend, features=feature[:, None])
        assert rendered.features is not None
        there = rendered.alpha[0] > 1 / 255
        values = rendered.features[0, ..., 0] / rendered.alpha[0].clamp_min(1e-6)
    low, high = look.value_range or usual or (0.0, 1.0)
    return colored((values - low) / max(high - low, 1e-9), there, look.colormap)


def _photo(drawn: Subject, camera: Cameras, look: Look, backend: str) -> Tensor:
    rendered = _rendered(drawn.gaussians, camera, look, backend, outputs=("depth",))
    assert rendered.depth is not None
    photo, there = _photographs(drawn.photographs).projected(
        camera, rendered.depth[0].cpu(), drawn.gaussians, drawn.version
    )
    values = torch.where(there[..., None], photo, EMPTY)
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def _photographs(photographs: Photographs | None) -> Photographs:
    return photographs or Photographs([], (0.0, 0.0, 0.0), "auto")


def colored(level: Tensor, there: Tensor, colormap: str) -> Tensor:
    """[H,W,3] uint8 of levels 0..1 [H,W]; grey where nothing is (a mask [H,W])."""
    index = (level.clamp(0, 1) * 255).long()
    colors = torch.where(there[..., None], _colors(colormap).to(level.device)[index], EMPTY)
    return (colors * 255 + 0.5).to(torch.uint8)


@cache
def _colors(colormap: str) -> Tensor:
    """[256,3] of one of matplotlib's colour maps."""
    return torch.tensor([colormaps[colormap](level)[:3] for level in range(256)])
