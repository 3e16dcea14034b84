"""``splatkit view SCENE``: scenes in the browser."""

from __future__ import annotations

import os
import secrets
import sys
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from splatkit.viewer import Library, Viewer

RUNS = Path("runs")
"""Where runs go that are given no folder; what is sent to the page goes to a folder in it."""
TOKEN_BYTES = 9
SECONDS_TO_SAVE = 60.0
"""Wait for trainings to write their checkpoints."""


@dataclass(frozen=True)
class Serving:
    """How a viewer is reached."""

    host: str = "127.0.0.1"
    """Address to listen at; 127.0.0.1 is for this machine alone."""
    port: int = 8080
    """Port, or the next free one."""
    token: str | None = None
    """Word that browsers must bring; auto makes one up."""
    no_open: bool = False
    """Do not open the browser."""


@dataclass(frozen=True)
class Command:
    """Look at scenes in the browser, until Ctrl-C.

    SCENE is a run folder, a scene file, or a folder that holds some; several may be given, and
    without any it is the folder runs and what was looked at last. The page lists them, takes
    further files, and trains new ones from photos below these folders.
    """

    scenes: Positional[Annotated[tuple[Path, ...], arg(metavar="[SCENE...]")]] = ()
    """Run folders, scene files (.ply and others), or folders that hold some."""
    serving: Annotated[Serving, arg(name="")] = Serving()
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from splatkit.viewer import Library
        from splatkit.viewer.recent import recent, remember

        roots = list(self.scenes) or [*[RUNS] * RUNS.is_dir(), *recent()]
        library = Library(roots, uploads=RUNS / "uploads")
        entries = library.entries()
        if self.scenes:
            remember(list(self.scenes))
        with open_viewer(library, self.serving, self.backend) as viewer:
            name, url = f"{len(entries)} scenes are", viewer.url
            if len(entries) == 1:
                # A single scene that is damaged is told here and not on the page.
                name = f"{library.source(entries[0].id).name} is"
                url = viewer.url_of(entries[0].id)
            print(f"{name} at {url}   (Ctrl-C ends)", flush=True)
            if not self.serving.no_open and has_screen():
                webbrowser.open(url)
            try:
                while True:
                    time.sleep(1)
            except KeyboardInterrupt:
                print("\nclosed", file=sys.stderr)
            for training in library.trainings.values():
                training.stop()
                training.wait(SECONDS_TO_SAVE)


def open_viewer(library: Library, serving: Serving, backend: str) -> Viewer:
    """Start a viewer as the options say, with a warning where others can reach it."""
    from splatkit.viewer import Viewer, is_loopback

    token = secrets.token_urlsafe(TOKEN_BYTES) if serving.token == "auto" else serving.token
    viewer = Viewer(library, serving.host, serving.port, backend, token, RUNS)
    if not is_loopback(serving.host) and token is None:
        print(
            f"warning: listening at {serving.host}: whoever reaches this machine can look at the "
            "scenes and start trainings; --token auto asks for a word",
            file=sys.stderr,
        )
    if serving.port not in (0, viewer.port):
        print(f"port {serving.port} is in use, taking {viewer.port}", file=sys.stderr)
    if os.environ.get("SSH_CONNECTION") and is_loopback(serving.host):
        print(
            f"from the other end: ssh -L {viewer.port}:localhost:{viewer.port} THIS_MACHINE",
            file=sys.stderr,
        )
    return viewer


def has_screen() -> bool:
    """Whether opening a browser here makes sense."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
