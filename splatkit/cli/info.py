"""``splatkit info FILE``: what is in a scene file or a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Say what is in a scene file: how many Gaussians, their harmonics, bounds and faults."""

    file: Positional[Annotated[Path, arg(metavar="FILE")]]
    """A scene file of any format, or a run folder: its trained scene."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Print the description."""
        from splatkit.export.opening import scene_file
        from splatkit.io import info

        file = scene_file(self.file)
        description = {"file": str(file)} | info(file)
        print(json.dumps(description, indent=1) if self.json else as_text(description))


def as_text(description: dict[str, Any]) -> str:
    """The description as aligned lines, empty values left out."""
    rows = [
        (key.replace("num_", "").replace("_", " "), _value(key, value))
        for key, value in description.items()
        if value not in (None, {}, [], "") and key != "warnings"
    ]
    rows += [("warning", text) for text in description.get("warnings", [])]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "bounds":
        if value["min"] is None:
            return "none"
        ends = zip("xyz", value["min"], value["max"], strict=True)
        return "  ".join(f"{axis} {low:.3g} to {high:.3g}" for axis, low, high in ends)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        if all(isinstance(item, float) for item in value):
            return "  ".join(f"{item:.3g}" for item in value)
        return "; ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(str(item) for item in value)
    return str(value)
