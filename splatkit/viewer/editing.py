"""The controls that work on a scene in one browser: select, delete, undo, place, measure, save."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
import viser
from torch import Tensor

from splatkit.core import SplatkitError, UsageError
from splatkit.edit.decimate import most_seen_mask, views_around
from splatkit.edit.placement import (
    Similarity,
    find_floor,
    floor_of_points,
    scale_to,
    turn_between,
    up_of_photos,
)
from splatkit.edit.recipe import cameras_of
from splatkit.viewer.desk import Desk, whole_mask
from splatkit.viewer.pointing import Pointing
from splatkit.viewer.selecting import Selecting

FORMATS = ("Run folder, with the photos", ".ply", ".spz", ".splat")


class Editing:
    """Builds the controls and applies them to a desk.

    Args:
        client: the browser.
        desk: what is worked on.
        pointing: takes clicks in the picture.
        folder: where new scenes go; None where none can be saved.
        backend: see ``render``.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        desk: Desk,
        pointing: Pointing,
        folder: Path | None,
        backend: str,
    ) -> None:
        self._client, self._desk, self._pointing = client, desk, pointing
        self._target, self._backend = folder, backend
        self._measured: tuple[Tensor, Tensor] | None = None
        gui = client.gui
        self._state = gui.add_markdown("")
        with gui.add_folder("Selection"):
            self._selecting = Selecting(
                client, desk, pointing, self._attempt, self._changed, backend
            )
            selection = gui.add_button_group("Selected ones", ("Invert", "None"))
            selection.on_click(
                self._on(lambda: {"Invert": self._invert, "None": self._clear}[selection.value]())
            )
        self._button("Delete", lambda: desk.bench.delete(), viser.Icon.TRASH, "Del key")
        self._button("Keep only the selected", lambda: desk.bench.keep())
        steps = gui.add_button_group("Steps", ("Undo", "Redo"), hint="Ctrl Z, Ctrl Shift Z")
        steps.on_click(self._on(lambda: self._step(self._steps()[steps.value]())))
        with gui.add_folder("Thin out", expand_by_default=False):
            count = len(desk.current()[0])
            most = gui.add_number("Keep", count // 2 or 1, min=1, step=1000)
            self._button("Keep those that show most", lambda: self._thin(int(most.value)))
        with gui.add_folder("Place and measure", expand_by_default=False):
            self._add_placing(gui)
        with gui.add_folder("Save", expand_by_default=True, visible=folder is not None):
            self._name = gui.add_text("Name", f"{desk.name}-edited")
            self._format = gui.add_dropdown("As", FORMATS)
            self._button("Save as a new scene", self._save, viser.Icon.DEVICE_FLOPPY)
        undo = gui.add_command("Undo", hotkey="Z", modifier="cmd/ctrl")
        undo.on_trigger(self._on(lambda: self._step(self._steps()["Undo"]())))
        redo = gui.add_command("Redo", hotkey="Z", modifier="cmd/ctrl+shift")
        redo.on_trigger(self._on(lambda: self._step(self._steps()["Redo"]())))
        delete = gui.add_command("Delete the selection", hotkey="delete")
        delete.on_trigger(self._on(lambda: desk.bench.delete()))
        self._changed()

    def paint(self, stroke: Tensor, radius: float, how: str) -> None:
        """Change the selection by a stroke, pixels of the view; see ``Selecting.paint``.

        Raises:
            SplatkitError: the scene is in training.
        """
        self._selecting.paint(stroke, radius, how)
        self._changed()

    def _add_placing(self, gui: viser.GuiApi) -> None:
        self._button(
            "Upright by the photos",
            lambda: self._move(
                Similarity(turn_between(up_of_photos(self._photos()).tolist())), "turn upright"
            ),
        )
        self._button("Level the floor", self._level)
        self._button("Floor through three clicks", lambda: self._pick(3, self._floor))
        self._button("Measure between two clicks", lambda: self._pick(2, self._measure))
        self._distance = gui.add_markdown("")
        self._true = gui.add_number("True distance", 1.0, min=1e-9, visible=False)
        self._scale = gui.add_button("Scale to it", visible=False)
        self._scale.on_click(self._on(self._rescale))

    def _button(
        self,
        label: str,
        action: Callable[[], object],
        icon: viser.IconName | None = None,
        hint: str | None = None,
    ) -> None:
        button = self._client.gui.add_button(label, icon=icon, color="gray", hint=hint)
        button.on_click(self._on(action))

    def _on(self, action: Callable[[], object]) -> Callable[[object], None]:
        return lambda _: self._attempt(action)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except SplatkitError as error:
            self._client.add_notification("This cannot be done", str(error))
        self._changed()

    def _changed(self) -> None:
        if self._desk.is_live:
            self._state.content = "This scene is in training; it can be worked on when it rests."
            return
        if not self._desk.is_begun:
            self._state.content = "Nothing is lost here: what you make is saved as a new scene."
            return
        state = self._desk.bench.state
        left, selected = int(state.alive.sum()), int(state.selected.sum())
        gone = len(state.alive) - left
        self._state.content = f"**{left:,}** Gaussians, {gone:,} deleted, **{selected:,} selected**"

    def _steps(self) -> dict[str, Callable[[], str | None]]:
        return {"Undo": self._desk.bench.undo, "Redo": self._desk.bench.redo}

    def _invert(self) -> None:
        self._desk.bench.invert()

    def _step(self, words: str | None) -> None:
        if words is None:
            raise SplatkitError("there is nothing to undo or to do again")

    def _clear(self) -> None:
        bench = self._desk.bench
        bench.select(torch.zeros_like(bench.state.alive), "new", "select nothing")

    def _thin(self, limit: int) -> None:
        bench = self._desk.bench
        now = bench.result()
        if limit >= len(now):
            raise UsageError(f"thin: expected fewer than the {len(now):,} Gaussians that there are")
        cameras = cameras_of(self._photos()) or views_around(now)
        going = whole_mask(bench, ~most_seen_mask(now, cameras, limit, self._backend))
        bench.remove(going, f"keep {limit:,} that show most")

    def _photos(self) -> list:
        placed = self._desk.bench.state.placed
        return [placed.photo(photo) for photo in self._desk.photos]

    def _move(self, similarity: Similarity, words: str) -> None:
        self._pointing.stop()
        self._desk.bench.move(similarity, words)

    def _level(self) -> None:
        floor = find_floor(self._desk.bench.result())
        self._move(floor.levelled(), "level the floor")

    def _floor(self, points: list[Tensor]) -> None:
        self._move(floor_of_points(points).levelled(), "level the floor")

    def _pick(self, count: int, done: Callable[[list[Tensor]], None]) -> None:
        self._selecting.end()
        self._distance.content = f"Click on {count} points of the scene."
        self._true.visible = self._scale.visible = False
        self._pointing.points(count, lambda points: self._attempt(lambda: done(points)))

    def _measure(self, points: list[Tensor]) -> None:
        self._measured = points[0], points[1]
        distance = float((points[0] - points[1]).norm())
        self._distance.content = f"**{distance:.4g}** units between the two points."
        self._true.value = float(f"{distance:.4g}")
        self._true.visible = self._scale.visible = True

    def _rescale(self) -> None:
        if self._measured is None:
            raise UsageError("scale: expected two points; click on them first")
        factor = scale_to(*self._measured, self._true.value)
        self._move(Similarity(scale=factor), f"scale by {factor:.4g}")
        self._measured = None
        self._true.visible = self._scale.visible = False
        self._distance.content = f"Scaled by {factor:.4g}."

    def _save(self) -> None:
        if self._target is None:
            raise UsageError("save: this viewer keeps no files")
        name = re.sub(r"[^\w .()+-]", "_", self._name.value).strip(" .")[:100]
        if not name:
            raise UsageError("save: expected a name for the new scene")
        suffix = self._format.value if self._format.value.startswith(".") else ""
        if not suffix:
            name = name.replace(".", "-")
        target = self._target / f"{name}{suffix}"
        self._desk.save(target)
        self._client.add_notification(
            "Saved", f"{target.name} is in the list of scenes, as a new one.", color="green"
        )
