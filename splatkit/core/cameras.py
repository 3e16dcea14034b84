"""A batch of cameras of one image size, OpenCV axes (x right, y down, z forward)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError

CAMERA_MODELS = ("pinhole",)


@dataclass
class Cameras:
    """C cameras that share one image size and one projection model."""

    viewmats: Tensor
    """[C,4,4] camera_from_world, rigid; the last row is 0 0 0 1."""
    Ks: Tensor
    """[C,3,3] intrinsics in pixels; the centre of the first pixel is at (0.5, 0.5); no skew."""
    width: int
    """Image width, pixels, at least 1."""
    height: int
    """Image height, pixels, at least 1."""
    model: str = "pinhole"
    """Projection model, one of ``CAMERA_MODELS``."""

    def __post_init__(self) -> None:
        check(viewmats=(self.viewmats, "C 4 4"), Ks=(self.Ks, "C 3 3"))
        if self.width < 1 or self.height < 1:
            raise SplatkitError(
                f"cameras: expected an image of at least 1x1 pixels, got {self.width}x{self.height}"
            )
        if self.model not in CAMERA_MODELS:
            raise SplatkitError(
                f"cameras: expected a model out of {', '.join(CAMERA_MODELS)}, got {self.model!r}"
            )

    def __len__(self) -> int:
        return self.viewmats.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Cameras:
        """The cameras that a mask, an index tensor or a slice selects (always a batch)."""
        return Cameras(self.viewmats[index], self.Ks[index], self.width, self.height, self.model)

    def to(self, target: torch.device | torch.dtype | str) -> Cameras:
        """A copy on another device or with another float dtype."""
        return Cameras(
            self.viewmats.to(target), self.Ks.to(target), self.width, self.height, self.model
        )

    @property
    def positions(self) -> Tensor:
        """[C,3] camera centres in the world frame."""
        rotations = self.viewmats[:, :3, :3]
        return -(rotations.mT @ self.viewmats[:, :3, 3:]).squeeze(-1)

    def resized(self, width: int, height: int) -> Cameras:
        """The same views on an image of another size."""
        # In numbers, not a tensor, which would have to come to a GPU first.
        rows = (self.Ks[:, 0] * (width / self.width), self.Ks[:, 1] * (height / self.height))
        Ks = torch.stack((*rows, self.Ks[:, 2]), 1)
        return Cameras(self.viewmats, Ks, width, height, self.model)

    def unprojected(self, depth: Tensor) -> Tensor:
        """World points [1,H,W,3] that the pixels of a batch of one show.

        Args:
            depth: [1,H,W] or [H,W] z in the camera's frame at the pixels' centres.
        """
        points = unprojected(depth, self.Ks[0])
        matrix = self.viewmats[0]
        return (points - matrix[:3, 3]) @ matrix[:3, :3]


def unprojected(depth: Tensor, K: Tensor) -> Tensor:
    """Points [...,H,W,3] in the camera's frame that pixels show.

    Args:
        depth: [...,H,W] z at the pixels' centres, which are at halves.
        K: [3,3] pinhole matrix, pixels.
    """
    height, width = depth.shape[-2:]
    rows = torch.arange(height, device=depth.device)[:, None] + 0.5
    columns = torch.arange(width, device=depth.device) + 0.5
    x = (columns - K[0, 2]) / K[0, 0] * depth
    y = (rows - K[1, 2]) / K[1, 1] * depth
    return torch.stack((x, y, depth), -1)


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """[3,3] float64 pinhole matrix from focal lengths and principal point, pixels."""
    return torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float64)
