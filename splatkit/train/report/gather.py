"""What a report shows of a run, out of the files in its folder, in values that JSON can hold."""

from __future__ import annotations

import base64
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splatkit.core import SplatkitError
from splatkit.io.files import read_json
from splatkit.io.images import fit_within, read_image, resize_area
from splatkit.train.config import flattened
from splatkit.train.evaluate import picture_name
from splatkit.train.run_folder import RunFolder, read_log

MOST_PHOTOS = 32
"""Photos with pictures, the worst ones; the others are listed with their figures."""
MOST_POINTS = 400
"""Points of a curve."""
LONG_SIDE = 640
"""Of pictures in the page, pixels."""
ERROR_PEAK = 0.25
"""Mean absolute error that takes the last colour of the error pictures."""
_QUALITY = 80


def gather(root: Path) -> dict[str, Any]:
    """Everything about one run.

    Args:
        root: a run folder, or the folder of results of ``splatkit eval --scene``.

    Raises:
        SplatkitError: nothing was measured there yet.
    """
    folder = RunFolder(root)
    if not folder.stats.is_file():
        raise SplatkitError(
            f"{root}: expected the folder of a finished run with eval/stats.json, found none; "
            f"finish it with: splatkit train --resume -o {root}"
        )
    stats = read_json(folder.stats)
    config = read_json(folder.config) if folder.config.is_file() else {}
    log = read_log(folder.log)
    photos = sorted(stats["per_photo"], key=lambda photo: photo["psnr"])
    return {
        "name": stats["scene"],
        "date": log[-1]["time"][:10] if log else "",
        "stats": {key: value for key, value in stats.items() if key != "per_photo"},
        "machine": stats.get("machine", {}),
        "settings": flattened(config),
        "curves": curves(log),
        "measured": measured(log),
        "stages": stages(log),
        "notes": [r["text"] for r in log if r["event"] == "Note" and r.get("warning")],
        "photos": [
            photo | (pictures(folder.renders / picture_name(photo["name"])) if shown else {})
            for photo, shown in zip(photos, _first(MOST_PHOTOS, len(photos)), strict=True)
        ],
        "error_peak": ERROR_PEAK,
    }


def curves(log: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Values over the steps of the last training in a log, its sessions joined, thinned out.

    Steps that a killed session had done beyond the checkpoint that the next one started from
    count once. ``seconds`` is training time.
    """
    rows: list[tuple[float, ...]] = []
    before = 0.0
    began: datetime | None = None
    for record in log:
        if record["event"] == "Started":
            rows = [row for row in rows if row[0] <= record["resumed_step"]]
            before = rows[-1][1] if rows else 0.0
            began = datetime.fromisoformat(record["time"])
        elif record["event"] == "StepDone" and began is not None:
            passed = (datetime.fromisoformat(record["time"]) - began).total_seconds()
            rows.append(
                (
                    record["step"],
                    before + passed,
                    record["loss"],
                    record["num_gaussians"],
                    record["steps_per_second"],
                    record.get("memory_bytes") or 0,
                )
            )
    if len(rows) > MOST_POINTS:
        rows = [rows[round(i)] for i in np.linspace(0, len(rows) - 1, MOST_POINTS)]
    names = ("step", "seconds", "loss", "gaussians", "rate", "memory")
    return {name: [_short(row[place]) for row in rows] for place, name in enumerate(names)}


def measured(log: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Steps and the PSNR that a few held-out photos had there, of the last training in a log."""
    found: dict[int, float] = {}
    for record in log:
        if record["event"] == "Started":
            found = {s: v for s, v in found.items() if s <= record["resumed_step"]}
        elif record["event"] == "Measured":
            found[record["step"]] = _short(record["psnr"])
    return {"step": list(found), "psnr": list(found.values())}


def stages(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Time and memory by stage: time summed over the sessions of the last training, with what those
    that were stopped had trained by their last step in the log."""
    found: dict[str, dict[str, Any]] = {}
    began: datetime | None = None
    stopped: dict[str, Any] | None = None

    def add(name: str, seconds: float, memory: int | None) -> None:
        stage = found.setdefault(name, {"stage": name, "seconds": 0.0, "memory": 0})
        stage["seconds"] = _short(stage["seconds"] + seconds)
        stage["memory"] = max(stage["memory"], memory or 0)

    def add_stopped() -> None:
        if began is not None and stopped is not None:
            passed = datetime.fromisoformat(stopped["time"]) - began
            add("Training", passed.total_seconds(), stopped.get("memory_bytes"))

    for record in log:
        if record["event"] == "Started":
            add_stopped()
            began, stopped = datetime.fromisoformat(record["time"]), None
            if record["resumed_step"] == 0:
                for name in ("Training", "Export", "Comparing photos"):
                    found.pop(name, None)
        elif record["event"] == "StepDone":
            stopped = record
        elif record["event"] == "StageDone":
            if record["stage"] == "Training":
                stopped = None
            add(record["stage"], record["seconds"], record["memory_bytes"])
    add_stopped()
    return list(found.values())


def pictures(path: Path) -> dict[str, str]:
    """Truth, render and their difference as data URLs; nothing where the file is missing.

    Args:
        path: the picture that evaluation wrote, truth on the left and render on the right.
    """
    if not path.is_file():
        return {}
    both = read_image(path)[..., :3]
    width = both.shape[1] // 2
    size = fit_within(width, both.shape[0], LONG_SIDE)
    truth, render = (resize_area(p, *size) for p in (both[:, :width], both[:, width:]))
    return {
        "truth": _data_url(truth),
        "render": _data_url(render),
        "error": _data_url(error_picture(truth, render)),
    }


def error_picture(truth: np.ndarray, render: np.ndarray) -> np.ndarray:
    """[H,W,3] uint8 mean absolute difference of uint8 pictures in the Inferno colours."""
    from matplotlib import colormaps

    errors = np.abs(truth.astype(np.float32) - render.astype(np.float32)).mean(-1) / 255
    return colormaps["inferno"](np.minimum(errors / ERROR_PEAK, 1.0), bytes=True)[..., :3]


def _data_url(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _first(count: int, total: int) -> list[bool]:
    return [index < count for index in range(total)]


def _short(value: float) -> float:
    """Five digits are more than a curve shows."""
    return float(f"{value:.5g}") if isinstance(value, float) else value
