"""One browser tab: its session, its controls, and what stands in its view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import viser
from viser._messages import BackgroundImageMessage

from splatkit.core import Photo
from splatkit.core.bulk import bulk
from splatkit.viewer.desk import Desk
from splatkit.viewer.editing import Editing
from splatkit.viewer.encode import Encoded
from splatkit.viewer.frustums import Frustums
from splatkit.viewer.gathering import Gathering
from splatkit.viewer.guests import Guests
from splatkit.viewer.line import Line
from splatkit.viewer.moving import Moving
from splatkit.viewer.panel import Panel
from splatkit.viewer.plots import Plots
from splatkit.viewer.pointing import Pointing
from splatkit.viewer.session import Session, Shown
from splatkit.viewer.source import SceneSource
from splatkit.viewer.training import Training
from splatkit.viewer.views import first_place, middle, place_of_photo, view_of
from splatkit.viewer.walking import Walking


@dataclass(frozen=True)
class Setting:
    """What a scene stands in."""

    training: Training | None
    """That makes the scene, where there is one."""
    others: dict[str, str]
    """Names and ids of further scenes."""
    open_other: Callable[[str], SceneSource]
    """Gives a scene by its id."""
    backend: str
    """See ``render``."""
    run: Path | None = None
    """The run folder that the scene comes from."""
    line: Line = field(default_factory=Line)
    """To the browser."""
    folder: Path | None = None
    """Where edited scenes go; None where none are kept."""


class Tab:
    """Shows a scene in a browser until it is closed.

    Args:
        client: the browser.
        source: the scene.
        setting: what the scene stands in.
        mode: what to show first; see ``splatkit.viewer.look.ALL_MODES``.
    """

    def __init__(
        self, client: viser.ClientHandle, source: SceneSource, setting: Setting, mode: str
    ) -> None:
        self._client = client
        self._panel: Panel | None = None
        backend = setting.backend
        gaussians, _ = source.current()
        self._middle = middle(source.photos, gaussians)
        home = first_place(source.photos, gaussians)
        reach = float(np.linalg.norm(home.look_at - home.position))
        self._moving = Moving(client, home, *bulk(gaussians))
        self.desk = Desk(source, setting.run)
        gathering = Gathering(self.desk)
        self.session = Session(gathering, self._send, setting.line, self._tell, self._fail, backend)
        self._frustums = Frustums(client, source.photos, reach, self._go)
        tabs = client.gui.add_tab_group()
        with tabs.add_tab("Look", viser.Icon.EYE):
            training = setting.training
            self._plots = None if training is None else Plots(client, training)
            self._panel = Panel(
                client,
                self.session,
                source,
                gathering,
                setting.others,
                setting.open_other,
                self._frustums.show,
                self._moving,
                self.desk.mark,
                setting.run,
                mode,
            )
            if setting.others:
                Guests(client, gathering, setting.others, setting.open_other, reach)
        with tabs.add_tab("Edit", viser.Icon.LASSO):
            pointing = Pointing(client, self.desk, reach, backend)
            self._editing = Editing(client, self.desk, pointing, setting.folder, backend)
        with tabs.add_tab("Path", viser.Icon.ROUTE):
            self.walking = Walking(
                client,
                self.session,
                self.desk,
                reach,
                self._moving.go,
                self._moving.fly,
                backend,
            )
        self.session.change(self._panel.look())
        client.camera.on_update(self._moved)
        self.session.move(*view_of(client.camera))
        self.session.start()

    def close(self) -> None:
        """End what goes on for this browser."""
        if self._plots is not None:
            self._plots.stop()
        self.walking.close()
        self._frustums.close()
        self.session.stop()

    def link(self) -> dict[str, Any]:
        """The camera and the mode, as the query of an address holds them."""
        camera = self._client.camera
        return {
            "position": ",".join(f"{value:.4f}" for value in camera.position),
            "look_at": ",".join(f"{value:.4f}" for value in camera.look_at),
            "fov": f"{camera.fov:.4f}",
            "mode": self.session.look.mode,
        }

    def paint(self, points: list[list[float]], radius: float, how: str) -> int:
        """Select by a stroke over the picture; returns how many are selected.

        Args:
            points: x and y, shares of the view's width and height.
            radius: share of the height.
            how: ``add`` or ``remove``.

        Raises:
            SplatkitError: the scene is in training.
        """
        camera = self._client.camera
        size = torch.tensor([camera.image_width, camera.image_height])
        self._editing.paint(torch.tensor(points) * size, radius * camera.image_height, how)
        return int(self.desk.bench.state.selected.sum())

    def _send(self, picture: Encoded) -> None:
        # viser's own entry encodes by itself, at a quality that knows nothing of the line.
        self._client.scene._websock_interface.queue_message(
            BackgroundImageMessage(picture.format, picture.data, None)
        )
        self._client.flush()

    def _tell(self, shown: Shown) -> None:
        if self._panel is not None:
            self._panel.tell(shown)

    def _fail(self, words: str) -> None:
        self._client.add_notification("This cannot be shown", words)

    def _moved(self, camera: viser.CameraHandle) -> None:
        self.session.move(*view_of(camera))
        self._frustums.seen_from(np.array(camera.position))

    def _go(self, photo: Photo) -> None:
        camera = self._client.camera
        aspect = camera.image_width / max(camera.image_height, 1)
        self._moving.fly(place_of_photo(photo, self._middle, aspect))
