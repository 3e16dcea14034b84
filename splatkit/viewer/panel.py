"""The controls of one browser: what is shown, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from viser import ClientHandle

from splatkit.core import Gaussians
from splatkit.viewer.session import Look, Session, Shown
from splatkit.viewer.source import SceneSource

MODE_NAMES = {
    "Colour": "rgb",
    "Depth": "depth",
    "Median depth": "depth_median",
    "Normals": "normal",
    "Coverage": "alpha",
}
SECONDS_BETWEEN_READOUTS = 0.3


class Panel:
    """Builds the controls in a browser and passes every change to its session.

    Args:
        client: the browser.
        session: renders for it.
        source: the scene, for its name and counts.
        show_photos: switches the photos' cameras on and off.
        reset: flies back to the first view.
    """

    def __init__(
        self,
        client: ClientHandle,
        session: Session,
        source: SceneSource,
        show_photos: Callable[[bool], None],
        reset: Callable[[], None],
    ) -> None:
        self._session = session
        self._told_at = 0.0
        gaussians, _ = source.current()
        gui = client.gui
        gui.add_markdown(summary(source.name, gaussians, len(source.photos)))
        with gui.add_folder("View"):
            self._mode = gui.add_dropdown("Show", tuple(MODE_NAMES), initial_value="Colour")
            self._degree = gui.add_slider(
                "SH degree",
                min=0,
                max=max(gaussians.sh_degree, 1),
                step=1,
                initial_value=gaussians.sh_degree,
                visible=gaussians.sh_degree > 0,
                hint="How much colours change with the direction: 0 is the same from all sides.",
            )
            red, green, blue = (round(255 * channel) for channel in source.background)
            self._background = gui.add_rgb("Background", (red, green, blue))
            self._resolution = gui.add_slider(
                "Resolution",
                min=25,
                max=100,
                step=5,
                initial_value=100,
                hint="Per cent of this window's pixels, once the view rests.",
            )
            home = gui.add_button("Reset view")
            self._readout = gui.add_markdown("")
        home.on_click(lambda _: reset())
        if source.photos:
            with gui.add_folder("Photos"):
                photos = gui.add_checkbox("Show cameras", initial_value=False)
                gui.add_markdown("Blue: trained on. Orange: held out. Click one to go there.")
            photos.on_update(lambda _: show_photos(photos.value))
        with gui.add_folder("Mouse and keys", expand_by_default=False):
            gui.add_markdown(
                "Drag: turn. Right drag: move. Wheel: nearer, farther. W A S D: fly. Q E: down, up."
            )
        for control in (self._mode, self._degree, self._background, self._resolution):
            control.on_update(lambda _: self._apply())

    def look(self) -> Look:
        """What the controls say."""
        red, green, blue = self._background.value[:3]
        return replace(
            self._session.look,
            mode=MODE_NAMES[self._mode.value],
            sh_degree=int(self._degree.value),
            background=(red / 255, green / 255, blue / 255),
            resolution=self._resolution.value / 100,
        )

    def tell(self, shown: Shown) -> None:
        """Show size and time of a picture, not more often than a person can read."""
        now = time.monotonic()
        if not shown.sharp and now - self._told_at < SECONDS_BETWEEN_READOUTS:
            return
        self._told_at = now
        self._readout.content = readout(shown)

    def _apply(self) -> None:
        self._session.change(self.look())


def readout(shown: Shown) -> str:
    """One line about a picture."""
    rate = 1 / max(shown.seconds, 1e-3)
    speed = f"{rate:.0f} pictures/s" if rate >= 2 else f"{shown.seconds:.1f} s a picture"
    kind = "sharp" if shown.sharp else "moving"
    return f"{shown.width} x {shown.height}, {kind}: {1000 * shown.seconds:.0f} ms ({speed})"


def summary(name: str, gaussians: Gaussians, photos: int) -> str:
    """What the scene is, in Markdown."""
    counts = [f"{len(gaussians):,} Gaussians"]
    if photos:
        counts.append(f"{photos} photos")
    safe = "".join("\\" + c if c in "\\`*_{}[]<>()#+-.!|" else c for c in name)
    return f"**{safe}**  \n{', '.join(counts)}"
