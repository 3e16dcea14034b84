"""Train the network that comes with splatkit: on made-up scenes and on the sample scene.

``splatkit train data/sample -o runs/sample`` makes the scene that this needs; then
``scripts/train_upscaler.py runs/sample -o splatkit/enhance/weights/s.safetensors``, and ``--size m
-o splatkit/enhance/weights/m.safetensors``. What it reached is written into the file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from splatkit.core import Note, Progress
from splatkit.enhance.network import SHAPES, save_network
from splatkit.enhance.scenes import made_up_camera, made_up_scene
from splatkit.enhance.training import (
    RATIOS,
    Sample,
    TrainingOptions,
    gain,
    make_sample,
    train_network,
    window,
)
from splatkit.export import open_scene
from splatkit.render import set_threads

SIDE = 144
ZOOMS = (1.0, 2.0, 4.0)
"""Pieces of small pictures and of large ones: from coarse to fine splats."""


def made_up_samples(scenes: range) -> Iterator[Sample]:
    """Two views of each scene."""
    for seed in scenes:
        generator = torch.Generator().manual_seed(seed)
        gaussians = made_up_scene(seed)
        for view in range(2):
            number = 2 * seed + view
            camera = made_up_camera(number, 288, 216)
            piece = window(camera, ZOOMS[seed % len(ZOOMS)], SIDE, generator)
            background = torch.rand(3, generator=generator)
            yield make_sample(gaussians, piece, RATIOS[number % len(RATIOS)], background)


def scene_samples(run: Path, count: int) -> Iterator[Sample]:
    """Pieces of a trained scene's views, at the photos' size and at half and twice that."""
    scene = open_scene(run)
    photo = scene.photos[0]
    cameras = scene.cameras(photo.width, photo.height)
    assert cameras is not None
    generator = torch.Generator().manual_seed(7)
    for number in range(count):
        camera = cameras[number % len(cameras) :][:1].to(torch.float32)
        zoom = ZOOMS[number % len(ZOOMS)] / 2
        piece = window(camera, zoom, SIDE, generator)
        yield make_sample(
            scene.gaussians,
            piece,
            RATIOS[number // len(ZOOMS) % len(RATIOS)],
            torch.tensor(scene.background),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, help="run folder of the sample scene")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", choices=SHAPES, default="s")
    parser.add_argument("--iterations", type=int, default=8000)
    parser.add_argument("--scenes", type=int, default=60, help="how many are made up")
    parser.add_argument("--pieces", type=int, default=600, help="of the trained scene's views")
    parser.add_argument("--threads", type=int, default=1, help="another number rounds otherwise")
    options = parser.parse_args()
    set_threads(options.threads)
    # With more made-up scenes, or more steps, it does worse on trained scenes that it has not seen.
    samples = [
        *made_up_samples(range(options.scenes)),
        *scene_samples(options.scene, options.pieces),
    ]
    held_out = list(made_up_samples(range(100_000, 100_010)))
    settings = TrainingOptions(size=options.size, iterations=options.iterations)
    work = train_network(samples, settings)
    while True:
        try:
            event = next(work)
        except StopIteration as done:
            network = done.value
            break
        if isinstance(event, Note):
            print(event.text)
        if isinstance(event, Progress) and event.done % 500 < 50:
            print(f"{event.done}/{event.total}", flush=True)
    # Half precision is what GPUs compute in, and half the download.
    before, after = gain(network.half().float(), held_out)
    notes = {
        "recipe": "scripts/train_upscaler.py",
        "iterations": str(options.iterations),
        "held_out_psnr": json.dumps({"hermite": round(before, 3), "network": round(after, 3)}),
        "licence": "CC0-1.0",
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_network(network.half(), options.output, notes)
    print(f"held-out made-up scenes: {before:.2f} dB -> {after:.2f} dB; {options.output}")


if __name__ == "__main__":
    main()
