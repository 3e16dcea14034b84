"""What ``splatkit info`` says about the Gaussians of a file, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splatkit.core import Gaussians
from splatkit.core.bulk import bulk, giants
from splatkit.core.transforms import rotation_from_quat
from splatkit.io._usable import usable

NEARLY_TRANSPARENT = 1 / 255
"""Opacity below which a Gaussian is never drawn."""
NOTABLE = 0.05
"""A share of the Gaussians that is worth a warning."""
_SAMPLES = 1 << 17
_FLAT = 0.35
"""Shortest axis by middle axis of a Gaussian that lies on a surface."""
_ALONG = 0.9
_CLEAR = 1.3
"""How many times more flat area the vertical axis needs than the next."""
_OFF_CENTER = 0.08
_HEAVIEST = 0.95
"""Quantile of weights at which single Gaussians stop to count more."""
_NAMES = ("x", "y", "z")


def describe(path: Path, name: str, gaussians: Gaussians, **facts: Any) -> dict[str, Any]:
    """What ``info`` says about a file of any format.

    Args:
        path: of the file.
        name: of the format.
        gaussians: everything in the file, broken rows included, in the world frame.
        **facts: what only this format has (version, producer, quantization, unit, ...); ``notes``
            are warnings of its own (dialects), ``stated_up`` is the axis that it says points up.
    """
    notes = list(facts.pop("notes", ()))
    stated_up = facts.pop("stated_up", None)
    if stated_up is None and str(facts.get("producer", "")).startswith("splatkit"):
        stated_up = "-y"
    kept = gaussians[usable(gaussians)]
    size = path.stat().st_size
    center, radius = bulk(kept)
    faint = int((kept.opacities < NEARLY_TRANSPARENT).sum())
    giant = int(giants(kept).sum())
    low, high = (
        (kept.means.amin(0).tolist(), kept.means.amax(0).tolist()) if len(kept) else (None, None)
    )
    # What can be seen goes before what a file says: converters write their own axis unasked.
    seen_up = up_axis(kept)
    up = seen_up or stated_up
    broken = len(gaussians) - len(kept)
    return {
        "format": name,
        **facts,
        "num_gaussians": len(gaussians),
        "sh_degree": gaussians.sh_degree,
        "antialiased": gaussians.antialiased,
        "bounds": {"min": low, "max": high},
        "bulk_center": center.tolist(),
        "bulk_radius": radius,
        "median_splat": float(kept.scales.amax(1).median()) if len(kept) else None,
        "unit": facts.get("unit", "not stated"),
        "up_guess": up,
        "up_known_from": "level surfaces" if seen_up else "the file" if stated_up else None,
        "nearly_transparent": faint,
        "giant": giant,
        "not_finite": broken,
        "extra": {key: list(value.shape[1:]) for key, value in gaussians.extra.items()},
        "warnings": notes + _warnings(len(gaussians), broken, faint, giant, up),
        "bytes": size,
        "bytes_per_gaussian": size / max(len(gaussians), 1),
    }


def up_axis(gaussians: Gaussians) -> str | None:
    """The axis that seems to point up, such as ``-y``; None where the scene does not tell.

    Most flat area of a room, a street or a table is level, and more of it is below the middle
    of the scene than above.
    """
    some = gaussians[:: max(1, len(gaussians) // _SAMPLES)]
    scales, order = some.scales.sort(1)
    flat = (scales[:, 0] < _FLAT * scales[:, 1]) & (some.opacities > NEARLY_TRANSPARENT)
    if int(flat.sum()) < 100:
        return None
    some, scales, order = some[flat], scales[flat], order[flat]
    index = order[:, :1, None].expand(-1, 3, 1)
    normals = rotation_from_quat(some.quats).gather(2, index).squeeze(2)
    weights = scales[:, 1] * scales[:, 2] * some.opacities
    weights = weights.clamp(max=float(weights.quantile(_HEAVIEST)))
    along = normals.abs() > _ALONG
    shares = (weights[:, None] * along).sum(0)
    ranked = shares.sort(descending=True)
    axis = int(ranked.indices[0])
    if float(ranked.values[0]) < _CLEAR * float(ranked.values[1]):
        return None
    level = along[:, axis]
    place = some.means[:, axis]
    low, high = (float(place.quantile(q)) for q in (0.02, 0.98))
    middle = float((place[level] * weights[level]).sum() / weights[level].sum())
    off = (middle - (low + high) / 2) / max(high - low, 1e-30)
    if abs(off) < _OFF_CENTER:
        return None
    return f"{'-' if off > 0 else ''}{_NAMES[axis]}"


def _warnings(count: int, broken: int, faint: int, giant: int, up: str | None) -> list[str]:
    found = []
    if broken:
        found.append(f"{broken} Gaussians hold NaN, infinity or an absurd scale: left out")
    if faint > NOTABLE * count:
        found.append(f"{faint / count:.0%} are too transparent to be seen: --max-gaussians")
    if giant:
        found.append(f"{giant} are larger than the bulk of the scene: splatkit edit --max-size 1")
    if up not in (None, "-y"):
        flag = up.replace("-", "neg-")
        found.append(f"{up} seems to point up, where -y should: export with --up {flag}")
    return found
