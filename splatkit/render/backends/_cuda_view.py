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
from splatkit.render.backends import _cuda_raster as raster
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_later import FormChooser
from splatkit.render.backends._cuda_ops import InstanceRoom, check_inputs, readable
from splatkit.render.backends._cuda_params import interface
from splatkit.render.backends._cuda_plan import (
    Capacity,
    Choice,
    Found,
    Frame,
    Scratch,
    check_instances,
)
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.screen import Blended, BlendRequest

FORMS = [
    Choice(32, 32, blend_pixels=4, bucket=0, half_records=True),
    Choice(16, 16, blend_pixels=1, bucket=0, half_records=True),
]
"""Large tiles, of which a thread blends four pixels, and those of training."""
_PLAIN = BlendRequest()


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
            instances = self._room.guess(count)
            while True:
                out, found = self._drawn(gaussians, cameras, background, options, frame, instances)
                check_instances(found.instances_wanted)
                self._room.learn(count, found.instances_wanted)
                if found.complete:
                    return out.rgb, out.alpha
                instances = found.instances_wanted

    def _drawn(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        background: Tensor,
        options: ProjectOptions,
        frame: Frame,
        instances: int,
    ) -> tuple[Blended, Found]:
        driver, take = self._driver, self._memory.take
        parameters = [readable(tensor) for tensor in gaussians.parameters().values()]
        capacity = Capacity(len(gaussians), frame.cameras * len(gaussians), instances)
        self._chooser.mark()
        scratch = Scratch(take, frame, capacity)
        scratch.memory.zero_()
        views = take("cameras", frame.cameras, interface().constants["CAMERA_FLOATS"])
        given = readable(cameras.viewmats), readable(cameras.Ks)
        raster.prepare_cameras(driver, views, *given, frame, options, gaussians.antialiased)
        splats = raster.allocate_projected(take, frame, capacity, frame.cameras > 1)
        degree = min(options.sh_degree, gaussians.sh_degree)
        raster.project(driver, parameters, degree, views, frame, scratch, splats)
        binned = raster.bin_splats(driver, take, splats, frame, capacity, scratch)
        device = driver.device
        out = Blended(
            torch.empty(*frame.shape, 3, device=device), torch.empty(frame.shape, device=device)
        )
        raster.blend(
            driver,
            take,
            splats,
            binned,
            frame,
            capacity,
            readable(background),
            None,
            _PLAIN,
            out,
        )
        self._chooser.mark()
        return out, Found.of(scratch.counters.cpu())
