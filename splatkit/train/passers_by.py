"""People and cars that stand in some photos only: found by their residuals, left out of the loss.

What moves between photos cannot be explained by one scene; where a photo shows it, the residual
stays large over a whole patch while the rest of the photo fits. Such patches are masked step by
step, from the residuals of that step alone, so that nothing needs to be remembered. (Compare
Sabour et al. 2023, "RobustNeRF"; the rule is ours.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

_SEEN = 0.7
"""Alpha above which something stands in a pixel; a hole in the scene is no passer-by."""


@dataclass(frozen=True)
class PassersBy:
    """When a patch of a photo counts as something that passed by."""

    start: float = 0.2
    """Progress from which patches are judged: before that everything fits badly."""
    factor: float = 6.0
    """A patch's residual, in units of the photo's median residual."""
    floor: float = 0.2
    """Least mean absolute residual of such a patch, sRGB 0..1."""
    patch: float = 0.03
    """Side of a patch, as a share of the photo's long side."""
    grown: float = 1.0
    """Found patches grow by this many sides, since their rims fit half-way."""
    most: float = 0.2
    """With more of a photo than this in question, all of it is believed."""

    def mask(
        self, rgb: Tensor, alpha: Tensor, image: Tensor, mask: Tensor | None, progress: float
    ) -> Tensor | None:
        """The photo's mask without the patches that show what passed by.

        Args:
            rgb: [1,H,W,3] the render, in the photo's colours.
            alpha: [1,H,W] its coverage.
            image: [1,H,W,3] uint8 the photo.
            mask: [1,H,W] uint8, 0 where a pixel does not count anyway; None when all count.
            progress: 0..1.

        Returns:
            [1,H,W] uint8, or ``mask`` itself when nothing was found.
        """
        if progress < self.start:
            return mask
        height, width = image.shape[1:3]
        if rgb.device.type != "cpu":
            return self._mask_there(rgb, alpha, image, mask)
        # A third of a patch is fine enough to judge patches by. Colours are averaged before they
        # are compared: what is only a little out of place is no passer-by.
        small = self._cells(width, height)
        shown, wanted = (_shrunk(picture[0], small) for picture in (rgb, image))
        residual = cv2.absdiff(shown, wanted.astype(np.float32) / 255).mean(-1)
        residual[_shrunk(alpha[0], small) < _SEEN] = 0
        if mask is not None:
            residual[_shrunk(mask[0], small) < 128] = 0
        cells = cv2.blur(residual, (3, 3))
        strange = cells > max(self.floor, self.factor * float(np.median(cells)))
        if not strange.any() or strange.mean() > self.most:
            return mask
        strange = cv2.dilate(strange.astype(np.uint8), _disc(self._reach))
        there = cv2.resize(strange, (width, height), interpolation=cv2.INTER_NEAREST)
        kept = (torch.from_numpy(1 - there)[None] * 255).to(image.device)
        return kept if mask is None else torch.minimum(mask, kept)

    @property
    def _reach(self) -> int:
        """Cells across the disc that found patches grow by."""
        return 2 * round(3 * self.grown) + 1

    def _cells(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of cells, each a third of a patch."""
        cell = max(1, round(self.patch * max(width, height) / 3))
        return max(1, width // cell), max(1, height // cell)

    def _mask_there(self, rgb: Tensor, alpha: Tensor, image: Tensor, mask: Tensor | None) -> Tensor:
        """``mask`` by torch alone: on a GPU nothing is waited for."""
        height, width = image.shape[1:3]
        columns, rows = self._cells(width, height)
        down = _area_weights(height, rows, rgb.device)
        across = _area_weights(width, columns, rgb.device)

        def shrunk(pictures: Tensor) -> Tensor:
            return down @ pictures.to(rgb.dtype) @ across.mT

        shown = shrunk(rgb[0].permute(2, 0, 1))
        wanted = shrunk(image[0].permute(2, 0, 1)).round() / 255
        residual = (shown - wanted).abs().mean(0) * (shrunk(alpha[0]) >= _SEEN)
        if mask is not None:
            residual = residual * (shrunk(mask[0]).round() >= 128)
        border = "reflect" if min(rows, columns) > 1 else "replicate"
        cells = avg_pool2d(pad(residual[None], (1, 1, 1, 1), border), 3, 1)[0]
        ordered = cells.flatten().sort().values
        median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        strange = cells > (self.factor * median).clamp_min(self.floor)
        strange = strange & (strange.float().mean() <= self.most)
        disc = _disc_on(self._reach, rgb.device)
        grown = conv2d(strange.to(rgb.dtype)[None, None], disc, padding=self._reach // 2) > 0.5
        there = interpolate(grown.to(rgb.dtype), (height, width), mode="nearest")[0]
        kept = ((1 - there) * 255).to(torch.uint8)
        return kept if mask is None else torch.minimum(mask, kept)


def _disc(reach: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))


@lru_cache
def _disc_on(reach: int, device: torch.device) -> Tensor:
    return torch.from_numpy(_disc(reach)).float()[None, None].to(device)


@lru_cache
def _area_weights(size: int, cells: int, device: torch.device) -> Tensor:
    """[cells,size] shares with which a line's pixels make up its cells."""
    edges = torch.linspace(0, size, cells + 1, dtype=torch.float64)
    pixels = torch.arange(size, dtype=torch.float64)
    ends = torch.minimum(edges[1:, None], pixels + 1)
    shares = (ends - torch.maximum(edges[:-1, None], pixels)).clamp_min(0)
    return (shares / shares.sum(1, keepdim=True)).float().to(device)


def _shrunk(picture: Tensor, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture.cpu().numpy(), size, interpolation=cv2.INTER_AREA)
