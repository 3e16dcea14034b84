"""The controls of one browser: what is shown, and how."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import viser
from viser import ClientHandle

from splatkit.core import Gaussians, SplatkitError
from splatkit.viewer.client_splats import ClientSplats
from splatkit.viewer.enhancing import EnhancingPanel
from splatkit.viewer.look import COLORMAPS, DEPTHS, OF_PHOTOS, VALUES, Look
from splatkit.viewer.moving import SIDES, Moving
from splatkit.viewer.session import Session, Shown
from splatkit.viewer.source import SceneSource

MODE_NAMES = {
    "Colour": "rgb",
    "Depth": "depth",
    "Median depth": "depth_median",
    "Normals": "normal",
    "Coverage": "alpha",
    "Opacity": "opacity",
    "Gaussians a pixel": "count",
    "Seen by photos": "seen",
    "Nearest photo": "photo",
    "Error against the photo": "error",
}
"""What the page calls the modes; see ``splatkit.viewer.look.ALL_MODES``."""
NOTHING = "Nothing"
PHOTO = "The nearest photo"
PLAIN = "The plain render"
SECONDS_BETWEEN_READOUTS = 0.3
PHONE_WIDTH = 600
"""Pixels of a view in which only the most wanted controls are unfolded."""


class Panel:
    """Builds the controls in a browser and passes every change to its session.

    Args:
        client: the browser.
        session: renders for it.
        source: the scene, for its name and counts.
        shown: what the view shows of it: edited, or among others.
        others: names and ids of the scenes that this one can be compared with.
        open_other: gives a scene by its id.
        show_photos: switches the photos' cameras, and their pictures, on and off.
        moving: flies to views with a name.
        mark: remembers the selection as the part that is enhanced; tells how many that are.
        run: the scene's run folder, where it is in one.
        mode: what to show first, one of the values of ``MODE_NAMES``.
    """

    def __init__(
        self,
        client: ClientHandle,
        session: Session,
        source: SceneSource,
        shown: SceneSource,
        others: dict[str, str],
        open_other: Callable[[str], SceneSource],
        show_photos: Callable[[bool, bool], None],
        moving: Moving,
        mark: Callable[[], int],
        run: Path | None,
        mode: str = "rgb",
    ) -> None:
        self._client = client
        self._session = session
        self._others, self._open_other = others, open_other
        self._told_at = 0.0
        self._is_wide = client.camera.image_width > PHONE_WIDTH
        self._photos = source.photos
        gaussians, _ = source.current()
        gui = client.gui
        gui.add_markdown(summary(source.name, gaussians, len(source.photos)))
        with gui.add_folder("View"):
            self._add_view(gaussians, source.background, mode)
            home = gui.add_button("Reset view", icon=viser.Icon.HOME, color="gray", hint="Key H")
            sides = gui.add_button_group("Look from", tuple(SIDES))
            self._readout = gui.add_markdown("")
        home.on_click(lambda _: moving.home())
        sides.on_click(lambda _: moving.side(sides.value))
        self._add_keys(moving)
        if source.photos:
            with gui.add_folder("Photos", expand_by_default=self._is_wide):
                photos = gui.add_checkbox("Show cameras", initial_value=False)
                pictures = gui.add_checkbox("With pictures", initial_value=False, visible=False)
                gui.add_markdown("Blue: trained on. Orange: held out. Click one to go there.")

            def switched(_: object) -> None:
                pictures.visible = photos.value
                show_photos(photos.value, pictures.value)

            photos.on_update(switched)
            pictures.on_update(switched)
        self._enhancing = EnhancingPanel(gui, self._apply, mark, run)
        self._add_comparison()
        with gui.add_folder("Finer settings", expand_by_default=False):
            self._add_settings(gaussians)
            ClientSplats(client, session, shown, self._drawn_here)
        with gui.add_folder("Mouse and keys", expand_by_default=False):
            gui.add_markdown(
                "Drag: turn. Right drag: move. Wheel: nearer, farther. W A S D: fly. Q E: down, "
                "up. H: first view. F: all of the scene. R: level again. 1 to 5: front, back, "
                "left, right, top. K: add to the path. On a phone: one finger turns, two move "
                "and zoom."
            )

    def _drawn_here(self, here: bool) -> None:
        self._mode.disabled = here
        self._readout.content = "drawn by this browser" if here else ""

    def look(self) -> Look:
        """What the controls say."""
        red, green, blue = self._background.value[:3]
        mode = MODE_NAMES[self._mode.value]
        near, far = self._near.value, self._far.value
        return replace(
            self._session.look,
            mode=mode,
            sh_degree=int(self._degree.value),
            background=(red / 255, green / 255, blue / 255),
            resolution=self._resolution.value / 100,
            colormap=self._colormap.value,
            value_range=(near, far) if self._fixed.value and self._is_range(near, far) else None,
            size=self._size.value / 100,
            near=self._cut.value,
            far=self._far_cut.value or None,
            enhancing=self._enhancing.wish(),
        )

    def tell(self, shown: Shown) -> None:
        """Show size and time of a picture, not more often than a person can read."""
        now = time.monotonic()
        if not shown.sharp and now - self._told_at < SECONDS_BETWEEN_READOUTS:
            return
        self._told_at = now
        self._readout.content = readout(shown)

    def _add_view(
        self, gaussians: Gaussians, background: tuple[float, float, float], mode: str
    ) -> None:
        gui = self._client.gui
        has_photos = bool(self._photos)
        offered = {n: m for n, m in MODE_NAMES.items() if has_photos or m not in OF_PHOTOS}
        names = {value: name for name, value in offered.items()}
        self._mode = gui.add_dropdown(
            "Show", tuple(offered), initial_value=names.get(mode, "Colour")
        )
        is_depth = mode in DEPTHS or mode in VALUES
        self._colormap = gui.add_dropdown("Colours", COLORMAPS, visible=is_depth)
        self._fixed = gui.add_checkbox(
            "Fixed range",
            initial_value=False,
            visible=is_depth,
            hint="Off: each picture's own range of depths, or the usual one of other values.",
        )
        self._near = gui.add_number("From", 0.5, min=0, step=0.1, visible=False)
        self._far = gui.add_number("To", 10.0, min=0.002, step=0.1, visible=False)
        red, green, blue = (round(255 * channel) for channel in background)
        self._background = gui.add_rgb("Background", (red, green, blue))
        self._fov = gui.add_slider(
            "Field of view",
            min=15,
            max=120,
            step=1,
            initial_value=min(120, max(15, round(math.degrees(self._client.camera.fov)))),
            hint="Degrees from the bottom of the view to its top.",
        )
        for control in (
            self._mode, self._colormap, self._fixed, self._near, self._far, self._background
        ):  # fmt: skip
            control.on_update(lambda _: self._apply())
        self._fov.on_update(lambda event: self._set_fov() if event.client else None)

    def _add_settings(self, gaussians: Gaussians) -> None:
        gui = self._client.gui
        self._degree = gui.add_slider(
            "SH degree",
            min=0,
            max=max(gaussians.sh_degree, 1),
            step=1,
            initial_value=gaussians.sh_degree,
            visible=gaussians.sh_degree > 0,
            hint="How much colours change with the direction: 0 is the same from all sides.",
        )
        self._size = gui.add_slider(
            "Splat size",
            min=5,
            max=100,
            step=5,
            initial_value=100,
            hint="Per cent; small ones show what the scene is made of.",
        )
        self._cut = gui.add_number(
            "Cut before",
            0.01,
            min=0.001,
            step=0.1,
            hint="Nothing nearer than this is drawn, in the scene's units: looks into rooms.",
        )
        self._far_cut = gui.add_number(
            "Cut behind",
            0.0,
            min=0,
            step=0.5,
            hint="Nothing farther is drawn; 0: all is.",
        )
        self._resolution = gui.add_slider(
            "Resolution",
            min=25,
            max=100,
            step=5,
            initial_value=100,
            hint="Per cent of this window's pixels, once the view rests.",
        )
        for control in (
            self._degree, self._size, self._cut, self._far_cut, self._resolution
        ):  # fmt: skip
            control.on_update(lambda _: self._apply())

    def _add_comparison(self) -> None:
        gui = self._client.gui
        with gui.add_folder("Compare", expand_by_default=False):
            choices = (NOTHING, PLAIN, *([PHOTO] if self._photos else []), *self._others)
            other = gui.add_dropdown("With", choices)
            wipe = gui.add_slider(
                "Wipe",
                min=0,
                max=100,
                step=1,
                initial_value=50,
                visible=False,
                hint="Left of the line: this scene. Right of it: the other one, the photo, or the "
                "scene without upscaling and grading.",
            )

        def chosen(_: object) -> None:
            name = other.value
            try:
                known = name in self._others
                source = self._open_other(self._others[name]) if known else None
            except SplatkitError as error:
                self._client.add_notification("This scene cannot be opened", str(error))
                source = None
            is_photo, is_plain = name == PHOTO, name == PLAIN
            wipe.visible = source is not None or is_photo or is_plain
            self._session.change(
                replace(self._session.look, other=source, photo=is_photo, plain=is_plain)
            )

        other.on_update(chosen)
        wipe.on_update(
            lambda _: self._session.change(replace(self._session.look, wipe=wipe.value / 100))
        )

    def _add_keys(self, moving: Moving) -> None:
        gui = self._client.gui
        gui.add_command("First view", hotkey="H").on_trigger(lambda _: moving.home())
        gui.add_command("All of the scene", hotkey="F").on_trigger(lambda _: moving.frame())
        gui.add_command("Level again", hotkey="R").on_trigger(lambda _: moving.level())
        keys: tuple[Literal["1", "2", "3", "4", "5"], ...] = ("1", "2", "3", "4", "5")
        for key, side in zip(keys, SIDES, strict=True):
            command = gui.add_command(f"From the {side.lower()}", hotkey=key)
            command.on_trigger(lambda _, side=side: moving.side(side))

    def _is_range(self, low: float, high: float) -> bool:
        # Depths are shown by their inverse: 0 is no end of a range.
        return high > low and (low > 0 or MODE_NAMES[self._mode.value] not in DEPTHS)

    def _set_fov(self) -> None:
        self._client.camera.fov = math.radians(self._fov.value)

    def _apply(self) -> None:
        mode = MODE_NAMES[self._mode.value]
        is_depth = mode in DEPTHS or mode in VALUES
        self._colormap.visible = self._fixed.visible = is_depth
        self._near.visible = self._far.visible = is_depth and self._fixed.value
        self._session.change(self.look())


def readout(shown: Shown) -> str:
    """One line about a picture, and one about its parts where it is upscaled or graded."""
    rate = 1 / max(shown.seconds, 1e-3)
    speed = f"{rate:.0f} pictures/s" if rate >= 2 else f"{shown.seconds:.1f} s a picture"
    kind = "sharp" if shown.sharp else "moving"
    line = f"{shown.width} x {shown.height}, {kind}: {1000 * shown.seconds:.0f} ms ({speed})"
    if shown.milliseconds:
        parts = ", ".join(f"{part} {time:.0f} ms" for part, time in shown.milliseconds.items())
        ratio = f"{shown.ratio:.3g}x: " if shown.ratio > 1 else ""
        line += f"  \n{ratio}{parts}"
    return line


def summary(name: str, gaussians: Gaussians, photos: int) -> str:
    """What the scene is, in Markdown."""
    counts = [f"{len(gaussians):,} Gaussians"]
    if photos:
        counts.append(f"{photos} photos")
    safe = "".join("\\" + c if c in "\\`*_{}[]<>()#+-.!|" else c for c in name)
    return f"**{safe}**  \n{', '.join(counts)}"
