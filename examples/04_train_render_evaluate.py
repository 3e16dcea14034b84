"""The everyday calls: photos to a scene, a picture of it, and how good it is.

    python examples/04_train_render_evaluate.py PHOTOS FOLDER [ITERATIONS]

PHOTOS is a folder of photos, a COLMAP project, or a transforms.json.
"""

import sys
from pathlib import Path

from PIL import Image

import splatkit
from splatkit.core import camera_of
from splatkit.io.scene import load_scene
from splatkit.render.pictures import picture

photos, folder = Path(sys.argv[1]), Path(sys.argv[2])
iterations = int(sys.argv[3]) if len(sys.argv) > 3 else None

# Everything of the run stands in this folder afterwards, report.html among it.
run = folder / "run"
gaussians = splatkit.train(photos, run, preset="draft", iterations=iterations, seed=1)
print(f"trained {len(gaussians)} Gaussians; the story is in {run / 'report.html'}")

# The same scene again, from its file, seen by the camera of the first held-out photo.
gaussians = splatkit.load(run / "exports" / "scene.ply")
scene = load_scene(run / "scene")
camera = camera_of(scene.held_out_photos[0]).to(gaussians.means.dtype)
rendered = splatkit.render(gaussians, camera, outputs=("rgb", "depth"))
for mode in ("rgb", "depth"):
    Image.fromarray(picture(rendered, mode)[0].numpy()).save(folder / f"{mode}.png")

# How much does half of the Gaussians cost? The more opaque half stays.
half = gaussians[gaussians.opacities.argsort(descending=True)[: len(gaussians) // 2]]
for name, candidate in (("all", gaussians), ("half", half)):
    stats = splatkit.evaluate(candidate, run, folder / name)
    mean = stats["mean"]
    print(f"{name}: {stats['num_gaussians']} Gaussians, {mean['psnr']:.2f} dB")
