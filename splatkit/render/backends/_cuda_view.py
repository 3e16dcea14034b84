"""Rendering only, for pictures that are shown: nothing is kept for gradients.

Records are 32 bytes, half of it in half precision; there are no checkpoints; memory is used again
from picture to picture. Large tiles mean fewer pairs of splat and tile to sort, small ones less
work that is thrown away: both are tried, and the faster one stays.
"""

from __future__ import annotations

from threading import Lock

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, check
from splatkit.render.backends._cuda_bin import bin_splats
from splatkit.render.backends._cuda_blend import blend
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_inputs import Sources, check_inputs, readable
from splatkit.render.backends._cuda_later import FormChooser
from splatkit.render.backends._cuda_plan import Capacity, Choice, Frame
from splatkit.render.backends._cuda_project import project
from splatkit.render.backends._cuda_room import InstanceRoom
from splatkit.render.backends._cuda_work import Work
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import Blended

FORMS = [
    Choice(32, 32, blend_pixels=4, bucket=0, half_records=True),
    Choice(16, 16, blend_pixels=1, bucket=0, half_records=True),
]
"""Large tiles, of which a thread blends four pixels, and those of training."""


class CudaView:
    """Draws pictures one after the other; threads wait for each other.

    Args:
        driver: launches.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._memory = Workspace(driver.device)
        self._chooser = FormChooser(driver.device, FORMS)
        self._room = InstanceRoom()
        self._lock = Lock()

    @torch.no_grad()
    def draw(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
    ) -> tuple[Tensor, Tensor]:
        """rgb [C,H,W,3] and alpha [C,H,W]; the device is waited for once, at the end."""
        check(means=(gaussians.means, "N 3"), background=(background, "C 3"))
        check_inputs(self._driver, gaussians, cameras)
        with self._lock:
            count = len(cameras) * len(gaussians)
            frame = Frame(len(cameras), cameras.width, cameras.height, self._chooser.next())
            out = self._room.counted(
                count,
                lambda room: self._drawn(gaussians, cameras, background, options, frame, room),
            )
            return out.rgb, out.alpha

    def _drawn(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
        frame: Frame,
        instances: int,
    ) -> tuple[Blended, Tensor]:
        """The picture and the counters of a pass with room for so many pairs."""
        capacity = Capacity(len(gaussians), frame.cameras * len(gaussians), instances)
        self._chooser.mark()
        work = Work(self._driver, self._memory.take, frame, capacity)
        splats = project(work, Sources.of(gaussians, cameras, options))
        binned = bin_splats(work, splats)
        device = self._driver.device
        out = Blended(
            torch.empty(*frame.shape, 3, device=device), torch.empty(frame.shape, device=device)
        )
        blend(work, splats, binned, readable(background), out)
        self._chooser.mark()
        return out, work.scratch.counters
