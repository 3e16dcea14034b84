"""``splatkit view SCENE``: a scene in the browser."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Look at a scene in the browser, until Ctrl-C."""

    scene: Positional[Annotated[Path, arg(metavar="SCENE")]]
    """A run folder, or a scene file (.ply and others)."""
    host: str = "127.0.0.1"
    """Address to listen at; 127.0.0.1 is for this machine alone."""
    port: int = 8080
    """Port, or the next free one."""
    no_open: bool = False
    """Do not open the browser."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, torch_ref."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from splatkit.export import open_scene
        from splatkit.viewer import FixedSource, Viewer, is_loopback

        source = FixedSource(open_scene(self.scene))
        with Viewer(source, self.host, self.port, self.backend) as viewer:
            if not is_loopback(self.host):
                print(
                    f"warning: listening at {self.host}: whoever reaches this machine can look "
                    "at the scene, there is no password",
                    file=sys.stderr,
                )
            if self.port not in (0, viewer.port):
                print(f"port {self.port} is in use, taking {viewer.port}", file=sys.stderr)
            print(f"{source.name} is at {viewer.url}   (Ctrl-C ends)", flush=True)
            if not self.no_open and _has_screen():
                webbrowser.open(viewer.url)
            try:
                while True:
                    time.sleep(1)
            except KeyboardInterrupt:
                print("\nclosed", file=sys.stderr)


def _has_screen() -> bool:
    """Whether opening a browser here makes sense."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
