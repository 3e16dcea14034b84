"""The part of ``report.html`` about cameras: which photos have a place, how sure, what to add.

One section of HTML that needs nothing but itself; ``splatkit ingest`` makes a page of it, and the
report of a training takes it in.
"""

from __future__ import annotations

import base64
import io
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splatkit.core import Photo, Scene, SplatkitError
from splatkit.ingest.placing import PLACING_FILE, read_placing
from splatkit.ingest.prepare import BLANK
from splatkit.ingest.report_graphs import photo_graphs
from splatkit.ingest.top_view import (
    ENOUGH_PHOTOS,
    FEW_PHOTOS,
    advice_on_coverage,
    camera_centers,
    looks,
    photos_that_show,
    sampled_points,
)
from splatkit.io.files import write_text
from splatkit.io.images import fit_within, read_image, resize_area
from splatkit.io.scene import load_scene

REPORT_FILE = "report.html"
MOST_THUMBNAILS = 120
"""Photos with pictures; the least sure ones come first."""
_THUMBNAIL = 132
_SIDE = 560
_WEAK = 0.6
_COLORS = {"few": (204, 60, 52), "some": (222, 150, 40), "enough": (52, 120, 200)}


def write_report(folder: Path) -> Path:
    """Write the page of a scene folder; returns its path."""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Cameras</title></head>"
        f'<body class="placing-page"><h1>Cameras</h1>{placing_section(folder)}</body></html>'
    )
    write_text(folder / REPORT_FILE, text)
    return folder / REPORT_FILE


def placing_section(folder: Path) -> str:
    """HTML of a scene folder's cameras.

    Raises:
        SplatkitError: there is no scene in the folder.
    """
    scene = load_scene(folder)
    told = read_placing(folder / PLACING_FILE)
    points = sampled_points(scene)
    counts = photos_that_show(scene, points)
    parts = [
        _summary(scene, told, advice_on_coverage(scene, counts)),
        _left_out(scene, told, folder),
        '<div class="placing-columns">',
        _figure("From above", _map(scene, told, points, counts), _MAP_LEGEND),
        _figure("Matches between photos", _matrix(told), _MATRIX_LEGEND) if told else "",
        "</div>",
        photo_graphs(told) if told else "",
        _placed(scene, told),
        _models(told),
    ]
    style = files("splatkit.ingest").joinpath("report.css").read_text(encoding="utf-8")
    return f'<section class="placing"><style>{style}</style>{"".join(parts)}</section>'


_MAP_LEGEND = (
    f'Points: <b class="few">in fewer than {FEW_PHOTOS} photos</b>, '
    f'<b class="some">in {FEW_PHOTOS} to {ENOUGH_PHOTOS - 1}</b>, '
    f'<b class="enough">in {ENOUGH_PHOTOS} or more</b>. Triangles: photos, where they look; '
    "red ones are the least sure."
)
_MATRIX_LEGEND = (
    "Each dot is a pair of photos in the order of their names, darker with more verified matches. "
    "A photo whose row is empty has nothing in common with the others."
)


def _summary(scene: Scene, told: dict[str, Any] | None, advice: list[str]) -> str:
    found = len(scene.photos) + len(scene.missing)
    words = [f"<b>{len(scene.photos)} of {found} photos</b> have a place."]
    if told is not None and told["photos"]:
        values = told["photos"].values()
        support = float(np.mean([value["support"] for value in values]))
        error = np.mean([value["error"] for value in values])
        words.append(
            f"Their matches agree with it to {_percent(support)} (within 1.5 pixels); mean error "
            f"{error:.2f} pixels."
        )
        advice = [*told.get("capture", {}).get("advice", []), *advice]
    elif told is None:
        words.append("Their cameras came with them.")
    words.append(f"{len(scene.points):,} sparse points.")
    listed = "".join(f"<li>{escape(line)}</li>" for line in advice)
    return f"<p>{' '.join(words)}</p>" + (f"<ul>{listed}</ul>" if listed else "")


def _left_out(scene: Scene, told: dict[str, Any] | None, folder: Path) -> str:
    if not scene.missing:
        return ""
    copies = folder / "work" / "photos"
    cards = "".join(
        _card(name, _thumbnail(_copy_of(copies, name)), escape(reason), "bad")
        for name, reason in list(scene.missing.items())[:MOST_THUMBNAILS]
    )
    return f'<h2>Left out ({len(scene.missing)})</h2><div class="placing-grid">{cards}</div>'


def _copy_of(copies: Path, name: str) -> Path:
    plain = copies / name.replace(" ", BLANK)
    return plain if plain.is_file() else plain.with_name(f"{plain.name}.jpg")


def _placed(scene: Scene, told: dict[str, Any] | None) -> str:
    known = told["photos"] if told else {}
    photos = sorted(scene.photos, key=lambda photo: known.get(photo.name, {}).get("support", 1.0))
    cards = []
    for photo in photos[:MOST_THUMBNAILS]:
        value = known.get(photo.name)
        words = ["held out"] if photo.held_out else []
        if value:
            words += [
                f"{_percent(value['support'])} agree",
                f"{value['points']} points, {value['error']:.2f} px",
            ]
        kind = "weak" if value and value["support"] < _WEAK else ""
        cards.append(_card(photo.name, _thumbnail(photo.path), "<br>".join(words), kind))
    more = len(photos) - len(cards)
    rest = f"<p>and {more} more, which are surer</p>" if more > 0 else ""
    order = ", the least sure first" if known else ""
    head = f"<h2>Placed ({len(photos)}){order}</h2>"
    return f'{head}<div class="placing-grid">{"".join(cards)}</div>{rest}'


def _models(told: dict[str, Any] | None) -> str:
    if not told or not told["models"]:
        return ""
    rows = "".join(
        f"<tr{' class=chosen' if m['model'] == told['chosen'] else ''}>"
        f"<td>{escape(m['model'])}</td>"
        f"<td>{m['photos']}</td><td>{m['trusted']}</td><td>{m['worth']:.1f}</td>"
        f"<td>{m['points']:,}</td><td>{m['mean_error_pixels'] or 0:.2f}</td>"
        f"<td>{m['focal_over_long_side']:.3f}</td></tr>"
        for m in told["models"]
    )
    heads = ("model", "placed", "believed", "support", "points", "error, px", "focal / long side")
    cells = "".join(f"<th>{head}</th>" for head in heads)
    return f"<h2>Models that were judged</h2><table><tr>{cells}</tr>{rows}</table>"


def _map(scene: Scene, told: dict[str, Any] | None, points: np.ndarray, counts: np.ndarray) -> str:
    centers = camera_centers(scene)
    reach = np.percentile(np.abs(points[:, ::2]), 90) if len(points) else 0.0
    radius = max(float(np.abs(centers[:, ::2]).max()) * 1.15, min(float(reach) * 1.1, 1e9), 1e-6)
    radius = min(radius, 3 * max(float(np.abs(centers[:, ::2]).max()), 1e-6))

    def place(xz: np.ndarray) -> np.ndarray:
        return (xz * (1, -1) / radius + 1) * (_SIDE / 2)

    picture = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    at = place(points[:, ::2]).astype(int)
    inside = ((at >= 0) & (at < _SIDE)).all(1)
    kinds = ("few", "some", "enough")
    kind = (counts >= FEW_PHOTOS).astype(int) + (counts >= ENOUGH_PHOTOS)
    # Those with few photos are drawn last, above the others.
    for i in reversed(range(3)):
        chosen = at[inside & (kind == i)]
        for right, down in ((0, 0), (0, 1), (1, 0), (1, 1)):
            x, y = (np.minimum(chosen + np.array((right, down)), _SIDE - 1)).T
            picture[y, x] = (*_COLORS[kinds[i]], 200)
    known = told["photos"] if told else {}
    marks = []
    for photo, here, ahead in zip(scene.photos, place(centers[:, ::2]), looks(scene), strict=True):
        weak = known.get(photo.name, {}).get("support", 1.0) < _WEAK
        marks.append(_mark(photo, here, ahead[::2] * (1, -1), weak))
    image = _data_url(Image.fromarray(picture), "PNG")
    return (
        f'<svg viewBox="0 0 {_SIDE} {_SIDE}" role="img" aria-label="Cameras and points from above">'
        f'<image href="{image}" width="{_SIDE}" height="{_SIDE}"/>{"".join(marks)}</svg>'
    )


def _mark(photo: Photo, here: np.ndarray, ahead: np.ndarray, weak: bool) -> str:
    """A triangle that points where the photo looks."""
    length = float(np.linalg.norm(ahead))
    along = ahead / length if length > 0.1 else np.array([0.0, -1.0])
    across = np.array([-along[1], along[0]])
    corners = (here + 9 * along, here - 5 * along + 5 * across, here - 5 * along - 5 * across)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    kind = "weak" if weak else "held" if photo.held_out else "sure"
    return f'<polygon class="{kind}" points="{path}"><title>{escape(photo.name)}</title></polygon>'


def _matrix(told: dict[str, Any]) -> str:
    count = len(told["names"])
    table = np.zeros((count, count))
    for one, other, matches in told["matches"]:
        table[one, other] = table[other, one] = matches
    strength = np.clip(np.log1p(table) / np.log(1000), 0, 1)
    alpha = np.round(strength * 255).astype(np.uint8)
    picture = np.dstack([np.full_like(alpha, value) for value in (30, 90, 180)] + [alpha])
    scale = max(1, _SIDE // max(count, 1))
    enlarged = Image.fromarray(picture).resize(
        (count * scale, count * scale), Image.Resampling.NEAREST
    )
    return f'<img class="matrix" alt="Matches between photos" src="{_data_url(enlarged, "PNG")}">'


def _figure(title: str, body: str, legend: str) -> str:
    return f"<figure><h2>{title}</h2>{body}<figcaption>{legend}</figcaption></figure>"


def _card(name: str, picture: str, words: str, kind: str) -> str:
    image = f'<img src="{picture}" alt="">' if picture else '<span class="none">no picture</span>'
    return f'<div class="{kind}">{image}<b title="{escape(name)}">{escape(name)}</b>{words}</div>'


def _thumbnail(path: Path) -> str:
    try:
        image = read_image(path)[..., :3]
    except SplatkitError:
        return ""
    small = resize_area(image, *fit_within(image.shape[1], image.shape[0], _THUMBNAIL))
    return _data_url(Image.fromarray(np.ascontiguousarray(small)), "WEBP")


def _data_url(image: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    image.save(file, kind, quality=60)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"


def _percent(share: float) -> str:
    return f"{100 * float(share):.0f}%"
