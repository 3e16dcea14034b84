"""The network that adds to a Hermite reconstruction what it misses.

It sees pictures of the large size folded two by two into half the width and height, so that one
file of weights serves all ratios, and answers with a residual colour for each pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from splatkit.core import SplatkitError, UsageError
from splatkit.enhance.small import Placing
from splatkit.enhance.spatial import bicubic, bilinear, cells
from splatkit.io.files import atomic_path

FEATURES = 8
"""Channels that the network sees of a pixel, see ``features``."""
FOLD = 2
RESIDUAL_SCALE = 0.1
"""A network's answer of 1 is this much colour."""
DETAIL_SCALE = 10.0
"""Differences of reconstructions are small; they are seen magnified."""


@dataclass(frozen=True)
class Shape:
    """Size of a network."""

    width: int
    """Channels."""
    blocks: int


SHAPES = {"s": Shape(16, 2), "m": Shape(32, 2)}
"""Both are shipped; M is for GPUs, and for stills."""
WEIGHTS = Path(__file__).parent / "weights"


class _Block(nn.Module):
    """Two convolutions beside a straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


class Residual(nn.Module):
    """Maps features [B,8,H,W] to residual colours [B,3,H,W]; H and W are even.

    Args:
        shape: how large.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.enter = nn.Conv2d(FEATURES * FOLD**2, shape.width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(shape.width) for _ in range(shape.blocks)))
        self.leave = nn.Conv2d(shape.width, 3 * FOLD**2, 1)
        # It begins with adding nothing.
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        return unfolded(self.folded(nn.functional.pixel_unshuffle(x, FOLD)))

    def folded(self, x: Tensor) -> Tensor:
        """Folded features [B,32,H/2,W/2] to what ``unfolded`` takes."""
        return self.leave(self.blocks(torch.relu(self.enter(x))))


def unfolded(answer: Tensor) -> Tensor:
    """Residual colours [B,3,H,W] of a network's answer [B,12,H/2,W/2]."""
    return nn.functional.pixel_shuffle(answer, FOLD) * RESIDUAL_SCALE


def features(base: Tensor, rgb: Tensor, alpha: Tensor, placing: Placing) -> Tensor:
    """[8,H,W] what the network sees.

    Colours of the reconstruction (3), its difference from the bicubic one, which shows detail
    between samples (3, magnified), the distance from the nearest sample, and coverage.

    Args:
        base: [H,W,3] Hermite reconstruction.
        rgb: [h,w,3] small picture.
        alpha: [h,w] its coverage.
        placing: how the large picture lies on the small one.
    """
    height, width = base.shape[:2]
    step, origin_x, origin_y = placing
    _, tx = cells(width, step, origin_x, rgb.shape[1], rgb)
    _, ty = cells(height, step, origin_y, rgb.shape[0], rgb)
    off = torch.minimum(tx, 1 - tx).square()[None] + torch.minimum(ty, 1 - ty).square()[:, None]
    detail = (base - bicubic(rgb, placing, width, height)) * DETAIL_SCALE
    covered = bilinear(alpha, placing, width, height)
    return torch.cat(
        (base.permute(2, 0, 1), detail.permute(2, 0, 1), off.sqrt()[None], covered[None])
    )


def network_of(run: Path) -> Path:
    """Where the network lies that was fitted to the scene of a run folder, if one was."""
    return run / "enhance" / "network.safetensors"


def save_network(network: Residual, path: Path, notes: dict[str, str]) -> None:
    """Write weights and notes as safetensors."""
    shape = network.shape
    metadata = {"width": str(shape.width), "blocks": str(shape.blocks), **notes}
    with atomic_path(path) as temporary:
        tensors = {name: t.detach().contiguous() for name, t in network.state_dict().items()}
        # save_file would give it to its owner alone.
        temporary.write_bytes(save(tensors, metadata))


def load_network(path: Path | str) -> Residual:
    """Read a network.

    Args:
        path: a file, or ``s`` or ``m`` for what comes with splatkit.

    Raises:
        UsageError: there is no such file.
        SplatkitError: it holds no network of this kind.
    """
    file = WEIGHTS / f"{path}.safetensors" if str(path) in SHAPES else Path(path)
    if not file.is_file():
        shipped = ", ".join(sorted(f.stem for f in WEIGHTS.glob("*.safetensors")))
        raise UsageError(
            f"{path}: expected a network's weights (.safetensors) or one of: {shipped}; "
            "found nothing there"
        )
    try:
        with safe_open(file, "pt") as opened:
            notes = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        network = Residual(Shape(int(notes["width"]), int(notes["blocks"])))
        network.load_state_dict(tensors)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise SplatkitError(f"{file}: expected weights of an upscaling network: {error}") from error
    return network.eval()
