"""The table and the picture of docs/formats.md: every format on some scenes.

    python scripts/make_format_table.py "the sample=RUN" "sceaux=RUN" "fern=scene.ply"

Each scene is a name and a run folder or scene file. The table goes between two marks in
docs/formats.md, the pictures of the first scene to docs/pictures/formats.jpg (those of other
people's photos are not ours to give away).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_pictures import PICTURES, sheet

sys.path.insert(0, str(Path(__file__).parent / "bench"))

from formats import LEAVE_OUT, copy, seconds

from splatkit.core import Gaussians, UsageError
from splatkit.edit.decimate import views_around
from splatkit.export.convert import check_views, photo_cameras
from splatkit.export.opening import OpenScene, open_scene
from splatkit.export.prepare import ExportOptions
from splatkit.export.proof import prove
from splatkit.io.registry import FORMATS, Format
from splatkit.render import render

DOCUMENT = Path(__file__).parent.parent / "docs" / "formats.md"
START, END = "<!-- made by scripts/make_format_table.py -->", "<!-- end -->"
LOSSY = ("compressed-ply", "spz", "sog", "html", "splat")
"""Shown in pictures beside the scene."""
SIDE = 400
ROUNDS = 2


def row_of(opened: OpenScene, form: Format, folder: Path) -> tuple[dict[str, Any], Gaussians]:
    """Size, fidelity and times of one format, and the Gaussians that came back."""
    scene = opened.gaussians
    path = folder / f"a{form.suffix}"
    write = form.write
    assert write is not None
    times: dict[str, list[float]] = {"write": [], "read": [], "copy": []}
    for _ in range(ROUNDS):
        times["write"].append(seconds(lambda: write(scene, path))[1])
        times["read"].append(seconds(lambda: form.read(path))[1])
        times["copy"].append(seconds(lambda: copy(path))[1])
    proof = prove(scene, path, form, check_views(opened, scene, ExportOptions()))
    least = {name: min(values) for name, values in times.items()}
    row = {
        "bytes": path.stat().st_size / max(len(scene), 1),
        "psnr": proof.psnr,
        "write": least["write"] / least["copy"],
        "read": least["read"] / least["copy"],
    }
    return row, form.read(path)


def picture_of(gaussians: Gaussians, opened: OpenScene) -> np.ndarray:
    """uint8 [H,W,3] of the middle photo's view, or from one side."""
    cameras = photo_cameras(opened, 1, SIDE)
    if cameras is None:
        cameras = views_around(opened.gaussians)[:1].resized(SIDE, SIDE * 3 // 4)
    else:
        photos = photo_cameras(opened, len(opened.photos), SIDE)
        assert photos is not None
        cameras = photos[len(photos) // 2 : len(photos) // 2 + 1]
    with torch.no_grad():
        shown = render(
            gaussians, cameras.to(torch.float32), background=torch.tensor(opened.background)
        )
    return (shown.rgb[0].clamp(0, 1) * 255).round().byte().numpy()


def cell(row: dict[str, Any]) -> str:
    psnr = "exact" if row["psnr"] is None else f"{row['psnr']:.1f}"
    return f"{row['bytes']:.1f} | {psnr} | {row['write']:.1f} / {row['read']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", metavar="NAME=SCENE")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    forms = [f for f in FORMATS if f.write is not None and f.name not in LEAVE_OUT]
    rows: dict[str, list[str]] = {form.suffix: [] for form in forms}
    heads, pictures = [], []
    lossy = [form.suffix for form in forms if form.name in LOSSY]
    for word in options.scenes:
        name, equals, place = word.partition("=")
        if not equals:
            raise UsageError(f"{word}: expected NAME=SCENE")
        opened = open_scene(Path(place))
        heads.append(f"{name}, {len(opened.gaussians):,}")
        panels = [] if pictures else [picture_of(opened.gaussians, opened)]
        with tempfile.TemporaryDirectory() as folder:
            for form in forms:
                row, read = row_of(opened, form, Path(folder))
                rows[form.suffix].append(cell(row))
                print(f"{name} {form.suffix}: {cell(row)}", flush=True)
                if panels and form.name in LOSSY:
                    panels.append(picture_of(read, opened))
        pictures = pictures or panels
    table = [f"![The scene, then {', '.join(lossy)}](pictures/formats.jpg)", ""]
    table.append("| |" + "".join(f" {head} Gaussians | | |" for head in heads))
    table.append("|---" * (1 + 3 * len(heads)) + "|")
    table.append("| format |" + " bytes each | PSNR, dB | write / read |" * len(heads))
    table += [f"| `{suffix}` | {' | '.join(cells)} |" for suffix, cells in rows.items()]
    text = DOCUMENT.read_text()
    if START not in text:
        raise UsageError(f"{DOCUMENT}: expected the line {START}")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text("\n".join((before + START, *table, END)) + after)
    sheet([pictures[:3], pictures[3:]]).save(PICTURES / "formats.jpg", quality=88)
    print(f"{DOCUMENT}, {PICTURES / 'formats.jpg'}")


if __name__ == "__main__":
    main()
