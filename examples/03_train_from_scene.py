"""Train on photos from Python and watch the events, as the command line does."""

import argparse
from pathlib import Path

from splatkit.core import Note
from splatkit.train import pipeline
from splatkit.train.config import TrainConfig
from splatkit.train.events import Evaluated, Saved, StepDone

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("photos", type=Path, help="photos, a COLMAP project, or a transforms.json")
parser.add_argument("run", type=Path, help="made for the results")
parser.add_argument("iterations", type=int, nargs="?", help="fewer steps than the preset's")
options = parser.parse_args()
config = TrainConfig(iterations=options.iterations)

for event in pipeline.run(options.photos, options.run, config):
    if isinstance(event, StepDone) and event.step % 100 == 0:
        # event.gaussians is the live scene: render it, count it, clone it.
        print(f"step {event.step}: loss {event.loss:.4f}, {event.num_gaussians} Gaussians")
    elif isinstance(event, Saved):
        print(f"{event.what}: {event.path}")
    elif isinstance(event, Evaluated):
        psnr = event.stats["mean"]["psnr"]
        print("no held-out photos" if psnr is None else f"held-out photos: {psnr:.2f} dB")
    elif isinstance(event, Note):
        print(event.text)
