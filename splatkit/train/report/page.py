"""The page: markup, style and script of this folder with the runs' data put in."""

from __future__ import annotations

import json
from collections.abc import Generator
from importlib.resources import files
from pathlib import Path
from typing import Any

from splatkit.core import Event, UsageError
from splatkit.io.files import write_json, write_text
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
    write_text(path, page([gather(run) for run in runs]))
    return path


def publish(stats: dict[str, Any], folder: RunFolder) -> Generator[Event, None, None]:
    """Write a run's statistics, draw its page from them, and tell of both."""
    write_json(folder.stats, stats)
    yield Saved(folder.stats, "statistics")
    write_report([folder.root], folder.report)
    yield Saved(folder.report, "report")
    yield Evaluated(stats)


def page(runs: list[dict]) -> str:
    """The HTML text of runs as ``gather`` describes them."""
    place = files("splatkit.train.report")
    # "</script>" inside a name must not end the script element.
    data = json.dumps(runs, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    text = (place / "page.html").read_text(encoding="utf-8")
    for mark, content in (
        ("/*STYLE*/", (place / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (place / "page.js").read_text(encoding="utf-8")),
        ("/*DATA*/", data),
    ):
        text = text.replace(mark, content)
    return text
