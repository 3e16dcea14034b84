"""Graphs of the cameras' report: how exact each photo's place is, and how many points hold it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

_WIDTH, _HEIGHT, _LEFT, _TOP = 1160, 150, 44, 10


def photo_graphs(told: dict[str, Any]) -> str:
    """Two bar charts, one bar a photo in the order of their names; red marks: without a place.

    Args:
        told: what ``placing.json`` says.
    """
    if not told["photos"]:
        return ""
    return (
        '<figure class="placing-graph"><h2>Error and points of each photo</h2>'
        f"{_bars(told, 'error', 'pixels', lambda value: f'{value:.2f}')}"
        f"{_bars(told, 'points', 'points', lambda value: f'{value:,.0f}')}"
        "<figcaption>Photos in the order of their names. Above: mean distance between where a "
        "photo shows its points and where they should be; the line is the middle of all photos. "
        "Below: how many points hold a photo in its place. Red marks are photos without one."
        "</figcaption></figure>"
    )


def _bars(told: dict[str, Any], key: str, unit: str, written: Callable[[float], str]) -> str:
    names, photos = told["names"], told["photos"]
    values = {name: float(photos[name][key]) for name in names if name in photos}
    most = max(values.values()) or 1.0
    wide = (_WIDTH - _LEFT) / len(names)
    bars = []
    for i, name in enumerate(names):
        value = values.get(name)
        if value is None:
            kind, tall, words = "lost", 6.0, "without a place"
        else:
            kind, tall, words = "bar", (_HEIGHT - _TOP) * value / most, f"{written(value)} {unit}"
        bars.append(
            f'<rect class="{kind}" x="{_LEFT + i * wide:.2f}" y="{_HEIGHT - tall:.1f}" '
            f'width="{max(0.8 * wide, 0.5):.2f}" height="{tall:.1f}">'
            f"<title>{escape(name)}: {words}</title></rect>"
        )
    middle = float(np.median(list(values.values())))
    at = _HEIGHT - (_HEIGHT - _TOP) * middle / most
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 2}" role="img" aria-label="{unit} of each photo">'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}">{written(most)}</text>'
        f'<text x="{_LEFT - 6}" y="{_HEIGHT}">0</text>{"".join(bars)}'
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/></svg>'
    )
