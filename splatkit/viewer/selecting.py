"""The controls that select and delete in one browser."""

from __future__ import annotations

from collections.abc import Callable

import torch
import viser
from torch import Tensor

from splatkit.core import SplatkitError
from splatkit.core.bulk import bulk
from splatkit.edit.floaters import WORDS, Signs, find_floaters, union
from splatkit.edit.recipe import cameras_of
from splatkit.edit.selection import (
    by_color,
    by_opacity,
    by_size,
    in_rectangle,
    shown,
    under_brush,
)
from splatkit.viewer.desk import Desk, whole_mask
from splatkit.viewer.pointing import Pointing
from splatkit.viewer.volumes import Volume, inside

TOOLS = ("Box", "Ball", "Rectangle", "Brush", "Colour", "Opacity", "Size", "Floaters")
HOW = {"New": "new", "Add": "add", "Take away": "remove", "Only both": "both"}
VOLUME_SHARE = 0.5
"""Width of a box or ball at first, in radii of the scene's bulk."""
_HINTS = {
    "Box": "Move and turn the box in the view, then Select.",
    "Ball": "Move the ball in the view, then Select.",
    "Rectangle": "Draw rectangles in the view with the mouse.",
    "Brush": "Click in the view; what is under the brush is added. Key B paints with the mouse.",
    "Colour": "What is near this colour, seen from all sides.",
    "Opacity": "What is so opaque; 0 is invisible.",
    "Size": "What has its largest extent (a standard deviation) in this range.",
    "Floaters": "What shows any of these signs.",
}


class Selecting:
    """Builds the tools and applies them to a desk.

    Args:
        client: the browser.
        desk: what is worked on.
        pointing: takes clicks in the picture.
        attempt: runs what may fail and tells the browser why.
        changed: is called after every step.
        backend: see ``render``.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        desk: Desk,
        pointing: Pointing,
        attempt: Callable[[Callable[[], object]], None],
        changed: Callable[[], None],
        backend: str,
    ) -> None:
        self._desk, self._pointing, self._backend = desk, pointing, backend
        self._attempt, self._changed = attempt, changed
        gaussians, _ = desk.current()
        center, radius = bulk(gaussians)
        width = float(f"{VOLUME_SHARE * radius:.2g}")
        self._volume = Volume(client, center, width)
        gui = client.gui
        self._tool = gui.add_dropdown("Select by", ("Nothing", *TOOLS))
        self._hint = gui.add_markdown("", visible=False)
        self._of: dict[str, list] = {tool: [] for tool in TOOLS}
        self._size = gui.add_vector3(
            "Widths", (width, width, width), step=width / 20, visible=False
        )
        self._width = gui.add_number("Width", width, min=1e-6, step=width / 20, visible=False)
        self._radius = gui.add_slider(
            "Radius", min=2, max=200, step=1, initial_value=30, visible=False, hint="Pixels."
        )
        self._surface = gui.add_checkbox(
            "Only what shows",
            initial_value=True,
            visible=False,
            hint="Leaves out what is hidden behind others in this view.",
        )
        self._color = gui.add_rgb("Colour", (128, 128, 128), visible=False)
        self._tolerance = gui.add_slider(
            "Tolerance",
            min=1,
            max=100,
            step=1,
            initial_value=15,
            visible=False,
            hint="Per cent.",
        )
        self._opacity = gui.add_multi_slider(
            "Opacity", min=0, max=1, step=0.01, initial_value=(0.0, 0.05), visible=False
        )
        self._from = gui.add_number("From", 0.0, min=0.0, visible=False)
        self._to = gui.add_number("To", float(f"{radius:.3g}"), min=0.0, visible=False)
        self._add_signs(gui)
        self._of |= {
            "Box": [self._size],
            "Ball": [self._width],
            "Rectangle": [self._surface],
            "Brush": [self._radius, self._surface],
            "Colour": [self._color, self._tolerance],
            "Opacity": [self._opacity],
            "Size": [self._from, self._to],
        }
        self._how = gui.add_dropdown("Changes the selection", tuple(HOW), visible=False)
        self._go = gui.add_button("Select", icon=viser.Icon.LASSO, visible=False)
        self._found = gui.add_markdown("")
        self._tool.on_update(lambda _: self._choose())
        self._size.on_update(lambda _: self._volume.resize(self._size.value))
        self._width.on_update(lambda _: self._volume.resize(self._widths()))
        self._go.on_click(lambda _: attempt(self._select))

    def paint(self, stroke: Tensor, radius: float, how: str) -> None:
        """Change the selection by a stroke over the picture.

        Args:
            stroke: [P,2] pixels of the view.
            radius: pixels.
            how: see ``splatkit.edit.selection.COMBINATIONS``.
        """
        camera = self._pointing.camera()
        mask = under_brush(self._desk.bench.current(), camera, stroke, radius)
        self._apply(self._what_shows(mask), how, "select by brush")

    def end(self) -> None:
        """Put the tool away."""
        self._tool.value = "Nothing"
        self._choose()

    def _add_signs(self, gui: viser.GuiApi) -> None:
        usual = Signs()
        self._signs = {
            "opacity": gui.add_number("Fainter than", usual.opacity or 0, min=0, max=1, step=0.01),
            "size": gui.add_number("Larger than", usual.size or 0, min=0, step=0.1),
            "density": gui.add_number("Farther than", usual.density or 1, min=1, step=0.5),
            "views": gui.add_number("Seen by fewer", usual.views or 0, min=0, step=1),
            "cluster": gui.add_number("Clusters below", usual.cluster or 0, min=0, step=1),
        }
        hints = (
            "Opacity, 0 to 1.",
            "Radii of the scene's bulk.",
            "Times the distance that is usual among the neighbours.",
            "Photos.",
            "Gaussians that touch one another.",
        )
        for control, hint in zip(self._signs.values(), hints, strict=True):
            control.hint, control.visible = hint, False
        self._signs["views"].disabled = not self._desk.photos
        self._of["Floaters"] = list(self._signs.values())

    def _choose(self) -> None:
        tool = self._tool.value
        mine = self._of.get(tool, [])
        for controls in self._of.values():
            for control in controls:
                control.visible = any(control is one for one in mine)
        self._hint.content, self._hint.visible = _HINTS.get(tool, ""), tool in _HINTS
        self._how.visible = tool != "Nothing"
        self._go.visible = tool not in ("Nothing", "Rectangle", "Brush")
        self._volume.show(tool if tool in ("Box", "Ball") else None)
        if tool in ("Box", "Ball"):
            self._volume.resize(self._widths())
        if tool == "Rectangle":
            self._pointing.rectangles(
                lambda corner, other: self._on_picture(
                    lambda: in_rectangle(
                        self._desk.bench.current(), self._pointing.camera(), corner, other
                    )
                )
            )
        elif tool == "Brush":
            self._pointing.dabs(
                lambda place: self._on_picture(
                    lambda: under_brush(
                        self._desk.bench.current(),
                        self._pointing.camera(),
                        place,
                        self._radius.value,
                    )
                )
            )
        else:
            self._pointing.stop()

    def _widths(self) -> tuple[float, float, float]:
        if self._tool.value == "Box":
            return self._size.value
        return self._width.value, self._width.value, self._width.value

    def _on_picture(self, find: Callable[[], Tensor]) -> None:
        def work() -> None:
            mask = self._what_shows(find())
            how = HOW[self._how.value]
            # A brush that begins anew with every dab would be of no use.
            adds = self._tool.value == "Brush" and how == "new"
            self._apply(mask, "add" if adds else how)

        self._attempt(work)

    def _what_shows(self, mask: Tensor) -> Tensor:
        if not self._surface.value:
            return mask
        bench = self._desk.bench
        seen = shown(bench.result(), self._pointing.camera(), self._backend)
        return mask & whole_mask(bench, seen)

    def _select(self) -> None:
        tool, bench = self._tool.value, self._desk.bench
        gaussians = bench.current()
        words = ""
        if tool in ("Box", "Ball"):
            mask = inside(gaussians, self._volume.placed, tool)
        elif tool == "Colour":
            rgb = [channel / 255 for channel in self._color.value[:3]]
            mask = by_color(gaussians, rgb, self._tolerance.value / 100 * 3**0.5)
        elif tool == "Opacity":
            mask = by_opacity(gaussians, *self._opacity.value)
        elif tool == "Size":
            mask = by_size(gaussians, self._from.value, self._to.value)
        elif tool == "Floaters":
            mask, words = self._floaters()
        else:
            raise SplatkitError("select: expected a tool; choose one above")
        self._apply(mask, HOW[self._how.value])
        self._found.content = words

    def _floaters(self) -> tuple[Tensor, str]:
        bench = self._desk.bench
        values = {name: control.value for name, control in self._signs.items()}
        signs = Signs(**values | {name: int(values[name]) for name in ("views", "cluster")})
        placed = bench.state.placed
        cameras = cameras_of([placed.photo(photo) for photo in self._desk.photos])
        found = find_floaters(bench.result(), signs, cameras, self._backend)
        rows = "\n".join(f"| {WORDS[name]} | {int(m.sum()):,} |" for name, m in found.items())
        count = int(bench.state.alive.sum())
        return whole_mask(bench, union(found, count)), f"| | |\n|---|---|\n{rows}"

    def _apply(self, mask: Tensor, how: str, words: str | None = None) -> None:
        with torch.no_grad():
            step = words or f"select by {self._tool.value.lower()}"
            self._desk.bench.select(mask, how, step)
        self._found.content = ""
        self._changed()
