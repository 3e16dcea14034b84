"""``splatkit ingest PHOTOS``: find the cameras, and nothing more."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatkit.cli._progress import Stopped, follow
from splatkit.core import SplatkitError, UsageError
from splatkit.ingest.config import IngestConfig


@dataclass(frozen=True)
class Command:
    """Only find the cameras of a folder of photos, and undistort the photos."""

    photos: Positional[Annotated[Path, arg(metavar="PHOTOS")]]
    """Folder of photos, video, COLMAP project, or transforms.json."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """The scene folder to make."""
    check: bool = False
    """Only look at the photos: faults, advice, and how long the work would take. The exit code is 1
    where no scene can come of them."""
    config: Annotated[IngestConfig, arg(name="")] = field(default_factory=IngestConfig)
    json: bool = False
    """Print what was found as JSON."""

    def run(self) -> None:
        """Ingest, and print where the scene is."""
        from splatkit.ingest import check, describe, ingest
        from splatkit.io.scene import load_scene

        if self.check:
            capture = follow(check(self.photos, self.config))
            print(json.dumps(capture.as_json(), indent=1) if self.json else describe(capture))
            if capture.obstacle is not None:
                raise SplatkitError(f"{self.photos}: {capture.obstacle}")
            return
        if self.output is None:
            raise UsageError("expected -o DIR (the scene folder to make), or --check, got neither")
        try:
            folder = follow(ingest(self.photos, self.output, self.config))
        except Stopped as stop:
            again = f"splatkit {shlex.join(sys.argv[1:])}"
            raise Stopped(f"stopped; what is finished is kept, go on with: {again}") from stop
        if not self.json:
            print(folder)
            return
        scene = load_scene(folder)
        found = {
            "scene": str(folder),
            "photos": len(scene.photos),
            "held_out": len(scene.held_out_photos),
            "points": len(scene.points),
            "missing": scene.missing,
        }
        print(json.dumps(found, indent=1))
