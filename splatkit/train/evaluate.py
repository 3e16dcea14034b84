"""Held-out photos: rendered, compared, kept as pictures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Progress
from splatkit.io.images import write_image
from splatkit.render import get_backend, render
from splatkit.render.backends import Backend
from splatkit.train.lpips import Lpips, find_lpips
from splatkit.train.metrics import color_corrected, psnr, ssim, to_8bit
from splatkit.train.photos import View


@dataclass(frozen=True)
class Comparison:
    """How near one render comes to its photo."""

    name: str
    psnr: float
    """dB, no colour correction."""
    ssim: float
    psnr_cc: float
    """dB after the affine colour map that fits best."""
    ssim_cc: float
    """SSIM after the same map."""
    lpips: float | None = None
    """Perceptual distance; None where its weights are not at hand."""


def evaluate(
    gaussians: Gaussians,
    views: list[View],
    background: tuple[float, float, float] | None = None,
    *,
    backend: str | Backend = "auto",
    pictures: Path | None = None,
) -> Generator[Event, None, list[Comparison]]:
    """Compare 8-bit renders with photos, pixels outside the masks left out.

    Args:
        gaussians: the scene.
        views: photos at the size to compare at.
        background: sRGB behind everything; black when None.
        backend: see ``render``.
        pictures: folder for ``NAME.png``, the photo on the left and the render on the right.
    """
    results: list[Comparison] = []
    distance = find_lpips() if views else None
    gaussians = at_backend(gaussians, backend)
    for view in views:
        image = render_view(gaussians, view, background, backend)
        truth, mask = view.truth(image.device)
        results.append(compare(view.name, image, truth, mask, distance))
        if pictures is not None:
            pair = torch.cat((truth, image), 1)
            pixels = (pair * 255).round().byte().cpu().numpy()
            write_image(pictures / picture_name(view.name), pixels)
        yield Progress("Comparing", len(results), len(views), f"{results[-1].psnr:.2f} dB")
    return results


def compare(
    name: str,
    image: Tensor,
    truth: Tensor,
    mask: Tensor | None = None,
    distance: Lpips | None = None,
) -> Comparison:
    """All figures of one picture [H,W,3] beside its photo, pixels outside the mask left out."""
    corrected = to_8bit(color_corrected(image, truth, mask))
    return Comparison(
        name,
        psnr(image, truth, mask),
        ssim(image, truth, mask),
        psnr(corrected, truth, mask),
        ssim(corrected, truth, mask),
        None if distance is None else distance(image, truth, mask),
    )


def render_view(
    gaussians: Gaussians,
    view: View,
    background: tuple[float, float, float] | None = None,
    backend: str | Backend = "auto",
) -> Tensor:
    """[H,W,3] the scene as the photo's camera sees it, in 255 steps of 0..1, on its device."""
    with torch.no_grad():
        rendered = render(
            gaussians,
            view.camera,
            background=torch.tensor(background or (0.0, 0.0, 0.0)),
            backend=backend,
        )
    return to_8bit(rendered.rgb[0])


def agreement(
    first: Gaussians,
    second: Gaussians,
    views: list[View],
    background: tuple[float, float, float] | None = None,
    backend: str | Backend = "auto",
) -> float:
    """PSNR in dB between renders of two scenes from the same cameras, worst camera."""
    values = []
    first, second = at_backend(first, backend), at_backend(second, backend)
    for view in views:
        with torch.no_grad():
            pair = [
                render(
                    scene,
                    view.camera,
                    background=torch.tensor(background or (0.0, 0.0, 0.0)),
                    backend=backend,
                ).rgb[0]
                for scene in (first, second)
            ]
        values.append(psnr(*pair))
    return min(values)


def at_backend(gaussians: Gaussians, backend: str | Backend) -> Gaussians:
    """The Gaussians on the device where they are rendered, so that they are taken there once."""
    if isinstance(backend, str):
        backend = get_backend(backend)
    return gaussians if gaussians.device == backend.device else gaussians.to(backend.device)


def picture_name(photo_name: str) -> str:
    """File name of the picture of a photo, folders flattened."""
    return str(Path(photo_name).with_suffix("")).replace("/", "_").replace("\\", "_") + ".png"
