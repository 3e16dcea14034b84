"""A camera path that one browser makes: its keyframes, its timing, its file, its video."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from splatkit.core import Cameras, Gaussians, Progress, SplatkitError, UsageError
from splatkit.enhance import Upscaler
from splatkit.export.frames import Paint, render_frames
from splatkit.io.camera_path import CameraPath
from splatkit.render.keyframes import through
from splatkit.viewer.enhancer import upscaled
from splatkit.viewer.look import Look, cut_and_sized

MOST_SECONDS = 600.0
MOST_SIDE = 3840
SHAPES = {"1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080), "1080 x 1920": (1080, 1920),
          "640 x 360": (640, 360), "3840 x 2160": (3840, 2160)}  # fmt: skip
"""Sizes that are offered, pixels; all even, as H.264 wants them."""


@dataclass(frozen=True)
class Walk:
    """Keyframes and how the camera goes through them."""

    keyframes: Cameras | None = None
    """One view or more; None at first."""
    seconds: float = 2.0
    """From one keyframe to the next."""
    loop: bool = False
    even: bool = False
    """At even speed rather than the same time for each section."""
    fps: float = 30.0

    def with_keyframe(self, view: Cameras, index: int | None = None) -> Walk:
        """One more at the end, or another in the place of that number."""
        if self.keyframes is None:
            return replace(self, keyframes=view)
        now, fits = self.keyframes, view.resized(self.keyframes.width, self.keyframes.height)
        viewmats, Ks = now.viewmats.clone(), now.Ks.clone()
        if index is None:
            viewmats, Ks = torch.cat((viewmats, fits.viewmats)), torch.cat((Ks, fits.Ks))
        else:
            viewmats[index], Ks[index] = fits.viewmats[0], fits.Ks[0]
        return replace(self, keyframes=Cameras(viewmats, Ks, now.width, now.height))

    def without_keyframe(self, index: int) -> Walk:
        """One keyframe less."""
        if self.keyframes is None or len(self.keyframes) == 1:
            return replace(self, keyframes=None)
        kept = torch.arange(len(self.keyframes)) != index
        return replace(self, keyframes=self.keyframes[kept])

    @property
    def length(self) -> float:
        """Seconds of the whole walk."""
        count = 0 if self.keyframes is None else len(self.keyframes)
        return max(count if self.loop else count - 1, 0) * self.seconds

    def cameras(self, width: int, height: int) -> Cameras:
        """The views of the whole walk.

        Raises:
            UsageError: there are fewer than two keyframes, or it takes too long.
        """
        if self.keyframes is None or len(self.keyframes) < 2:
            raise UsageError("path: expected two keyframes or more; add them where you look from")
        if self.length > MOST_SECONDS:
            raise UsageError(f"path: expected at most {MOST_SECONDS:.0f} seconds")
        frames = max(2, round(self.length * self.fps) + (0 if self.loop else 1))
        return through(self.keyframes, frames, width, height, self.loop, self.even)

    def path(self, width: int, height: int) -> CameraPath:
        """As a file holds it."""
        cameras = self.cameras(width, height)
        keyframes = self.keyframes
        assert keyframes is not None
        return CameraPath(cameras, self.fps, keyframes.resized(width, height), self.loop)


def walk_of(path: CameraPath) -> Walk:
    """The walk that a file holds; without keyframes in it, every view or some of them are ones."""
    views = path.keyframes
    seconds = 0.0
    if views is None:
        step = max(1, len(path.cameras) // 60)
        views = path.cameras[::step]
        seconds = step / path.fps
    elif len(views) > 1:
        sections = len(views) if path.loop else len(views) - 1
        seconds = len(path.cameras) / path.fps / sections
    return Walk(views, max(0.05, seconds or 2.0), path.loop, False, path.fps)


@dataclass
class Filming:
    """One video in the making, in a thread of its own.

    Args:
        gaussians: the scene.
        cameras: the walk.
        look: what it shows: in colour as the view does, but with nothing to compare; of other
            modes, those of ``splatkit.render.pictures``, all of the scene.
        fps: frames a second.
        backend: see ``render``.
        pictures: a ZIP of numbered PNG files rather than an MP4.
        told: is called with frames done and their number after every frame.
        ended: is called with the file's bytes, or with what went wrong; not when cancelled.
    """

    gaussians: Gaussians
    cameras: Cameras
    look: Look
    fps: float
    backend: str
    pictures: bool
    told: Callable[[int, int], None]
    ended: Callable[[bytes | SplatkitError], None]
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="viewer film", daemon=True).start()

    def cancel(self) -> None:
        """End after the frame at hand; nothing is kept."""
        self._cancelled.set()

    def _run(self) -> None:
        try:
            with TemporaryDirectory(prefix="splatkit-film-") as folder:
                made = self._film(Path(folder))
                if made is not None:
                    self.ended(made)
        except SplatkitError as error:
            self.ended(error)
        except Exception as error:
            self.ended(SplatkitError(f"video: {error}"))

    def _film(self, folder: Path) -> bytes | None:
        target = folder / ("frames" if self.pictures else "walk.mp4")
        work = render_frames(
            self.gaussians,
            self.cameras,
            {self.look.mode: target},
            fps=self.fps,
            background=self.look.background,
            backend=self.backend,
            paint=self._painter(),
        )
        for event in work:
            if self._cancelled.is_set():
                work.close()
                return None
            if isinstance(event, Progress) and event.total:
                self.told(event.done, event.total)
        return _zipped(target) if self.pictures else target.read_bytes()

    def _painter(self) -> Paint:
        """Makes the pictures in colour; its upscaler is not the view's, which goes on meanwhile."""
        look = self.look
        upscaler = Upscaler(look.enhancing.options, self.backend)

        def paint(gaussians: Gaussians, camera: Cameras, _: torch.Tensor) -> torch.Tensor:
            gaussians = cut_and_sized(gaussians, camera, look)
            return upscaled(upscaler, gaussians, camera, look, version=0).rgb

        return paint


def _zipped(folder: Path) -> bytes:
    from io import BytesIO
    from zipfile import ZIP_STORED, ZipFile

    page = BytesIO()
    with ZipFile(page, "w", ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return page.getvalue()
