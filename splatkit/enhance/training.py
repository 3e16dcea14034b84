"""Training of the network: small renders, and what the plain render of the same view shows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splatkit.core import Cameras, Event, Gaussians, Note, Progress
from splatkit.enhance.network import SHAPES, Residual, features
from splatkit.enhance.small import render_small, small_view
from splatkit.enhance.spatial import hermite
from splatkit.render import render
from splatkit.render.backends import Backend
from splatkit.train.metrics import psnr

RATIOS = (2.0, 3.0, 2.0, 1.7, 3.0, 1.5)
"""Of the training pictures, in turn."""

FLOOR = 1e-7
"""Mean square error (70 dB) below which nothing more is to be gained."""


@dataclass(frozen=True)
class TrainingOptions:
    """How long and how carefully."""

    size: str = "s"
    """``s`` or ``m``."""
    iterations: int = 6000
    batch: int = 8
    crop: int = 64
    """Side of the pieces of pictures, large pixels; even."""
    rate: float = 2e-3
    """Adam's learning rate at the start; it falls to 0 as half a cosine."""
    seed: int = 0


class Sample(NamedTuple):
    """One picture to learn from."""

    seen: Tensor
    """[8,H,W] half precision, what the network sees."""
    missing: Tensor
    """[3,H,W] half precision, plain render minus reconstruction."""
    base: Tensor
    """[3,H,W] half precision, the reconstruction."""


def make_sample(
    gaussians: Gaussians,
    camera: Cameras,
    ratio: float,
    background: Tensor | None = None,
    truth: Tensor | None = None,
    backend: str | Backend = "auto",
    counts: Tensor | None = None,
) -> Sample:
    """Render a picture to learn from.

    Args:
        gaussians: the scene.
        camera: one camera; width and height are even.
        ratio: of the upscaling.
        background: [3] sRGB; black when None.
        truth: [H,W,3] what the picture should show; the plain render when None.
        backend: see ``render``.
        counts: [H,W] bool, where ``truth`` is known; elsewhere the reconstruction is taken to be
            right. None: everywhere.
    """
    view = small_view(camera, ratio)
    small = render_small(gaussians, view, ("gradient",), background=background, backend=backend)
    assert small.rgb_dx is not None
    assert small.rgb_dy is not None
    place = (view.placing, view.width, view.height)
    base = hermite(small.rgb[0], small.rgb_dx[0], small.rgb_dy[0], *place).cpu()
    if truth is None:
        with torch.no_grad():
            truth = render(gaussians, camera, background=background, backend=backend).rgb[0].cpu()
    seen = features(base, small.rgb[0].cpu(), small.alpha[0].cpu(), view.placing)
    missing = (truth - base).permute(2, 0, 1)
    if counts is not None:
        missing = missing * counts
    return Sample(seen.half(), missing.half(), base.permute(2, 0, 1).half())


def window(camera: Cameras, zoom: float, side: int, generator: torch.Generator) -> Cameras:
    """The camera of a random square piece of a camera's picture.

    Args:
        camera: one camera.
        zoom: size of the picture that the piece is of over the camera's own.
        side: of the piece, pixels.
        generator: decides where the piece lies.
    """
    Ks = camera.Ks.clone()
    Ks[:, :2] *= zoom
    for axis, size in enumerate((camera.width, camera.height)):
        room = max(0, int(size * zoom) - side)
        Ks[:, axis, 2] -= int(torch.randint(room + 1, (1,), generator=generator))
    return Cameras(camera.viewmats, Ks, side, side)


def train_network(
    samples: list[Sample],
    options: TrainingOptions,
    start: Residual | None = None,
) -> Generator[Event, None, Residual]:
    """Train on pieces of the samples, turned and mirrored.

    The same samples and options on the same kind of machine give the same network.

    Args:
        samples: pictures, each at least as large as a piece.
        options: see there.
        start: a network to go on from; a new one when None.
    """
    generator = torch.Generator().manual_seed(options.seed)
    torch.manual_seed(options.seed)
    network = (start or Residual(SHAPES[options.size])).train()
    adam = torch.optim.Adam(network.parameters(), options.rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.iterations)
    yield Note(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    for iteration in range(options.iterations):
        seen, missing = _batch(samples, options, generator)
        # Decibels: a tenth less of a small error is worth as much as a tenth less of a large one.
        loss = ((network(seen) - missing).square().mean((1, 2, 3)) + FLOOR).log().mean()
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        adam.step()
        decay.step()
        if iteration % 50 == 0 or iteration + 1 == options.iterations:
            yield Progress("Training", iteration + 1, options.iterations)
    return network.eval()


def gain(network: Residual, samples: list[Sample]) -> tuple[float, float]:
    """Mean PSNR over samples without and with the network, dB."""
    plain, better = [], []
    for sample in samples:
        base, truth = sample.base.float(), sample.base.float() + sample.missing.float()
        with torch.no_grad():
            picture = base + network(sample.seen.float()[None])[0]
        plain.append(psnr(base.permute(1, 2, 0), truth.permute(1, 2, 0)))
        better.append(psnr(picture.permute(1, 2, 0), truth.permute(1, 2, 0)))
    return sum(plain) / len(plain), sum(better) / len(better)


def _batch(
    samples: list[Sample], options: TrainingOptions, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Features [B,8,S,S] and residuals [B,3,S,S] of random pieces."""
    seen, missing = [], []
    for _ in range(options.batch):
        index, flip, turn = (int(torch.randint(n, (1,), generator=generator))
                             for n in (len(samples), 2, 4))  # fmt: skip
        sample = samples[index]
        height, width = sample.seen.shape[1:]
        y = int(torch.randint(height - options.crop + 1, (1,), generator=generator))
        x = int(torch.randint(width - options.crop + 1, (1,), generator=generator))
        pair = torch.cat((sample.seen, sample.missing))[
            :, y : y + options.crop, x : x + options.crop
        ].float()
        pair = torch.rot90(pair.flip(-1) if flip else pair, turn, (1, 2))
        seen.append(pair[: len(sample.seen)])
        missing.append(pair[len(sample.seen) :])
    return torch.stack(seen), torch.stack(missing)
