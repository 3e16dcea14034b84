"""``splatkit enhance onnx``: the upscaling network as a file for other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg


@dataclass(frozen=True)
class Command:
    """Write the network of --upscale neural as an ONNX file."""

    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")] = Path("upscale.onnx")
    """The file."""
    network: Annotated[str, arg(metavar="NAME|FILE")] = "s"
    """s, m (larger), or a file that splatkit enhance train wrote."""
    json: bool = False
    """Print where it is as JSON."""

    def run(self) -> None:
        """Write, and print where it is."""
        from splatkit.enhance.inference import write_onnx
        from splatkit.enhance.network import load_network

        write_onnx(load_network(self.network), self.output)
        print(json.dumps({"file": str(self.output)}) if self.json else self.output)
