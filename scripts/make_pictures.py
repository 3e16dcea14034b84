"""The README's pictures, from finished runs.

``python scripts/make_pictures.py sample RUN`` draws one held-out photo of a run, its render, depth
and normals; ``python scripts/make_pictures.py sets RUN...`` draws one photo and its render for
each run. Both write to ``docs/pictures``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import UsageError, drain
from splatkit.export.opening import open_scene
from splatkit.io.images import fit_within
from splatkit.render import render
from splatkit.render.pictures import picture
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
    scene = open_scene(run)
    held_out = [photo for photo in scene.photos if photo.held_out]
    chosen = [p for p in held_out if name in (None, p.name)]
    if not chosen:
        raise UsageError(f"{run}: expected a held-out photo {name or ''}, got none")
    photo = chosen[len(chosen) // 2]
    sizes = lambda width, height: fit_within(width, height, SIDE)  # noqa: E731
    view: View = drain(load_views([photo], sizes, scene.background))[0]
    with torch.no_grad():
        rendered = render(
            scene.gaussians,
            view.camera,
            background=torch.tensor(scene.background),
            outputs=("depth", "normal"),
        )
    return [view.image[0].numpy(), *(picture(rendered, mode)[0].numpy() for mode in modes)]


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
    parser.add_argument("what", choices=("sample", "sets"))
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--photo", help="file name of the held-out photo (sample)")
    arguments = parser.parse_args()
    if arguments.what == "sample":
        truth, rgb, depth, normal = panels(
            arguments.runs[0], arguments.photo, ("rgb", "depth", "normal")
        )
        page = sheet([[truth, rgb], [depth, normal]])
    else:
        page = sheet([panels(run, None, ("rgb",)) for run in arguments.runs])
    PICTURES.mkdir(parents=True, exist_ok=True)
    target = PICTURES / f"{arguments.what}.jpg"
    page.save(target, quality=88)
    print(f"{target}: {page.width}x{page.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
