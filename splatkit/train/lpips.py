"""LPIPS, the learned perceptual distance, where its weights are at hand (Zhang et al. 2018).

Features of VGG-16 at five depths, each pixel's channels scaled to length one, squared
differences weighted by channel and averaged: the variant "vgg" of version 0.1 that papers on
view synthesis print. Nothing is downloaded: the two weight files are looked for

- in the folder that the environment variable ``SPLATKIT_LPIPS`` names (``vgg16*.pth`` and
  ``vgg.pth``), or else
- in torch's hub cache (``checkpoints/vgg16-*.pth``, torchvision's) and in an installed ``lpips``
  package (``weights/v0.1/vgg.pth``).
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, normalize, relu

from splatkit.core import SplatkitError, check
from splatkit.train.metrics import full_precision

VARIABLE = "SPLATKIT_LPIPS"
_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Numbers of VGG-16's convolutions in torchvision's ``features``; pooling between the blocks."""
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_LEAST_SIDE = 16
"""Smaller pictures have no pixel left after four poolings."""


class Lpips:
    """The distance with one set of weights.

    Args:
        backbone: VGG-16's ``features.N.weight`` and ``features.N.bias``.
        linear: [1,C,1,1] weights by channel, ``linK.model.1.weight`` for K = 0 to 4.

    Raises:
        SplatkitError: a tensor is missing or has another shape.
    """

    def __init__(self, backbone: dict[str, Tensor], linear: dict[str, Tensor]) -> None:
        try:
            self._blocks = [
                [(backbone[f"features.{n}.weight"], backbone[f"features.{n}.bias"]) for n in block]
                for block in _BLOCKS
            ]
            self._linear = [linear[f"lin{k}.model.1.weight"] for k in range(len(_BLOCKS))]
        except KeyError as error:
            raise SplatkitError(
                f"LPIPS weights: expected those of VGG-16, but {error} is missing"
            ) from error
        channels = 3
        for block, weights in zip(self._blocks, self._linear, strict=True):
            for kernel, bias in block:
                out = kernel.shape[0]
                if tuple(kernel.shape) != (out, channels, 3, 3) or tuple(bias.shape) != (out,):
                    raise SplatkitError(
                        f"LPIPS weights: expected a kernel [{out},{channels},3,3] with its bias, "
                        f"got {list(kernel.shape)} and {list(bias.shape)}"
                    )
                channels = out
            if tuple(weights.shape) != (1, channels, 1, 1):
                raise SplatkitError(
                    f"LPIPS weights: expected [1,{channels},1,1], got {list(weights.shape)}"
                )

    @torch.no_grad()
    def __call__(self, image: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
        """Distance of two pictures [H,W,3], sRGB 0..1; 0 for equal ones.

        Pixels outside the mask [H,W] take the truth's value first.

        Raises:
            SplatkitError: the pictures differ in size or are below 16 pixels.
        """
        sizes = check(image=(image, "H W 3"), truth=(truth, "H W 3"))
        if min(sizes["H"], sizes["W"]) < _LEAST_SIDE:
            raise SplatkitError(
                f"LPIPS: expected pictures of at least {_LEAST_SIDE} pixels, got "
                f"{sizes['W']}x{sizes['H']}"
            )
        if mask is not None:
            image = torch.where(mask[..., None], image, truth)
        batch = torch.stack((image, truth)).permute(0, 3, 1, 2).float() * 2 - 1
        batch = (batch - batch.new_tensor(_SHIFT)[:, None, None]) / batch.new_tensor(_SCALE)[
            :, None, None
        ]
        total = 0.0
        for depth, (block, weights) in enumerate(zip(self._blocks, self._linear, strict=True)):
            if depth:
                batch = max_pool2d(batch, 2)
            for kernel, bias in block:
                with full_precision():
                    batch = conv2d(batch, kernel.to(batch), bias.to(batch), padding=1)
                batch = relu(batch)
            first, second = normalize(batch, dim=1, eps=1e-10)
            distance = ((first - second).square() * weights[0].to(batch)).sum(0).mean()
            total = total + distance
        return float(total)


def find_lpips() -> Lpips | None:
    """The distance with the weights of this machine; None where there are none.

    Raises:
        SplatkitError: weights were found but cannot be used.
    """
    files = weight_files()
    return None if files is None else _load(*files)


def weight_files() -> tuple[Path, Path] | None:
    """The backbone's file and that of the linear weights, when both are there."""
    given = os.environ.get(VARIABLE)
    if given:
        backbones, linear = sorted(Path(given).glob("vgg16*.pth")), Path(given) / "vgg.pth"
    else:
        backbones = sorted(Path(torch.hub.get_dir(), "checkpoints").glob("vgg16-*.pth"))
        package = find_spec("lpips")
        places = (package.submodule_search_locations if package else None) or []
        linear = Path(places[0] if places else ".", "weights", "v0.1", "vgg.pth")
    return (backbones[0], linear) if backbones and linear.is_file() else None


@lru_cache(maxsize=1)
def _load(backbone: Path, linear: Path) -> Lpips:
    try:
        tensors = [
            torch.load(path, map_location="cpu", weights_only=True) for path in (backbone, linear)
        ]
    except Exception as error:  # torch raises half a dozen kinds for damaged files
        raise SplatkitError(
            f"{backbone} and {linear}: expected LPIPS weights, got files that cannot be read "
            f"({str(error).splitlines()[0]}); remove them to go on without LPIPS"
        ) from error
    return Lpips(*tensors)
