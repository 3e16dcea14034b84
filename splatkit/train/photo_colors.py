"""Exposure and white balance of each photo: an affine colour map from the scene to the photo.

Cameras that choose exposure and white balance anew for every photo show the same wall in another
colour each time; a scene trained on that grows haze in front of cameras to explain it. So the
render is taken through a map of the photo's own, c' = A c + b in sRGB, before it is compared.

A map begins with the gains that the sparse points tell (``first_colors``). It has twelve numbers
and its photo hundreds of thousands: nothing has to be learned step by step. Each time a photo is
seen, the map that takes the render nearest to it is solved for (least squares about the first map,
large residuals weighing less, joined with what earlier looks found). What all maps have in
common belongs to the scene: their mean is kept at identity, so that the scene has the photos' mean
look and is exported and evaluated without any map. (Compare Kerbl et al. 2024, "A Hierarchical 3D
Gaussian Representation", section 4, where maps are learned by gradients and evaluation fits them to
the test photos; the solving and the fixed mean are ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

_EVERY = 4
"""Rows of pixels that a map is solved from: twelve numbers do not need all of them."""
_COVERED = 0.9
"""Alpha from which a pixel shows the scene."""
_WHITE, _BLACK = 254, 1
"""A photo's values from here on are cut off, and say nothing of the map."""


@dataclass(frozen=True)
class PhotoColorFit:
    """How the maps are solved for."""

    share: float = 0.1
    """Weight of one look at a photo beside all earlier ones."""
    prior: float = 0.02
    """Weight of the photo's first map beside that of its pixels' colours. Without it, maps explain
    what the scene's view-dependent colours should, also where exposures are equal."""
    doubt: float = 0.05
    """Residuals above this weigh less, in inverse proportion (sRGB 0..1): what the scene does not
    show yet, or never will, is no matter of exposure."""


@dataclass
class PhotoColors:
    """The colour maps of P photos and what they are solved from."""

    maps: Tensor
    """[P,3,4] rows (A | b): photo colour = A @ scene colour + b."""
    squares: Tensor
    """[P,4,4] weighted mean of x x^T over pixels, x the scene's colour and 1."""
    products: Tensor
    """[P,4,3] weighted mean of x y^T, y the photo's colour."""
    gains: Tensor
    """[P,3] diagonals of the first maps."""

    @staticmethod
    def start(gains: Tensor) -> PhotoColors:
        """Maps that multiply the channels of P photos by gains [P,3]."""
        maps = torch.cat((torch.diag_embed(gains), torch.zeros(len(gains), 3, 1)), 2)
        squares = torch.zeros(len(gains), 4, 4)
        return PhotoColors(maps, squares, squares[..., :3].clone(), gains)

    def to(self, device: torch.device | str) -> PhotoColors:
        """The same maps for pictures on another device."""
        return PhotoColors(*(tensor.to(device) for tensor in vars(self).values()))

    def applied(self, photo: int, rgb: Tensor) -> Tensor:
        """The render [1,H,W,3] as the photo would show it, not yet cut off at white."""
        return _transformed(rgb, self.maps[photo])

    def back(self, photo: int, v_shown: Tensor) -> Tensor:
        """[1,H,W,3] gradient of the loss before the map, from that after it."""
        return _transformed(v_shown, self.maps[photo, :, :3].mT)

    def undone(self, photo: int, image: Tensor) -> Tensor:
        """[1,H,W,3] uint8 the photo in the scene's colours, as far as 8 bits hold them."""
        back = torch.linalg.inv(self.maps[photo, :, :3].double()).float()
        matrix = torch.cat((back, -back @ self.maps[photo, :, 3:]), 1)
        colors = _transformed(image.float() / 255, matrix)
        return (colors.clamp(0, 1) * 255).round().to(torch.uint8)

    def fit(
        self,
        photo: int,
        rgb: Tensor,
        alpha: Tensor,
        image: Tensor,
        mask: Tensor | None,
        options: PhotoColorFit,
    ) -> None:
        """Solve for a photo's map, and keep the mean of all maps at identity.

        Args:
            photo: index of the photo.
            rgb: [1,H,W,3] the render before the map.
            alpha: [1,H,W] its coverage: what stands behind the scene is no colour of the photo's.
            image: [1,H,W,3] uint8 the photo.
            mask: [1,H,W] uint8, 0 where a pixel does not count; None when all count.
            options: see there.
        """
        rows = rgb[0, ::_EVERY].reshape(-1, 3)
        wanted = image[0, ::_EVERY].reshape(-1, 3)
        whole = ((wanted < _WHITE) & (wanted > _BLACK)).all(-1)
        whole &= alpha[0, ::_EVERY].reshape(-1) > _COVERED
        if mask is not None:
            whole &= mask[0, ::_EVERY].reshape(-1) > 0
        wanted = wanted.float() / 255
        x = torch.cat((rows, torch.ones_like(rows[:, :1])), 1)
        residuals = (x @ self.maps[photo].mT - wanted).abs().mean(-1)
        weights = whole * (options.doubt / residuals.clamp_min(options.doubt))
        total = weights.sum()
        if total < 1:
            return
        weighted = x * (weights / total)[:, None]
        # The first look has nothing to be joined with.
        share = options.share if bool(self.squares[photo].any()) else 1.0
        self.squares[photo].lerp_(weighted.mT @ x, share)
        self.products[photo].lerp_(weighted.mT @ wanted, share)
        ridge = options.prior * torch.eye(4, device=rgb.device)
        normal = self.squares[photo] + ridge
        right = self.products[photo] + ridge[:, :3] * self.gains[photo]
        self.maps[photo] = torch.linalg.solve(normal.double(), right.double()).mT.float()
        self._make_neutral()

    def _make_neutral(self) -> None:
        """Take out of every map what they have in common: it is the scene's own look."""
        common = self.maps.mean(0).double()
        # Twice as bright and half as bright are equally far from neutral.
        diagonal = self.maps[:, range(3), range(3)].double().clamp_min(1e-3)
        common[range(3), range(3)] = diagonal.log().mean(0).exp()
        inverse = torch.linalg.inv(common[:, :3])
        linear = self.maps[:, :, :3].double() @ inverse
        self.maps = torch.cat(
            (linear, self.maps[:, :, 3:].double() - linear @ common[:, 3:]), 2
        ).float()


def cut_off(shown: Tensor, image: Tensor) -> Tensor:
    """[1,H,W,3] what a photo can show: where it is white already, brighter colours are white, too.

    Gradients there are 0, since the pictures are equal.

    Args:
        shown: [1,H,W,3] the render in the photo's colours.
        image: [1,H,W,3] uint8 the photo.
    """
    return torch.where((image == 255) & (shown > 1), torch.ones_like(shown), shown)


def _transformed(picture: Tensor, matrix: Tensor) -> Tensor:
    """[1,H,W,3] a matrix [3,3] or [3,4] applied to every pixel (OpenCV's is the fast one)."""
    if picture.device.type != "cpu":
        moved = picture @ matrix[:, :3].mT
        return moved + matrix[:, 3] if matrix.shape[1] == 4 else moved
    moved = cv2.transform(picture[0].numpy(), matrix.contiguous().numpy())
    return torch.from_numpy(moved)[None]
