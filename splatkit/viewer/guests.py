"""Further scenes in one browser's view: a folder of controls and a gizmo for each."""

from __future__ import annotations

from collections.abc import Callable

import viser

from splatkit.core import SplatkitError
from splatkit.viewer.gathering import Gathering, Guest
from splatkit.viewer.source import SceneSource

GIZMO_SHARE = 0.25
"""Size of a gizmo, in distances from the first view to the middle of the scene."""


class Guests:
    """Lets a person add scenes, move them and take them away.

    Args:
        client: the browser.
        gathering: what its session draws.
        others: names and ids of the scenes that can be added.
        open_other: gives a scene by its id.
        reach: distance from the first view to the middle of the scene, world units.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        gathering: Gathering,
        others: dict[str, str],
        open_other: Callable[[str], SceneSource],
        reach: float,
    ) -> None:
        self._client = client
        self._gathering = gathering
        self._others, self._open_other = others, open_other
        self._reach = reach
        with client.gui.add_folder("More scenes", expand_by_default=False) as self._folder:
            self._choice = client.gui.add_dropdown("Scene", tuple(others))
            add = client.gui.add_button("Add to the view", icon=viser.Icon.PLUS)
        add.on_click(lambda _: self._add())

    def _add(self) -> None:
        name = self._choice.value
        try:
            guest = Guest(self._open_other(self._others[name]))
        except SplatkitError as error:
            self._client.add_notification("This scene cannot be opened", str(error))
            return
        number = self._gathering.invite(guest)
        gui = self._client.gui
        gizmo = self._client.scene.add_transform_controls(
            f"/guests/{number}", scale=GIZMO_SHARE * self._reach
        )
        with self._folder, gui.add_folder(name) as folder:
            visible = gui.add_checkbox("Visible", initial_value=True)
            move = gui.add_checkbox("Move", initial_value=True)
            scale = gui.add_slider("Scale", min=0.1, max=5.0, step=0.05, initial_value=1.0)
            away = gui.add_button("Take away", icon=viser.Icon.TRASH)

        def moved(_: object) -> None:
            w, x, y, z = (float(value) for value in gizmo.wxyz)
            px, py, pz = (float(value) for value in gizmo.position)
            self._gathering.change(number, wxyz=(w, x, y, z), position=(px, py, pz))

        def dismissed(_: object) -> None:
            self._gathering.dismiss(number)
            gizmo.remove()
            folder.remove()

        def switched(_: object) -> None:
            gizmo.visible = move.value and visible.value
            self._gathering.change(number, visible=visible.value)

        gizmo.on_update(moved)
        visible.on_update(switched)
        move.on_update(switched)
        scale.on_update(lambda _: self._gathering.change(number, scale=scale.value))
        away.on_click(dismissed)
