"""``splatkit bench train``: a data set's scenes one after the other, and their table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from splatkit.cli._progress import follow
from splatkit.cli.train import RUNS, translate
from splatkit.train.config import TrainConfig


@dataclass(frozen=True)
class Command:
    """Train and measure every scene of a data set with its standard splits.

    What an earlier call with the same options finished is used again.
    """

    dataset: Annotated[str, arg(metavar="NAME")]
    """mipnerf360, tandt, deepblending, nerf-synthetic, or a folder of scenes."""
    data: Annotated[Path | None, arg(metavar="DIR")] = None
    """Where the data set lies. Default: $SPLATKIT_DATA/NAME."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")] = None
    """Run folders and table.md go here. Default: runs/bench-NAME."""
    scenes: str = ""
    """Names of the scenes to train, with commas; all when left out."""
    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)
    json: bool = False
    """Print the table as JSON."""

    def run(self) -> None:
        """Train, and print the table."""
        from splatkit.train.bench import bench, table

        out = self.output or RUNS / f"bench-{Path(self.dataset).resolve().name}"
        only = tuple(name.strip() for name in self.scenes.split(",") if name.strip())
        work = bench(self.dataset, out, self.config, self.data, only)
        document = follow(work, translate)
        print(json.dumps(document, indent=1) if self.json else table(document))
