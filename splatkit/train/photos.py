"""Photos as training and evaluation see them: small 8-bit pictures in memory, with cameras."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Photo, Progress, SplatkitError, camera_of
from splatkit.io.images import read_image, resize_area
from splatkit.render.rows import row_kernels

MaskMode = Literal["ignore", "transparent"]


@dataclass
class View:
    """One photo at one size."""

    name: str
    camera: Cameras
    """Float32 batch of one, of the picture's size."""
    image: Tensor
    """[1,H,W,3] uint8 sRGB; photos with alpha stand before the scene's background."""
    mask: Tensor | None = None
    """[1,H,W] uint8, 0 where a pixel does not count; None when all count."""
    alpha: Tensor | None = None
    """[1,H,W] uint8 coverage of photos with alpha, or with a mask that means as much."""

    def truth(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """[H,W,3] the picture as numbers 0..1 and [H,W] bool where it counts, on a device."""
        mask = None if self.mask is None else self.mask[0].to(device) > 0
        return self.image[0].to(device).float() / 255, mask

    def reduced(self, factor: int) -> View:
        """The same view, divided in size and averaged."""
        if factor == 1:
            return self
        width = max(1, self.camera.width // factor)
        height = max(1, self.camera.height // factor)
        return View(
            self.name,
            self.camera.resized(width, height),
            shrink(self.image[0], width, height)[None],
            None if self.mask is None else _strict(shrink(self.mask[0], width, height))[None],
            None if self.alpha is None else shrink(self.alpha[0], width, height)[None],
        )

    def before(
        self, background: tuple[float, float, float], other: tuple[float, float, float]
    ) -> Tensor:
        """[1,H,W,3] uint8 picture before another sRGB background than the one it stands before."""
        if self.alpha is None:
            return self.image
        device = self.image.device
        change = color_on(other, device) - color_on(background, device)
        moved = self.image + (255 - self.alpha[..., None].float()) * change
        return moved.round().clamp(0, 255).to(torch.uint8)


def color_on(color: tuple[float, float, float], device: torch.device) -> Tensor:
    """[1,3] a colour on a device, which is not waited for."""
    return torch.stack([torch.full((1,), value, device=device) for value in color], 1)


def shrink(picture: Tensor, width: int, height: int) -> Tensor:
    """[height,width,...] uint8 area average of a uint8 picture [H,W,...], on its device."""
    kernels = row_kernels(picture.device)
    if kernels is not None:
        return kernels.shrink(picture, width, height)
    small = resize_area(picture.cpu().numpy(), width, height)
    return torch.from_numpy(small).to(picture.device)


def load_views(
    photos: list[Photo],
    picture_size: Callable[[int, int], tuple[int, int]],
    background: tuple[float, float, float] | None,
    threads: int = 0,
    masks: MaskMode = "ignore",
) -> Generator[Event, None, list[View]]:
    """Read photos at training size.

    Args:
        photos: what to read.
        picture_size: training size of a photo of a given width and height, pixels.
        background: sRGB colour behind photos with alpha; black when None.
        threads: readers at the same time; 0 lets Python choose.
        masks: whether pixels outside a mask do not count (``ignore``) or show the background
            (``transparent``).

    Raises:
        SplatkitError: a photo or mask cannot be read, or has not the size the scene states.
    """
    views: list[View] = []
    with ThreadPoolExecutor(threads or None) as pool:
        for view in pool.map(lambda photo: _load(photo, picture_size, background, masks), photos):
            views.append(view)
            yield Progress("Loading photos", len(views), len(photos), view.name)
    return views


def _load(
    photo: Photo,
    picture_size: Callable[[int, int], tuple[int, int]],
    background: tuple[float, float, float] | None,
    masks: MaskMode,
) -> View:
    pixels = torch.tensor(read_image(photo.path))
    if pixels.shape[:2] != (photo.height, photo.width):
        raise SplatkitError(
            f"{photo.path}: expected {photo.width}x{photo.height} pixels, got "
            f"{pixels.shape[1]}x{pixels.shape[0]}; run ingest again"
        )
    width, height = picture_size(photo.width, photo.height)
    mask = _read_mask(photo)
    if mask is not None and masks == "transparent":
        cover = pixels[..., 3] if pixels.shape[2] == 4 else torch.full_like(mask, 255)
        pixels = torch.cat((pixels[..., :3], torch.minimum(cover, mask)[..., None]), -1)
        mask = None
    alpha = None
    if pixels.shape[2] == 4:
        pixels, alpha = _composite(pixels, background or (0.0, 0.0, 0.0))
        alpha = shrink(alpha, width, height)[None]
    if mask is not None:
        mask = _strict(shrink(mask, width, height))[None]
        if bool((mask > 0).all()):
            mask = None
    return View(
        photo.name,
        camera_of(photo, width, height).to(torch.float32),
        shrink(pixels, width, height)[None],
        mask,
        alpha,
    )


def _read_mask(photo: Photo) -> Tensor | None:
    """[H,W] uint8 of the photo's size."""
    if photo.mask_path is None:
        return None
    mask = torch.tensor(read_image(photo.mask_path)[..., 0])
    if mask.shape != (photo.height, photo.width):
        raise SplatkitError(
            f"{photo.mask_path}: expected {photo.width}x{photo.height} pixels like its "
            f"photo, got {mask.shape[1]}x{mask.shape[0]}"
        )
    return mask


def _composite(pixels: Tensor, background: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Colours before the background, and coverage, both uint8."""
    alpha = pixels[..., 3:].float() / 255
    behind = torch.tensor(background) * 255
    mixed = pixels[..., :3].float() * alpha + behind * (1 - alpha)
    return mixed.round().to(torch.uint8), pixels[..., 3].contiguous()


def _strict(mask: Tensor) -> Tensor:
    """255 where every averaged pixel counts, else 0."""
    return torch.where(mask == 255, mask, torch.zeros_like(mask))
