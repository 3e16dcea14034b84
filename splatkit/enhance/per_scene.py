"""A network for one scene: trained on its views, kept only where it is better on others."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Gaussians, Note, Photo, Progress, UsageError, camera_of
from splatkit.enhance.network import load_network, network_of, save_network
from splatkit.enhance.training import (
    RATIOS,
    Sample,
    TrainingOptions,
    gain,
    make_sample,
    train_network,
    window,
)
from splatkit.export import OpenScene
from splatkit.io.images import fit_within
from splatkit.render import get_backend
from splatkit.train.config import config_of
from splatkit.train.photos import MaskMode, View, load_views
from splatkit.train.run_folder import RunFolder

LEAST_GAIN = 0.1
"""dB on held-out views by which a network must be better to be kept."""
LONG_SIDE = 1600
"""Of the pictures that pieces are cut from, pixels."""
SCREEN = 1920, 1080
"""Width and height that smaller photos are enlarged to, for every other piece: what is looked at
fills a screen, where a network for pictures of the photos' own size would sharpen too much."""


@dataclass(frozen=True)
class SceneTraining:
    """How a network is fitted to a scene."""

    target: Literal["render", "photos"] = "render"
    """What the pictures shall look like: the plain render, or the photos themselves."""
    start: str = "s"
    """Network to go on from: ``s``, ``m``, or a file."""
    iterations: int = 500
    pieces: int = 120
    """Pieces of pictures to learn from."""
    side: int = 128
    """Of a piece, pixels; at most the pictures' shorter side."""
    seed: int = 0
    backend: str = "auto"


def train_for_scene(
    scene: OpenScene, output: Path | None, options: SceneTraining
) -> Generator[Event, None, dict[str, Any]]:
    """Fine-tune a network on the views of the photos that training saw.

    Args:
        scene: a run folder's.
        output: file for the weights; ``enhance/network.safetensors`` in the run folder when None.
        options: see there.

    Returns:
        ``{psnr: {hermite, start, trained}, kept, file}``: mean PSNR of pieces of held-out views;
        ``file`` is None where the network was no better and so was not written.

    Raises:
        UsageError: the scene has no photos to hold out.
    """
    learned = [photo for photo in scene.photos if not photo.held_out]
    held_out = [photo for photo in scene.photos if photo.held_out]
    if not learned or not held_out:
        raise UsageError(
            f"{scene.name}: expected a run folder with photos to train on and photos held out, got "
            f"{len(learned)} and {len(held_out)}"
        )
    if output is None:
        assert scene.run is not None
        output = network_of(scene.run)
    start, backend = load_network(options.start), get_backend(options.backend)
    smallest = min(min(photo_size(photo.width, photo.height)) for photo in scene.photos)
    options = replace(options, side=min(options.side, smallest) // 2 * 2)
    gaussians = scene.gaussians.to(backend.device)
    behind = scene.background
    count = options.pieces
    masks = _masks_of(scene)
    samples = yield from _pieces(
        gaussians, behind, learned, count, options, "Views to learn from", masks
    )
    others = yield from _pieces(
        gaussians, behind, held_out, max(8, count // 4), options, "Held-out views", masks
    )
    hermite, before = gain(start, others)
    settings = TrainingOptions(
        iterations=options.iterations, crop=min(64, options.side), rate=1e-3, seed=options.seed
    )
    trained = yield from train_network(samples, settings, start)
    _, after = gain(trained, others)
    kept = after >= before + LEAST_GAIN
    scores = {name: round(value, 3) for name, value in
              (("hermite", hermite), ("start", before), ("trained", after))}  # fmt: skip
    if kept:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_network(trained, output, {"scene": scene.name, "target": options.target})
    else:
        yield Note(
            f"not kept: {after:.2f} dB on held-out views, {before:.2f} dB before training",
            warning=True,
        )
    return {"psnr": scores, "kept": kept, "file": str(output) if kept else None}


def _pieces(
    gaussians: Gaussians,
    behind: tuple[float, float, float],
    photos: list[Photo],
    count: int,
    options: SceneTraining,
    stage: str,
    masks: MaskMode,
) -> Generator[Event, None, list[Sample]]:
    """Random pieces of the photos' views, each photo as often as any other, of all ratios, at the
    photos' size and as large as a screen in turns."""
    generator = torch.Generator().manual_seed(options.seed)
    background = gaussians.means.new_tensor(behind)
    rounds = -(-count // len(photos))
    order = torch.cat([torch.randperm(len(photos), generator=generator) for _ in range(rounds)])
    chosen = [photos[index] for index in order[:count].tolist()]
    views: dict[str, View] = {}
    if options.target == "photos":
        used = list({photo.name: photo for photo in chosen}.values())
        loaded = yield from load_views(used, photo_size, behind, masks=masks)
        views = {view.name: view for view in loaded}
    samples = []
    for number, photo in enumerate(chosen):
        camera = camera_of(photo, *photo_size(photo.width, photo.height)).to(torch.float32)
        shown = views[photo.name].truth(torch.device("cpu")) if views else None
        turn, large = divmod(number, 2)
        if large:
            camera = on_screen(camera)
        piece = window(camera, 1.0, options.side, generator)
        truth, counts = (None, None) if shown is None else _cut(*shown, camera, piece)
        ratio = RATIOS[turn % len(RATIOS)]
        on_device = piece.to(background.device)
        sample = make_sample(
            gaussians, on_device, ratio, background, truth, options.backend, counts
        )
        samples.append(sample)
        yield Progress(stage, number + 1, count)
    return samples


def _masks_of(scene: OpenScene) -> MaskMode:
    """What the run's training took masks for."""
    told = None if scene.run is None else RunFolder(scene.run).told_options()
    return config_of(told or {}).masks


def on_screen(camera: Cameras) -> Cameras:
    """A camera whose picture fills a screen, if its own is smaller."""
    scale = max(1.0, min(SCREEN[0] / camera.width, SCREEN[1] / camera.height))
    return camera.resized(round(scale * camera.width), round(scale * camera.height))


def enlarged(picture: Tensor, camera: Cameras) -> Tensor:
    """[H,W,k] a picture, values 0 to 1, as large as a camera's."""
    planes = picture.float().permute(2, 0, 1)[None]
    size = camera.height, camera.width
    large = torch.nn.functional.interpolate(planes, size, mode="bicubic", align_corners=False)
    return large[0].permute(1, 2, 0).clamp(0, 1)


def _cut(
    truth: Tensor, mask: Tensor | None, camera: Cameras, piece: Cameras
) -> tuple[Tensor, Tensor | None]:
    """What a photo [H,W,3], enlarged to its camera's picture, shows in a piece of that, and the
    pixels [H,W] that count there."""
    x, y = (camera.Ks - piece.Ks)[0, :2, 2].round().int().tolist()
    place = slice(y, y + piece.height), slice(x, x + piece.width)
    if truth.shape[:2] != (camera.height, camera.width):
        truth = enlarged(truth, camera)
        mask = None if mask is None else enlarged(mask[..., None], camera)[..., 0] > 0.5
    return truth[place], None if mask is None else mask[place]


def photo_size(width: int, height: int) -> tuple[int, int]:
    """Of the picture of a photo that networks are fitted to."""
    return fit_within(width, height, LONG_SIDE)
