"""All parts of scripts/gpu_check.sh in one file, and their table in README."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

from splatkit.io.files import write_json, write_text
from splatkit.render.timing import device_name

BEGIN, END = "<!-- gpu_check: results -->", "<!-- gpu_check: end -->"
"""The table in README stands between these."""
SHOWN = re.compile(r"([GU]\d+ |start|shown|memory|forward|triangles|.*_(cuda|gsplat|cpu)$)")
"""Figures that README shows; the file holds all."""


def merge(folder: Path, root: Path) -> Path:
    """Write ``benchmarks/results/DATE-DEVICE.json`` and the table in README.

    Args:
        folder: that of the parts' documents.
        root: the checkout.
    """
    device = torch.device("cuda", 0)
    parts = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    document = {
        "device": device_name(device),
        "memory_gib": round(torch.cuda.mem_get_info(device)[1] / 2**30, 1),
        "torch": torch.__version__,
        "commit": commit(root),
        "parts": parts,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    today = datetime.date.today().isoformat()
    out = root / "benchmarks" / "results" / f"{today}-{slug}.json"
    write_json(out, document)
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if BEGIN in text and END in text:
        before, rest = text.split(BEGIN)
        told = f"{BEGIN}\n{table(document, out.relative_to(root).as_posix())}\n{END}"
        write_text(readme, before + told + rest.split(END)[1])
    return out


def table(document: dict[str, Any], source: str) -> str:
    """The most telling figures in Markdown, with the device, the commands and the commit."""
    lines = [
        f"Measured on one {document['device']} ({document['memory_gib']} GiB), torch "
        f"{document['torch']}, commit {(document['commit'] or 'unknown')[:10]}, by "
        f"`./scripts/gpu_check.sh`; all figures are in `{source}`.",
        "",
        "| figure | value | goal | |",
        "|---|---|---|---|",
    ]
    for part in document["parts"].values():
        for told in part["figures"]:
            if told["value"] is None or not SHOWN.match(told["id"]):
                continue
            goal = "" if told["goal"] is None else f"{told['goal']:g} {told['unit']}"
            verdict = "" if told["goal"] is None else "met" if told["pass"] else "missed"
            value = f"{told['value']:.4g} {told['unit']}"
            lines.append(f"| {told['id']} | {value} | {goal} | {verdict} |")
    return "\n".join(lines)


def commit(root: Path) -> str | None:
    """The checkout's commit; None without git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return answer.stdout.strip() or None
