"""The page: markup, style and script of this folder with the runs' data put in."""

from __future__ import annotations

import json
from collections.abc import Generator
from importlib.resources import files
from pathlib import Path
from typing import Any

from splatkit.core import Event, UsageError
from splatkit.ingest.report_part import placing_section
from splatkit.io.files import write_json, write_text
from splatkit.io.scene import SCENE_FILE
from splatkit.train.events import Evaluated, Saved
from splatkit.train.report.gather import gather
from splatkit.train.run_folder import RunFolder

MOST_RUNS = 2


def write_report(runs: list[Path], path: Path) -> Path:
    """Write the page of one run, or of two side by side.

    Args:
        runs: folders of finished runs.
        path: the HTML file to write.

    Raises:
        UsageError: there are none or more than two.
        SplatkitError: a folder holds no finished run.
    """
    if not 1 <= len(runs) <= MOST_RUNS:
        raise UsageError(f"report: expected one or two run folders, got {len(runs)}")
    write_text(path, page([gather(run) for run in runs], _cameras_of(runs)))
    return path


def publish(stats: dict[str, Any], folder: RunFolder) -> Generator[Event, None, None]:
    """Write a run's statistics, draw its page from them, and tell of both."""
    write_json(folder.stats, stats)
    yield Saved(folder.stats, "statistics")
    write_report([folder.root], folder.report)
    yield Saved(folder.report, "report")
    yield Evaluated(stats)


def _cameras_of(runs: list[Path]) -> str:
    """What ingest tells of the photos of a single run; nothing where it has no scene folder."""
    scene = RunFolder(runs[0]).scene
    if len(runs) > 1 or not (scene / SCENE_FILE).is_file():
        return ""
    return f'<div class="cameras"><h1>Cameras</h1>{placing_section(scene)}</div>'


def page(runs: list[dict], cameras: str = "") -> str:
    """The HTML text of runs as ``gather`` describes them, with a section about cameras."""
    place = files("splatkit.train.report")
    # "</script>" inside a name must not end the script element.
    data = json.dumps(runs, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    text = (place / "page.html").read_text(encoding="utf-8")
    for mark, content in (
        ("/*STYLE*/", (place / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (place / "page.js").read_text(encoding="utf-8")),
        ("<!--CAMERAS-->", cameras),
        ("/*DATA*/", data),
    ):
        text = text.replace(mark, content)
    return text
