"""The README's pictures, from finished runs.

``python scripts/make_pictures.py sample RUN`` draws one held-out photo of a run, its render, depth
and normals; ``python scripts/make_pictures.py sets RUN...`` draws one photo and its render for
each run; ``python scripts/make_pictures.py mesh RUN...`` one photo, the surface of ``splatkit
mesh`` and its normals. All write to ``docs/pictures``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import UsageError, drain
from splatkit.export.opening import OpenScene, open_scene
from splatkit.io import mesh_glb
from splatkit.io.images import fit_within
from splatkit.mesh.pipeline import draw, read_surface
from splatkit.render import render, render_triangles
from splatkit.render.pictures import picture
from splatkit.train.metrics import to_8bit
from splatkit.train.photos import View, load_views

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIDE = 640
"""Long side of one panel, pixels."""
GAP = 6
"""White between panels, pixels."""


def panels(run: Path, name: str | None, modes: tuple[str, ...]) -> list[np.ndarray]:
    """A held-out photo of a run and pictures of the same view, uint8 [H,W,3] each.

    Args:
        run: a finished run folder.
        name: file name of the photo; the middle one of the held-out photos when None.
        modes: see ``splatkit.render.pictures``.
    """
    scene, view = held_out_view(run, name)
    with torch.no_grad():
        rendered = render(
            scene.gaussians,
            view.camera,
            background=torch.tensor(scene.background),
            outputs=("depth", "normal"),
        )
    return [view.image[0].numpy(), *(picture(rendered, mode)[0].numpy() for mode in modes)]


def mesh_panels(run: Path, name: str | None) -> list[np.ndarray]:
    """A held-out photo of a run, its surface from there, and the surface's normals."""
    scene, view = held_out_view(run, name)
    mesh = mesh_glb.read(run / "mesh" / "surface.glb")
    shown = to_8bit(draw(mesh, view, torch.tensor(scene.background)))
    surface = read_surface(run / "mesh" / "surface.glb")[0]
    with torch.no_grad():
        normal = render_triangles(surface, view.camera, supersample=2, outputs=("normal",)).normal
    assert normal is not None
    # In the camera's frame, as the pictures of Gaussians show them.
    turned = normal[0] @ view.camera.viewmats[0, :3, :3].T
    flipped = turned * torch.tensor([1.0, -1.0, -1.0])
    panels = (view.image[0] / 255, shown, flipped * 0.5 + 0.5)
    return [(panel * 255).round().byte().numpy() for panel in panels]


def held_out_view(run: Path, name: str | None) -> tuple[OpenScene, View]:
    """A run, and its held-out photo of that name; the middle one when None."""
    scene = open_scene(run)
    held_out = [photo for photo in scene.photos if photo.held_out]
    chosen = [p for p in held_out if name in (None, p.name)]
    if not chosen:
        raise UsageError(f"{run}: expected a held-out photo {name or ''}, got none")
    photo = chosen[len(chosen) // 2]
    sizes = lambda width, height: fit_within(width, height, SIDE)  # noqa: E731
    return scene, drain(load_views([photo], sizes, scene.background))[0]


def sheet(rows: list[list[np.ndarray]]) -> Image.Image:
    """Panels in rows on white; the panels of one row have one height."""
    widths = [sum(p.shape[1] + GAP for p in row) - GAP for row in rows]
    heights = [max(p.shape[0] for p in row) for row in rows]
    page = Image.new("RGB", (max(widths), sum(h + GAP for h in heights) - GAP), "white")
    y = 0
    for row, height in zip(rows, heights, strict=True):
        x = 0
        for panel in row:
            page.paste(Image.fromarray(panel), (x, y))
            x += panel.shape[1] + GAP
        y += height + GAP
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sample", "sets", "mesh"))
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--photo", help="file name of the held-out photo (sample, mesh)")
    arguments = parser.parse_args()
    if arguments.what == "sample":
        truth, rgb, depth, normal = panels(
            arguments.runs[0], arguments.photo, ("rgb", "depth", "normal")
        )
        page = sheet([[truth, rgb], [depth, normal]])
    elif arguments.what == "mesh":
        page = sheet([mesh_panels(run, arguments.photo) for run in arguments.runs])
        page = page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)
    else:
        page = sheet([panels(run, None, ("rgb",)) for run in arguments.runs])
    PICTURES.mkdir(parents=True, exist_ok=True)
    target = PICTURES / f"{arguments.what}.jpg"
    page.save(target, quality=88)
    print(f"{target}: {page.width}x{page.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
