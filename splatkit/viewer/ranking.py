"""Photos beside their renders and errors, for the page that lists the worst first."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image

from splatkit.core import Photo, SplatkitError, drain
from splatkit.io.images import fit_within
from splatkit.render import get_backend
from splatkit.train.evaluate import render_view
from splatkit.train.metrics import psnr
from splatkit.train.photos import load_views
from splatkit.viewer.source import SceneSource

PANEL_SIDE = 480
"""Long side of one panel, pixels."""
GREATEST_ERROR = 0.3
"""Mean difference of the colours 0..1 at which the error's colours end."""
MOST_KEPT = 400
_NAP = 0.2


@dataclass(frozen=True)
class Strip:
    """Photo, render and error side by side."""

    psnr: float
    jpeg: bytes


class Ranking:
    """Compares one photo at a time and keeps the strips until the scene changes."""

    def __init__(self, backend: str = "auto") -> None:
        self._backend = backend
        self._turn = threading.Lock()
        self._kept: OrderedDict[tuple[int, str, Hashable], Strip] = OrderedDict()

    def strip(self, source: SceneSource, index: int) -> Strip:
        """Compare a photo of a scene; waits until a training that goes on can spare the time.

        Raises:
            SplatkitError: there is no such photo, or its file is gone.
        """
        if not 0 <= index < len(source.photos):
            raise SplatkitError(
                f"photo {index}: expected one of the {len(source.photos)} photos of {source.name}"
            )
        photo = source.photos[index]
        with self._turn:
            _, version = source.current()
            key = (id(source), photo.name, version)
            if key not in self._kept:
                start = time.perf_counter()
                while source.allowance is not None and source.allowance.wait(
                    moving=True, waited=time.perf_counter() - start
                ):
                    time.sleep(_NAP)
                start = time.perf_counter()
                self._kept[key] = self._compare(source, photo)
                if source.allowance is not None:
                    source.allowance.spend(time.perf_counter() - start)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]

    def _compare(self, source: SceneSource, photo: Photo) -> Strip:
        gaussians, _ = source.current()
        sizes = lambda width, height: fit_within(width, height, PANEL_SIDE)  # noqa: E731
        view = drain(load_views([photo], sizes, source.background))[0]
        with torch.no_grad():
            image = render_view(gaussians, view, source.background, get_backend(self._backend))
        image = image.cpu()
        truth, mask = view.truth(image.device)
        difference = (image - truth).abs().mean(-1)
        if mask is not None:
            difference = difference * mask
        level = (difference / GREATEST_ERROR).clamp(0, 1).numpy()
        error = (colormaps["inferno"](level)[..., :3] * 255).astype(np.uint8)
        render = (image * 255).round().byte().numpy()
        page = io.BytesIO()
        Image.fromarray(np.concatenate((view.image[0].numpy(), render, error), 1)).save(
            page, "JPEG", quality=85
        )
        return Strip(psnr(image, truth, mask), page.getvalue())
