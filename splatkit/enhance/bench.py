"""``splatkit bench enhance``: every mode against the plain render, on views and along a path."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Gaussians, Progress
from splatkit.enhance.metrics import flip, ms_ssim, warping_error
from splatkit.enhance.options import UpscaleOptions
from splatkit.enhance.small import small_view
from splatkit.enhance.spatial import bicubic
from splatkit.enhance.upscaler import Upscaler
from splatkit.export import OpenScene
from splatkit.render import get_backend, render
from splatkit.render.backends import Backend
from splatkit.render.paths import captured, circle
from splatkit.render.pictures import to_bytes
from splatkit.train.metrics import psnr, to_8bit

USUAL = "bicubic, usual low-pass"
"""What a viewer does that knows nothing of splats: render small as ever, and resize."""
PERCEPTUAL_EVERY = 5
"""MS-SSIM and FLIP are slow: every so many views."""
STEP = 360
"""Frames of the whole path in motion: one step is a third of a degree around a scene."""


@dataclass(frozen=True)
class BenchOptions:
    """What is measured."""

    modes: tuple[str, ...] = ("bilinear", "bicubic", "fsr1", "hermite", "temporal")
    ratios: tuple[float, ...] = (1.5, 2.0, 3.0)
    width: int = 1920
    height: int = 1080
    views: int = 20
    frames: int = 8
    """In motion."""
    network: str = "s"
    """Of ``neural``."""
    backend: str = "auto"


@dataclass
class Row:
    """Figures of one mode at one ratio; means over views."""

    mode: str
    ratio: float
    psnr: float
    """dB against the plain render, 8 bits."""
    ms_ssim: float
    flip: float
    psnr_in_motion: float
    warping: float
    """Difference from the frame before, followed by the true motion, over that of plain renders."""
    flow: float
    """Mean difference of optical flow between frames from that of plain renders, pixels (tOF)."""
    milliseconds: float
    """Median wall time of a frame."""
    speedup: float
    """Median over frames of the plain render's time over this mode's, taken in turn."""


def bench_scene(scene: OpenScene, options: BenchOptions) -> Generator[Event, None, dict[str, Any]]:
    """Measure all modes on one scene.

    Returns:
        ``{scene, gaussians, width, height, rows}``; rows as of ``Row``.
    """
    backend = get_backend(options.backend)
    gaussians = scene.gaussians.to(backend.device)
    background = gaussians.means.new_tensor(scene.background)
    size = options.width, options.height
    views = scene.cameras(*size)
    still = views if views is not None else circle(scene.gaussians, options.views, *size)
    still = still[:: max(1, len(still) // options.views)][: options.views]
    path = (
        circle(scene.gaussians, STEP, *size) if views is None else captured(views, STEP, *size)
    )[STEP // 3 : STEP // 3 + options.frames]
    still, path = (cameras.to(torch.float32).to(backend.device) for cameras in (still, path))
    subject = Subject(gaussians, background, backend, options.network)
    pairs = [(USUAL, ratio) for ratio in options.ratios]
    pairs += [(mode, ratio) for ratio in options.ratios for mode in options.modes]
    scores: dict[tuple[str, float], list[tuple[float, float, float]]] = {p: [] for p in pairs}
    for index in range(len(still)):
        camera = still[index : index + 1]
        truth = to_8bit(subject.plain(camera)).cpu()
        for mode, ratio in pairs:
            shown = to_8bit(subject.upscaled(mode, ratio)(camera)).cpu()
            slow = index % PERCEPTUAL_EVERY == 0
            scores[mode, ratio].append(
                (
                    psnr(shown, truth),
                    ms_ssim(shown, truth) if slow else float("nan"),
                    flip(shown, truth) if slow else float("nan"),
                )
            )
        yield Progress(f"Views of {scene.name}", index + 1, len(still))
    film = yield from _plain_film(subject, path, scene.name)
    rows = []
    for number, (mode, ratio) in enumerate(pairs):
        motion = _in_motion(subject, mode, ratio, path, film)
        quality, structure, difference = zip(*scores[mode, ratio], strict=True)
        means = _mean(quality), _mean(structure), _mean(difference)
        rows.append(vars(Row(mode, ratio, *means, *motion)))
        yield Progress(f"Motion in {scene.name}", number + 1, len(pairs))
    return {
        "scene": scene.name,
        "gaussians": len(gaussians),
        "width": options.width,
        "height": options.height,
        "rows": rows,
    }


def table(documents: Iterable[dict[str, Any]]) -> str:
    """The measurements as a table in Markdown."""
    lines = [
        "| scene | ratio | mode | PSNR | MS-SSIM | FLIP | PSNR moving | warping | tOF | speed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for document in documents:
        for row in sorted(document["rows"], key=lambda row: row["ratio"]):
            lines.append(
                f"| {document['scene']} | {row['ratio']:g} | {row['mode']} | {row['psnr']:.1f} | "
                f"{row['ms_ssim']:.4f} | {row['flip']:.4f} | {row['psnr_in_motion']:.1f} | "
                f"{row['warping']:.3f} | {row['flow']:.3f} | {row['speedup']:.2f}x |"
            )
    return "\n".join(lines)


class Subject:
    """A scene that pictures are made of, plainly or upscaled."""

    def __init__(
        self, gaussians: Gaussians, background: Tensor, backend: Backend, network: str = "s"
    ) -> None:
        self.gaussians, self.background, self.backend = gaussians, background, backend
        self._network = network

    def plain(self, camera: Cameras, **options: Any) -> Tensor:
        """[H,W,3]"""
        with torch.no_grad():
            looks = {"background": self.background, "backend": self.backend}
            return render(self.gaussians, camera, **looks, **options).rgb[0]

    def upscaled(self, mode: str, ratio: float) -> Any:
        """A function that makes one picture after the other."""
        if mode == USUAL:

            def usual(camera: Cameras) -> Tensor:
                view = small_view(camera, ratio)
                small = self.plain(view.camera, frame=view.frame)
                return bicubic(small, view.placing, camera.width, camera.height)

            return usual
        upscaler = Upscaler(UpscaleOptions(mode, ratio, network=self._network), self.backend)
        return lambda camera: upscaler.frame(self.gaussians, camera, background=self.background).rgb


@dataclass
class _Film:
    """Plain renders along a path, and what they show."""

    pictures: list[Tensor]
    inverse_depths: list[Tensor]
    alphas: list[Tensor]
    warping: list[float]
    flows: list[np.ndarray]


def _plain_film(subject: Subject, path: Cameras, name: str) -> Generator[Event, None, _Film]:
    film = _Film([], [], [], [], [])
    for index in range(len(path)):
        with torch.no_grad():
            rendered = render(
                subject.gaussians,
                path[index : index + 1],
                background=subject.background,
                outputs=("inverse_depth",),
                backend=subject.backend,
            )
        assert rendered.inverse_depth is not None
        film.pictures.append(rendered.rgb[0])
        film.inverse_depths.append(rendered.inverse_depth[0])
        film.alphas.append(rendered.alpha[0])
        if index:
            film.warping.append(_warping(film, path, index, film.pictures))
            film.flows.append(_flow(film.pictures[index - 1], film.pictures[index]))
        yield Progress(f"Plain film of {name}", index + 1, len(path))
    return film


def _warping(film: _Film, path: Cameras, index: int, pictures: list[Tensor]) -> float:
    return warping_error(
        pictures[index],
        pictures[index - 1],
        path[index : index + 1],
        path[index - 1 : index],
        (film.inverse_depths[index], film.inverse_depths[index - 1]),
        (film.alphas[index], film.alphas[index - 1]),
    )


def _flow(before: Tensor, after: Tensor) -> np.ndarray:
    """[H,W,2] optical flow between two pictures, pixels (dense inverse search)."""
    grey = [
        cv2.cvtColor(to_bytes(picture).cpu().numpy(), cv2.COLOR_RGB2GRAY)
        for picture in (before, after)
    ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return search.calc(grey[0], grey[1], np.zeros((*grey[0].shape, 2), np.float32))


def _in_motion(
    subject: Subject, mode: str, ratio: float, path: Cameras, film: _Film
) -> tuple[float, float, float, float, float]:
    """PSNR, warping and flow error along the path, milliseconds and speed-up."""
    upscaled = subject.upscaled(mode, ratio)
    pictures: list[Tensor] = []
    scores, times, speedups = [], [], []
    for index in range(len(path)):
        camera = path[index : index + 1]
        before = _finished(path.viewmats.device)
        picture = upscaled(camera)
        between = _finished(path.viewmats.device)
        subject.plain(camera)
        after = _finished(path.viewmats.device)
        times.append(1e3 * (between - before))
        speedups.append((after - between) / (between - before))
        pictures.append(picture.clone())
        scores.append(psnr(to_8bit(picture), to_8bit(film.pictures[index])))
    steps = range(1, len(path))
    warping = [_warping(film, path, index, pictures) for index in steps]
    flow = [
        float(np.abs(_flow(pictures[i - 1], pictures[i]) - film.flows[i - 1]).mean()) for i in steps
    ]
    return (
        statistics.fmean(scores),
        sum(warping) / max(sum(film.warping), 1e-9),
        statistics.fmean(flow) if flow else 0.0,
        statistics.median(times),
        statistics.median(speedups),
    )


def _finished(device: torch.device) -> float:
    """The time when a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    return time.perf_counter()


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return statistics.fmean(known) if known else float("nan")
