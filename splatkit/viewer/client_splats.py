"""Splats that one browser draws by itself: for lines that carry no pictures in time.

viser's splats have one colour each: what changes with the direction is left out, and the page says
so. They go out once, 32 bytes each, and then moving costs the line nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import viser

from splatkit.core import Gaussians
from splatkit.core.sh import rgb_from_sh
from splatkit.core.transforms import covariance_from_scale_rotation
from splatkit.viewer.session import Session
from splatkit.viewer.source import SceneSource

BYTES_A_SPLAT = 32
NODE = "/splats"
WORDS = (
    "**This browser draws.** Colours do not change with the direction, and only colour can be "
    "shown; Gaussians as they were when this was switched on."
)


class ClientSplats:
    """A switch between pictures from the server and splats in the browser.

    Args:
        client: the browser.
        session: renders for it.
        source: what it shows.
        switched: is called after every switch, with whether the browser draws.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        session: Session,
        source: SceneSource,
        switched: Callable[[bool], None],
    ) -> None:
        self._client, self._session, self._source = client, session, source
        self._switched = switched
        gaussians, _ = source.current()
        megabytes = max(1, round(len(gaussians) * BYTES_A_SPLAT / 1e6))
        self._switch = client.gui.add_checkbox(
            "Draw here",
            initial_value=False,
            hint=f"For slow lines: sends the scene once, about {megabytes} MB, and this browser "
            "draws it, without colours that change with the direction.",
        )
        self._words = client.gui.add_markdown(WORDS, visible=False)
        self._switch.on_update(lambda _: self._apply(self._switch.value))

    def _apply(self, here: bool) -> None:
        self._words.visible = here
        self._session.rest(here)
        if here:
            self._client.scene.set_background_image(None)
            add_splats(self._client.scene, self._source.current()[0])
        else:
            self._client.scene.remove_by_name(NODE)
        self._switched(here)


def add_splats(scene: viser.SceneApi, gaussians: Gaussians) -> viser.GaussianSplatHandle:
    """Put Gaussians into a page as viser's splats, by the colour that all directions share."""
    flat = gaussians.detach()
    return scene.add_gaussian_splats(
        NODE,
        centers=flat.means.float().cpu().numpy(),
        covariances=covariance_from_scale_rotation(flat.scales, flat.quats).float().cpu().numpy(),
        rgbs=rgb_from_sh(flat.sh[:, 0]).clamp(0, 1).float().cpu().numpy(),
        opacities=flat.opacities[:, None].float().cpu().numpy(),
    )
