"""Exposure and white balance of each photo: an affine colour map from the scene to the photo.

Cameras that choose exposure and white balance anew for every photo show the same wall in another
colour each time; a scene trained on that grows haze in front of cameras to explain it. So the
render is taken through a map of the photo's own, c' = A c + b in sRGB, before it is compared,
and the map is learned with the scene. The mean of all maps is kept at identity: the scene itself
has the photos' mean look, and is exported and evaluated without any map. (Compare Kerbl et al.
2024, "A Hierarchical 3D Gaussian Representation", section 4; the fixed mean is ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

_BETAS = (0.9, 0.99)
"""A photo is seen a few hundred times; the usual 0.999 would remember its whole training."""
_EPSILON = 1e-12
_EVERY = 4
"""Rows of pixels from which a map learns: twelve numbers do not need all of them."""


@dataclass(frozen=True)
class PhotoColorRates:
    """How fast the maps are learned."""

    start: float = 4e-3
    """Adam's step at the first step of training; exponential in between."""
    final: float = 4e-4
    """Adam's step at the end."""

    def at(self, progress: float) -> float:
        """Adam's step at a progress 0..1."""
        return self.start * (self.final / self.start) ** min(max(progress, 0.0), 1.0)


@dataclass
class PhotoColors:
    """The colour maps of P photos and their optimiser's state."""

    maps: Tensor
    """[P,3,4] rows (A | b): photo colour = A @ scene colour + b."""
    first: Tensor
    """[P,3,4] running mean of the gradient."""
    second: Tensor
    """[P,3,4] running mean of its square."""
    counts: Tensor
    """[P] int64 updates made."""

    @staticmethod
    def neutral(photos: int) -> PhotoColors:
        """Maps that change nothing."""
        maps = torch.eye(3, 4).repeat(photos, 1, 1)
        zeros = torch.zeros_like(maps)
        return PhotoColors(maps, zeros, zeros.clone(), torch.zeros(photos, dtype=torch.int64))

    def to(self, device: torch.device | str) -> PhotoColors:
        """The same maps for pictures on another device; counts stay on the CPU."""
        return PhotoColors(
            self.maps.to(device), self.first.to(device), self.second.to(device), self.counts
        )

    def applied(self, photo: int, rgb: Tensor) -> Tensor:
        """The render [1,H,W,3] as the photo would show it."""
        return _transformed(rgb, self.maps[photo])

    def learn(self, photo: int, rgb: Tensor, v_shown: Tensor, rate: float) -> Tensor:
        """Improve a photo's map and hand the gradient on.

        Args:
            photo: index of the photo.
            rgb: [1,H,W,3] the render before the map.
            v_shown: [1,H,W,3] gradient of the loss after the map.
            rate: Adam's step.

        Returns:
            [1,H,W,3] gradient of the loss before the map.
        """
        v_rgb = _transformed(v_shown, self.maps[photo, :, :3].mT)
        rows = rgb[:, ::_EVERY].reshape(-1, 3)
        gradients = v_shown[:, ::_EVERY].reshape(-1, 3)
        v_map = torch.cat((gradients.mT @ rows, gradients.sum(0)[:, None]), 1)
        self.counts[photo] += 1
        count = int(self.counts[photo])
        first, second = self.first[photo], self.second[photo]
        first.lerp_(v_map, 1 - _BETAS[0])
        second.lerp_(v_map.square(), 1 - _BETAS[1])
        step = first / (1 - _BETAS[0] ** count)
        size = (second / (1 - _BETAS[1] ** count)).sqrt() + _EPSILON
        self.maps[photo] -= rate * step / size
        self.maps -= self.maps.mean(0) - torch.eye(3, 4, device=self.maps.device)
        return v_rgb


def _transformed(picture: Tensor, matrix: Tensor) -> Tensor:
    """[1,H,W,3] a matrix [3,3] or [3,4] applied to every pixel (OpenCV's is the fast one)."""
    if picture.device.type != "cpu":
        moved = picture @ matrix[:, :3].mT
        return moved + matrix[:, 3] if matrix.shape[1] == 4 else moved
    moved = cv2.transform(picture[0].numpy(), matrix.contiguous().numpy())
    return torch.from_numpy(moved)[None]
