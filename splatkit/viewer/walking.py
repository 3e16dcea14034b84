"""The controls of a camera path in one browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import viser

from splatkit.core import Cameras, SplatkitError, UsageError
from splatkit.core.transforms import quat_from_rotation
from splatkit.io.camera_path import CameraPath, dumps
from splatkit.viewer.session import Session
from splatkit.viewer.source import SceneSource
from splatkit.viewer.views import Place, place_of_camera, view_of
from splatkit.viewer.walk import SHAPES, Filming, Walk, walk_of

LINE_COLOR, KEY_COLOR = (92, 201, 139), (92, 201, 139)
LINE_POINTS = 200
FRAMES_A_SECOND = 20
"""Of a preview."""


class Walking:
    """Builds the controls; keyframes stand in the view as small frustums on a line.

    Args:
        client: the browser.
        session: renders for it; its look is what a video shows.
        source: the scene.
        reach: distance from the first view to the middle of the scene, world units.
        go: moves the browser's camera at once.
        fly: moves it smoothly.
        backend: see ``render``.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        session: Session,
        source: SceneSource,
        reach: float,
        go: Callable[[Place], None],
        fly: Callable[[Place], None],
        backend: str,
    ) -> None:
        self._client, self._session, self._source = client, session, source
        self._reach, self._go, self._fly, self._backend = reach, go, fly, backend
        self.walk = Walk()
        self._drawn = 0
        self._playing = threading.Event()
        self._film: Filming | None = None
        gui = client.gui
        self._told = gui.add_markdown("")
        add = gui.add_button("Add this view", icon=viser.Icon.CAMERA_PLUS, hint="Key K")
        self._key = gui.add_slider("Keyframe", min=1, max=2, step=1, initial_value=1, visible=False)
        self._of_key = gui.add_button_group("This keyframe", ("Go there", "Replace", "Remove"))
        self._seconds = gui.add_slider(
            "Seconds between", min=0.2, max=20, step=0.1, initial_value=self.walk.seconds
        )
        self._loop = gui.add_checkbox("Loop", initial_value=False)
        self._even = gui.add_checkbox(
            "Even speed", initial_value=False, hint="Else each section takes the same time."
        )
        self._play = gui.add_button("Preview", icon=viser.Icon.PLAYER_PLAY)
        with gui.add_folder("Video"):
            self._shape = gui.add_dropdown("Frame size", tuple(SHAPES))
            self._fps = gui.add_slider("Frames a second", min=5, max=60, step=1, initial_value=30)
            self._kind = gui.add_dropdown("As", ("MP4 video", "PNG pictures (ZIP)"))
            self._make = gui.add_button("Make it", icon=viser.Icon.VIDEO)
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._cancel = gui.add_button("Cancel", visible=False, color="gray")
        save = gui.add_button("Save the path", icon=viser.Icon.DOWNLOAD, color="gray")
        gui.add_markdown("To open one, drop its .json file on the page.")
        add.on_click(lambda _: self._add())
        command = gui.add_command("Add this view to the path", hotkey="K")
        command.on_trigger(lambda _: self._add())
        self._of_key.on_click(lambda _: self._attempt(self._change_key))
        for control in (self._seconds, self._loop, self._even, self._fps):
            control.on_update(lambda _: self._timing())
        self._play.on_click(lambda _: self._attempt(self._preview))
        self._make.on_click(lambda _: self._attempt(self._begin))
        self._cancel.on_click(lambda _: self._end())
        save.on_click(lambda _: self._attempt(self._save))
        self._show()

    def close(self) -> None:
        """End a preview and a video that go on."""
        self._playing.clear()
        if self._film is not None:
            self._film.cancel()

    def open(self, path: CameraPath) -> None:
        """Take the keyframes of a file."""
        self.walk = walk_of(path)
        self._seconds.value = min(20.0, max(0.2, round(self.walk.seconds, 1)))
        self._loop.value = path.loop
        self._fps.value = min(60, max(5, round(path.fps)))
        self._show()

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except SplatkitError as error:
            self._client.add_notification("This cannot be done", str(error))

    def _here(self) -> Cameras:
        view, width, height = view_of(self._client.camera)
        return view.camera(max(1, width), max(1, height)).to(torch.float64)

    def _add(self) -> None:
        self.walk = self.walk.with_keyframe(self._here())
        self._show()
        self._key.value = 1 if self.walk.keyframes is None else len(self.walk.keyframes)

    def _change_key(self) -> None:
        keys = self.walk.keyframes
        if keys is None:
            raise UsageError("path: expected a keyframe; add one first")
        index = min(int(self._key.value), len(keys)) - 1
        what = self._of_key.value
        if what == "Go there":
            self._fly(place_of_camera(keys[index : index + 1], self._reach))
            return
        if what == "Replace":
            self.walk = self.walk.with_keyframe(self._here(), index)
        else:
            self.walk = self.walk.without_keyframe(index)
        self._show()

    def _timing(self) -> None:
        self.walk = replace(
            self.walk,
            seconds=float(self._seconds.value),
            loop=self._loop.value,
            even=self._even.value,
            fps=float(self._fps.value),
        )
        self._show()

    def _show(self) -> None:
        """Draw line and keyframes anew, and tell how long the walk is."""
        scene, keys = self._client.scene, self.walk.keyframes
        count = 0 if keys is None else len(keys)
        self._told.content = (
            "Go to a place and add it; two or more make a path."
            if count < 2
            else f"**{count} keyframes, {self.walk.length:.1f} s**"
        )
        self._key.visible = self._of_key.visible = count > 0
        self._key.max = max(2, count)
        for index in range(count, self._drawn):
            scene.remove_by_name(f"/walk/{index}")
        self._drawn = count
        if keys is not None:
            for index in range(count):
                matrix = keys.viewmats[index]
                scene.add_camera_frustum(
                    f"/walk/{index}",
                    fov=float(2 * np.arctan(0.5 * keys.height / float(keys.Ks[index, 1, 1]))),
                    aspect=16 / 9,
                    scale=0.03 * self._reach,
                    color=KEY_COLOR,
                    wxyz=quat_from_rotation(matrix[:3, :3].mT).numpy(),
                    position=keys.positions[index].numpy(),
                    cast_shadow=False,
                    receive_shadow=False,
                )
        if count > 1:
            path = replace(self.walk, fps=LINE_POINTS / self.walk.length).cameras(16, 9)
            points = path.positions.numpy()
            scene.add_line_segments(
                "/walk/line",
                np.stack((points[:-1], points[1:]), 1),
                colors=LINE_COLOR,
                thickness=2.0,
                thickness_units="screen",
            )
        else:
            scene.remove_by_name("/walk/line")

    def _preview(self) -> None:
        if self._playing.is_set():
            self._playing.clear()
            return
        path = replace(self.walk, fps=FRAMES_A_SECOND).cameras(16, 9)
        self._playing.set()
        self._play.label, self._play.icon = "Stop", viser.Icon.PLAYER_STOP
        self._visible(False)
        threading.Thread(target=self._run, args=(path,), name="viewer walk", daemon=True).start()

    def _run(self, path: Cameras) -> None:
        start = time.monotonic()
        while self._playing.is_set():
            index = int((time.monotonic() - start) * FRAMES_A_SECOND)
            if index >= len(path):
                if not self.walk.loop:
                    break
                index %= len(path)
            self._go(place_of_camera(path[index : index + 1], self._reach))
            time.sleep(1 / FRAMES_A_SECOND)
        self._playing.clear()
        self._play.label, self._play.icon = "Preview", viser.Icon.PLAYER_PLAY
        self._visible(True)

    def _visible(self, visible: bool) -> None:
        for index in range(self._drawn):
            handle = self._client.scene.get_handle_by_name(f"/walk/{index}")
            if handle is not None:
                handle.visible = visible
        line = self._client.scene.get_handle_by_name("/walk/line")
        if line is not None:
            line.visible = visible

    def _begin(self) -> None:
        if self._film is not None:
            raise UsageError("video: expected one at a time; cancel the one in the making")
        if self._source.allowance is not None:
            raise UsageError("video: expected a scene that rests; this one is in training")
        cameras = self.walk.cameras(*SHAPES[self._shape.value])
        look, (gaussians, _) = self._session.look, self._source.current()
        pictures = self._kind.value.startswith("PNG")
        self._film = Filming(
            gaussians,
            cameras,
            look,
            self.walk.fps,
            self._backend,
            pictures,
            self._progress,
            lambda made: self._filmed(made, "frames.zip" if pictures else "walk.mp4"),
        )
        self._bar.value, self._bar.visible, self._cancel.visible = 0.0, True, True
        self._make.disabled = True
        self._film.start()

    def _progress(self, done: int, total: int) -> None:
        self._bar.value = 100 * done / total

    def _filmed(self, made: bytes | SplatkitError, name: str) -> None:
        self._end()
        if isinstance(made, SplatkitError):
            self._client.add_notification("There is no video", str(made))
            return
        self._client.send_file_download(name, made, save_immediately=True)

    def _end(self) -> None:
        if self._film is not None:
            self._film.cancel()
        self._film = None
        self._bar.visible = self._cancel.visible = self._make.disabled = False

    def _save(self) -> None:
        text = dumps(self.walk.path(*SHAPES[self._shape.value]))
        self._client.send_file_download("camera_path.json", text.encode(), save_immediately=True)
