"""How bright each photo is, before training: from the colours of the sparse points in it.

A point has one colour and many photos. Where photos were taken with exposures of their own, the
logarithm of what photo i shows of point p is about g(i, channel) + r(p, channel); both are found by
medians in turn, so that points which something hides in some photos do no harm.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatkit.train.photos import View, shrink

_DARK, _BRIGHT = 8, 247
"""Values outside say little: noise below, cut off above."""
_ROUNDS = 8
_FEWEST = 20
"""Fewer points in a photo than this leave it as it is."""
_MOST_POINTS = 20_000
_FLOOR = 0.02
"""Error that remains with any number of points: what they reflect and what hides them."""
_BLUR = 4
"""Colours are means over so many pixels each way: a point's place is not exact."""


def gains_from_points(views: list[View], points: Tensor) -> Tensor:
    """[P,3] factors of each photo's channels, of geometric mean 1 over the photos.

    Differences as small as the method's own error are taken as none: where all photos have the same
    exposure all gains are 1.

    Args:
        views: P photos.
        points: [N,3] sparse points, world frame; some must be seen by most photos.
    """
    chosen = points[:: max(1, len(points) // _MOST_POINTS)]
    logs = torch.stack([_seen_logs(view, chosen) for view in views])
    usable = (~logs[..., 0].isnan()).sum(1) >= _FEWEST
    if int(usable.sum()) < 2:
        return torch.ones(len(views), 3)
    logs = logs[usable]
    gains = torch.zeros(len(logs), 1, 3)
    residuals = logs
    for _ in range(_ROUNDS):
        colors = (logs - gains).nanmedian(0, keepdim=True).values
        gains = (logs - colors).nanmedian(1, keepdim=True).values
        gains = gains - gains.mean(0)
        residuals = logs - colors - gains
    counts = (~residuals[..., :1].isnan()).sum(1)
    # Errors of a point in all photos hang together: a tenth of the points count as independent.
    spread = 1.48 * residuals.abs().nanmedian(1).values
    errors = (1.25 * spread).square() / (0.1 * counts) + _FLOOR**2
    found = gains[:, 0]
    trust = (1 - errors.mean(0) / found.square().mean(0).clamp_min(1e-12)).clamp(0, 1)
    result = torch.ones(len(views), 3)
    result[usable] = (trust * found).exp()
    return result


def neutral_views(views: list[View], gains: Tensor) -> list[View]:
    """The photos as they would be with equal exposures, as far as 8 bits hold them."""
    return [
        replace(view, image=(view.image / gain).clamp(0, 255).round().to(torch.uint8))
        for view, gain in zip(views, gains, strict=True)
    ]


def _seen_logs(view: View, points: Tensor) -> Tensor:
    """[N,3] logarithms of the colours at which a photo shows points; NaN where it does not."""
    width = max(1, view.camera.width // _BLUR)
    height = max(1, view.camera.height // _BLUR)
    camera = view.camera.resized(width, height)
    image = shrink(view.image[0], width, height)
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    pixels = (local @ camera.Ks[0].T)[:, :2] / local[:, 2:]
    x, y = pixels.nan_to_num(-1.0, -1.0, -1.0).unbind(-1)
    inside = (local[:, 2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = x.clamp(0, width - 1).long(), y.clamp(0, height - 1).long()
    if view.mask is not None:
        inside &= shrink(view.mask[0], width, height)[row, column] == 255
    colors = image[row, column]
    inside &= ((colors >= _DARK) & (colors <= _BRIGHT)).all(-1)
    return torch.where(inside[:, None], colors.float().log(), torch.nan)
