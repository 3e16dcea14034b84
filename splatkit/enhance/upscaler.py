"""One viewer's pictures: renders small, reconstructs large, remembers what it needs."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, UsageError
from splatkit.enhance.grade import graded
from splatkit.enhance.inference import Engine, enhanced, make_engine
from splatkit.enhance.network import load_network
from splatkit.enhance.options import UpscaleOptions
from splatkit.enhance.small import render_small, small_view
from splatkit.enhance.spatial import bicubic, bilinear, fsr1, hermite, sharpen
from splatkit.enhance.temporal import PHASES, Past, accumulate, phase
from splatkit.render import get_backend, render
from splatkit.render.backends import Backend
from splatkit.render.display import Display


@dataclass(frozen=True)
class Upscaled:
    """A finished picture."""

    rgb: Tensor
    """[H,W,3] sRGB, not clamped; valid until the next picture."""
    ratio: float
    """Pixels of the picture a rendered pixel, each way."""
    milliseconds: dict[str, float]
    """Of the parts: ``render``, ``reconstruct`` and ``finish`` (sharpening and grading)."""
    settled: bool
    """Another picture from the same camera would be no better."""


class Upscaler:
    """Makes the pictures of one view, one after the other.

    Args:
        options: how; may be replaced between frames.
        backend: see ``render``; ``hermite``, ``temporal`` and ``neural`` need one
            that has derivatives, as all but gsplat have.
    """

    def __init__(self, options: UpscaleOptions, backend: str | Backend = "auto") -> None:
        self.options = options
        self._backend = get_backend(backend) if isinstance(backend, str) else backend
        self._display = Display(self._backend)
        self._past: Past | None = None
        self._sampled = 0
        self._ratio = 0.0
        self._out: Tensor | None = None
        self._seen: list[weakref.ref[Tensor]] | None = None
        self._changes: list[int | None] = []
        self._version = 0
        self._network: tuple[Hashable, Engine] | None = None

    def reset(self) -> None:
        """Forget earlier frames."""
        self._past, self._sampled = None, 0

    def frame(
        self,
        gaussians: Gaussians,
        camera: Cameras,
        *,
        background: Tensor | None = None,
        sh_degree: int | None = None,
        near: float = 0.01,
        marked: Tensor | None = None,
        version: Hashable = None,
    ) -> Upscaled:
        """The next picture; arguments as of ``render``.

        What ``temporal`` remembers is forgotten when the Gaussians, the background or anything
        else that the picture shows has changed.

        Args:
            marked: [N] 0..1, which Gaussians are the part that ``options.where`` speaks of.
            version: differs when the Gaussians do; found out from their tensors when None.

        Raises:
            UsageError: not exactly one camera, or a part is spoken of and none is marked.
        """
        if len(camera) != 1:
            raise UsageError(f"camera: expected one, got {len(camera)}")
        given, gaussians = gaussians, self._display.scene(gaussians)
        camera = camera.to(gaussians.means.dtype)
        if self.options.where != "everywhere" and marked is None:
            raise UsageError(f"where: expected marked Gaussians with {self.options.where!r}")
        start = time.perf_counter()
        share = self._share(gaussians, camera, marked, near)
        looks = {"background": background, "sh_degree": sh_degree, "near": near}
        mode = self.options.mode
        settled = True
        if mode == "off":
            with torch.no_grad():
                rgb = render(gaussians, camera, **looks, backend=self._backend).rgb[0]
            ratio, rendered_at = 1.0, self._waited()
        elif mode == "temporal":
            # A copy on the device may lie where an older one lay; those that were given tell.
            scene = self._version_of(given) if version is None else version
            behind = None if background is None else tuple(background.tolist())
            state = (scene, behind, sh_degree, near)
            rgb, ratio, rendered_at, settled = self._temporal(gaussians, camera, looks, state)
        else:
            rgb, ratio, rendered_at = self._spatial(gaussians, camera, looks, share)
        reconstructed_at = self._waited()
        # Sharpening knows 0 to 1 only: highlights that grading brings back there are to be kept.
        finished = sharpen(graded(rgb, self.options.grade), self.options.sharpness)
        rgb = finished if share is None else torch.lerp(rgb, finished, share)
        times = (start, rendered_at, reconstructed_at, self._waited())
        parts = ("render", "reconstruct", "finish")
        spent = {
            part: 1e3 * (after - before)
            for part, before, after in zip(parts, times, times[1:], strict=False)
        }
        return Upscaled(rgb, ratio, spent, settled)

    def _spatial(
        self, gaussians: Gaussians, camera: Cameras, looks: dict, share: Tensor | None
    ) -> tuple[Tensor, float, float]:
        mode, ratio = self.options.mode, self.options.ratio
        view = small_view(camera, ratio)
        outputs = ("gradient",) if mode in ("hermite", "neural") else ()
        rendered = render_small(gaussians, view, outputs, **looks, backend=self._backend)
        rendered_at = self._waited()
        place = (view.placing, view.width, view.height)
        if mode in ("hermite", "neural"):
            assert rendered.rgb_dx is not None
            assert rendered.rgb_dy is not None
            # The memory of a large picture costs more to get than to fill.
            if self._out is None or self._out.shape[:2] != (view.height, view.width):
                self._out = rendered.rgb.new_empty(view.height, view.width, 3)
            small = (rendered.rgb[0], rendered.rgb_dx[0], rendered.rgb_dy[0])
            rgb = hermite(*small, *place, out=self._out)
            if mode == "neural" and self.options.strength > 0:
                engine, seen = self._engine(rgb.device), (rgb, rendered.rgb[0], rendered.alpha[0])
                rgb = enhanced(engine, *seen, view.placing, self.options.strength, share)
        else:
            rgb = {"bilinear": bilinear, "bicubic": bicubic, "fsr1": fsr1}[mode](
                rendered.rgb[0], *place
            )
        return rgb, ratio, rendered_at

    def _temporal(
        self, gaussians: Gaussians, camera: Cameras, looks: dict, version: Hashable
    ) -> tuple[Tensor, float, float, bool]:
        past = self._past
        if past is not None and not past.is_of(camera, version):
            past = None
        resting = past is not None and past.rests(camera)
        # At rest a fractional ratio goes on with the phases of the next integer.
        ratio = float(math.ceil(self.options.ratio)) if resting else self.options.ratio
        # In motion every picture has its samples in the same places: what it errs does not flicker.
        exact = ratio in PHASES and (resting or past is None)
        before = self._sampled if resting and self._ratio == ratio else 0
        self._sampled, self._ratio = before + 1 if exact else 0, ratio
        view = small_view(camera, ratio, phase(int(ratio), before) if exact else (0.0, 0.0))
        outputs = ("gradient", "inverse_depth")
        rendered = render_small(gaussians, view, outputs, **looks, backend=self._backend)
        rendered_at = self._waited()
        self._past = accumulate(rendered, view, camera, past, version, self.options.temporal_weight)
        return self._past.rgb, ratio, rendered_at, self._sampled >= ratio**2

    def _share(
        self, gaussians: Gaussians, camera: Cameras, marked: Tensor | None, near: float
    ) -> Tensor | None:
        """[H,W,1] of what is drawn there, the share that ``options.where`` means; None: all."""
        where = self.options.where
        if where == "everywhere" or marked is None:
            return None
        view = small_view(camera, 1.0 if self.options.mode == "off" else self.options.ratio)
        features = marked.to(gaussians.means)[:, None]
        with torch.no_grad():
            drawn = render(
                gaussians,
                view.camera,
                features=features,
                eps2d=view.eps2d,
                frame=view.frame,
                near=near,
                backend=self._backend,
            )
        assert drawn.features is not None
        both = torch.cat((drawn.features[0], drawn.alpha[0, ..., None]), 2)
        part, whole = bilinear(both, view.placing, view.width, view.height).split(1, 2)
        inside = (part / whole.clamp_min(1 / 255)).clamp_max(1)
        return inside if where == "inside" else 1 - inside

    def _engine(self, device: torch.device) -> Engine:
        """The network that the options name, kept from picture to picture."""
        key = (self.options.network, self.options.engine)
        if self._network is None or self._network[0] != key:
            engine = make_engine(load_network(self.options.network), device, self.options.engine)
            self._network = (key, engine)
        return self._network[1]

    def _version_of(self, gaussians: Gaussians) -> int:
        """A number that changes when the Gaussians are others, or were edited in place."""
        tensors = gaussians.parameters().values()
        # Tensors made in inference mode do not tell of changes in place.
        changes = [None if tensor.is_inference() else tensor._version for tensor in tensors]
        known = self._seen is not None and all(
            seen() is tensor for seen, tensor in zip(self._seen, tensors, strict=True)
        )
        if not known or changes != self._changes:
            # An address may be taken again by others, once these are gone.
            self._seen, self._changes = [weakref.ref(tensor) for tensor in tensors], changes
            self._version += 1
        return self._version

    def _waited(self) -> float:
        """The time when the device has finished what it was given."""
        if self._backend.device.type == "cuda":
            # This stream alone: to wait for the whole GPU would break what another thread captures.
            torch.cuda.current_stream(self._backend.device).synchronize()
        return time.perf_counter()
