"""The photos of a scene, for views that are compared with them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, Photo, SplatkitError, camera_of
from splatkit.edit.decimate import views_and_contribution
from splatkit.edit.recipe import cameras_of
from splatkit.io.images import fit_within, read_image, resize_area
from splatkit.render import render

SIDE = 960
"""Long side at which photos are compared, pixels."""
MOST_KEPT = 6
"""Photos in memory."""
TURN_COUNTS = 2.0
"""A radian of turn is as far as so many typical distances between views."""
HIDDEN_SHARE = 0.03
"""A point that is so much deeper than what the photo shows there is hidden from it."""


class Photographs:
    """Gives the photo nearest to a view, its pixels seen from there, and what photos see.

    Args:
        photos: of the scene; may be empty.
        background: sRGB behind photos with alpha.
        backend: see ``render``.
    """

    def __init__(
        self, photos: list[Photo], background: tuple[float, float, float], backend: str
    ) -> None:
        self._background = background
        self._photos, self._backend = photos, backend
        self._kept: OrderedDict[tuple[str, Hashable], tuple[Tensor, Cameras, Tensor]]
        self._kept = OrderedDict()
        self._seen: tuple[Hashable, Tensor] | None = None
        self._lock = threading.Lock()
        if photos:
            viewmats = torch.stack([photo.viewmat for photo in photos])
            self._centers = -(viewmats[:, :3, :3].mT @ viewmats[:, :3, 3:]).squeeze(-1)
            self._forward = viewmats[:, 2, :3]
            spread = (self._centers - self._centers.mean(0)).norm(dim=1).mean()
            self._spread = max(float(spread), 1e-9)

    def nearest(self, camera: Cameras) -> Photo:
        """The photo that looks most as the first of these cameras does.

        Raises:
            SplatkitError: the scene has no photos.
        """
        if not self._photos:
            raise SplatkitError("photo: expected a scene with photos; this one has none")
        away = (self._centers - camera.positions[0].double()).norm(dim=1) / self._spread
        cosine = (self._forward @ camera.viewmats[0, 2, :3].double()).clamp(-1, 1)
        return self._photos[int((away + TURN_COUNTS * cosine.acos()).argmin())]

    def projected(
        self, camera: Cameras, depth: Tensor, gaussians: Gaussians, version: Hashable
    ) -> tuple[Tensor, Tensor]:
        """The nearest photo on the surfaces that a view shows.

        Args:
            camera: the view.
            depth: [H,W] its camera z, 0 where nothing is.
            gaussians: the scene, to know what is hidden from the photo.
            version: differs when the scene does.

        Returns:
            sRGB [H,W,3] and a mask [H,W] of the pixels that the photo shows.
        """
        pixels, other, its_depth = self._photo(self.nearest(camera), gaussians, version)
        rows, columns = torch.meshgrid(
            torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
        )
        rays = torch.stack((columns, rows, torch.ones_like(rows)), -1).double()
        own = (rays @ torch.linalg.inv(camera.Ks[0].double()).mT) * depth.double()[..., None]
        to_other = other.viewmats[0] @ torch.linalg.inv(camera.viewmats[0].double())
        there = own @ to_other[:3, :3].mT + to_other[:3, 3]
        z = there[..., 2]
        place = (there @ other.Ks[0].mT)[..., :2] / z.clamp_min(1e-9)[..., None]
        size = place.new_tensor([other.width, other.height])
        grid = (2 * place / size - 1).float()[None]
        sample = lambda image: torch.nn.functional.grid_sample(  # noqa: E731
            image[None], grid, align_corners=False, padding_mode="border"
        )[0]
        colors = sample(pixels.permute(2, 0, 1)).permute(1, 2, 0)
        front = sample(its_depth[None])[0]
        inside = (depth > 0) & (z > 0) & (grid[0].abs() <= 1).all(-1)
        return colors, inside & (z <= front * (1 + HIDDEN_SHARE))

    def seen(self, gaussians: Gaussians, version: Hashable) -> Tensor:
        """[N] float32: how many photos see each Gaussian.

        Raises:
            SplatkitError: the scene has no photos.
        """
        cameras = cameras_of(self._photos)
        if cameras is None:
            raise SplatkitError("photos: expected a scene with photos; this one has none")
        with self._lock:
            if self._seen is None or self._seen[0] != version:
                self._seen = version, views_and_contribution(gaussians, cameras, self._backend)[0]
            return self._seen[1].float()

    def _pixels(self, photo: Photo, width: int, height: int) -> Tensor:
        image = torch.tensor(resize_area(read_image(photo.path), width, height)).float() / 255
        if image.shape[2] == 3:
            return image
        alpha = image[..., 3:]
        return alpha * image[..., :3] + (1 - alpha) * image.new_tensor(self._background)

    @property
    def count(self) -> int:
        """How many photos there are."""
        return len(self._photos)

    def _photo(
        self, photo: Photo, gaussians: Gaussians, version: Hashable
    ) -> tuple[Tensor, Cameras, Tensor]:
        """Pixels [h,w,3], camera, and the scene's depth [h,w] there."""
        key = (photo.name, version)
        with self._lock:
            if key not in self._kept:
                width, height = fit_within(photo.width, photo.height, SIDE)
                camera = camera_of(photo, width, height)
                image = self._pixels(photo, width, height)
                with torch.no_grad():
                    rendered = render(
                        gaussians,
                        camera.to(gaussians.means.dtype),
                        outputs=("depth",),
                        backend=self._backend,
                    )
                assert rendered.depth is not None
                depth = torch.where(rendered.depth[0] > 0, rendered.depth[0], torch.inf).cpu()
                self._kept[key] = image, camera, depth.nan_to_num(posinf=1e9)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
