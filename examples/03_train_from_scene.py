"""Train on photos from Python and watch the events, as the command line does.

    python examples/03_train_from_scene.py PHOTOS RUN [ITERATIONS]

PHOTOS is a folder of photos, a COLMAP project, or a transforms.json.
"""

import sys
from pathlib import Path

from splatkit.core import Note
from splatkit.train import pipeline
from splatkit.train.config import TrainConfig
from splatkit.train.events import Evaluated, Saved, StepDone

photos, run = Path(sys.argv[1]), Path(sys.argv[2])
config = TrainConfig(iterations=int(sys.argv[3]) if len(sys.argv) > 3 else None)

for event in pipeline.run(photos, run, config):
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
