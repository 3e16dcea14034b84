"""``render``: the differentiable entry, the same code on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, UsageError, check
from splatkit.core.transforms import rotation_from_quat
from splatkit.render.backends import ProjectOptions, get_backend
from splatkit.render.backends.base import Displays, Rasterizer
from splatkit.render.screen import DEPTHS, BlendRequest, ScreenSplats

OUTPUTS = (
    "rgb",
    "alpha",
    "depth",
    "inverse_depth",
    "depth_median",
    "normal",
    "features",
    "weights",
    "top_k",
    "gradient",
)
ALPHA_FLOOR = 1e-10
"""Below this a pixel counts as empty: its depth and normal are 0."""


@dataclass
class Rendered:
    """Images of C cameras [C,H,W,...]; fields that were not asked for are None."""

    rgb: Tensor
    """[C,H,W,3] sRGB; not clamped above 1."""
    alpha: Tensor
    """[C,H,W] coverage 0..1."""
    depth: Tensor | None = None
    """[C,H,W] weighted mean of camera z, scene units; 0 where alpha is 0."""
    inverse_depth: Tensor | None = None
    """[C,H,W] weighted mean of 1 / camera z; 0 where alpha is 0."""
    depth_median: Tensor | None = None
    """[C,H,W] camera z where the transmittance crosses 0.5; 0 where alpha is 0; no gradient."""
    normal: Tensor | None = None
    """[C,H,W,3] unit normals in the world frame, towards the camera; 0 where alpha is 0."""
    features: Tensor | None = None
    """[C,H,W,F] blended features, without background."""
    weight_sum: Tensor | None = None
    """[N] blend weights summed over pixels and cameras; no gradient."""
    weight_max: Tensor | None = None
    """[N] largest blend weight; no gradient."""
    weight_count: Tensor | None = None
    """[N] int32 pixels blended into."""
    top_ids: Tensor | None = None
    """[C,H,W,k] int32 Gaussians of largest weight, -1 where fewer than k."""
    top_weights: Tensor | None = None
    """[C,H,W,k] their weights."""
    rgb_dx: Tensor | None = None
    """[C,H,W,3] exact derivative of rgb with respect to x on the screen, 1 / pixel; no gradient."""
    rgb_dy: Tensor | None = None
    """[C,H,W,3] the same with respect to y."""

    def to(self, device: torch.device | str) -> Rendered:
        """The same images on another device."""
        images = {name: t.to(device) for name, t in vars(self).items() if t is not None}
        return replace(self, **images)


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    features: Tensor | None = None,
    background: Tensor | None = None,
    sh_degree: int | None = None,
    eps2d: float = 0.3,
    pixel_offset: tuple[float, float] = (0.0, 0.0),
    near: float = 0.01,
    frame: tuple[float, float, float, float] | None = None,
    outputs: Sequence[str] = ("rgb", "alpha"),
    top_k: int = 4,
    backend: str | Rasterizer = "auto",
    display: bool = False,
) -> Rendered:
    """Render Gaussians from several cameras of one image size.

    Differentiable with respect to all Gaussian parameters, ``features``, ``background`` and
    ``cameras.viewmats``.

    Args:
        gaussians: N Gaussians, world frame.
        cameras: C cameras, OpenCV axes.
        features: [N,F] any values to blend like colours; implies the output ``features``.
        background: [3] or [C,3] sRGB behind everything; black when None.
        sh_degree: use harmonics up to this degree; all that are stored when None.
        eps2d: variance of the screen-space low-pass, pixel^2, at least 0.
        pixel_offset: sample each pixel at its centre plus this, pixels.
        near: camera z at or below which nothing is drawn, scene units.
        frame: left, top, right and bottom, pixels, of the part of the image that spans the field of
            view, which shapes of Gaussians outside it depend on (the backend ``gsplat`` takes all
            of it); all of it when None.
        outputs: any of ``OUTPUTS``; ``rgb`` and ``alpha`` always come.
        top_k: how many Gaussians a pixel the output ``top_k`` names.
        backend: a backend or its name; ``auto`` is the fastest for the Gaussians' device. Where
            it works on another device, tensors are copied there and results back: for many images
            move the Gaussians once.
        display: the image is only looked at: no gradients, and a backend may round records to
            half precision where ``rgb`` and ``alpha`` are all that is wanted.

    Raises:
        SplatkitError: a shape, name or device is not as said.
    """
    for name in outputs:
        if name not in OUTPUTS:
            raise UsageError(f"outputs: expected any of {', '.join(OUTPUTS)}, got {name!r}")
    if isinstance(backend, str):
        backend = get_backend(backend, gaussians.device)
    home = gaussians.device
    gaussians = gaussians if home == backend.device else gaussians.to(backend.device)
    cameras = cameras.to(backend.device)
    features = None if features is None else features.to(backend.device)
    background = None if background is None else background.to(backend.device)
    check(
        means=(gaussians.means, "N 3"),
        viewmats=(cameras.viewmats, "C 4 4"),
        Ks=(cameras.Ks, "C 3 3"),
    )
    options = ProjectOptions(
        sh_degree=gaussians.sh_degree if sh_degree is None else sh_degree,
        eps2d=eps2d,
        pixel_offset=pixel_offset,
        near=near,
        frame=frame,
    )
    behind = _background(background, gaussians.means, len(cameras))
    simple = display and features is None and {*outputs} <= {"rgb", "alpha"}
    if simple and isinstance(backend, Displays):
        result = Rendered(*backend.draw(gaussians, cameras, behind, options))
        return result if home == backend.device else result.to(home)
    splats = backend.project(gaussians, cameras, options)
    channels = _gather_channels(gaussians, cameras, splats, features, outputs)
    request = BlendRequest(
        depth_median="depth_median" in outputs,
        weights="weights" in outputs,
        top_k=top_k if "top_k" in outputs else 0,
        gradient="gradient" in outputs,
    )
    packed = torch.cat(list(channels.values()), -1) if channels else None
    blended = backend.blend(splats, behind, packed, request)
    result = Rendered(
        rgb=blended.rgb,
        alpha=blended.alpha,
        depth_median=blended.depth_median,
        weight_sum=blended.weight_sum,
        weight_max=blended.weight_max,
        weight_count=blended.weight_count,
        top_ids=blended.top_ids,
        top_weights=blended.top_weights,
        rgb_dx=blended.rgb_dx,
        rgb_dy=blended.rgb_dy,
    )
    if blended.channels is not None:
        sizes = [channel.shape[-1] for channel in channels.values()]
        images = dict(zip(channels, blended.channels.split(sizes, -1), strict=True))
        result.features = images.get("features")
        for name in ("depth", "inverse_depth"):
            if name in images:
                total = images[name][..., 0]
                seen = blended.alpha > ALPHA_FLOOR
                mean = torch.where(seen, total / torch.where(seen, blended.alpha, 1), 0)
                setattr(result, name, mean)
        if "normal" in images:
            total = images["normal"]
            length = total.square().sum(-1, keepdim=True)
            seen = length > ALPHA_FLOOR**2
            result.normal = torch.where(seen, total * torch.where(seen, length, 1).rsqrt(), 0)
    return result if home == backend.device else result.to(home)


def _background(background: Tensor | None, like: Tensor, num_cameras: int) -> Tensor:
    if background is None:
        return like.new_zeros(num_cameras, 3)
    if background.ndim == 1:
        background = background.expand(num_cameras, -1)
    sizes = check(means=(like, "N 3"), background=(background, "C 3"))
    if sizes["C"] != num_cameras:
        raise UsageError(
            f"background: expected [3] or [{num_cameras},3], got {list(background.shape)}"
        )
    return background


def _gather_channels(
    gaussians: Gaussians,
    cameras: Cameras,
    splats: ScreenSplats,
    features: Tensor | None,
    outputs: Sequence[str],
) -> dict[str, Tensor]:
    """What is blended beside colour, by name, [M, ...] in the order of the records."""
    channels: dict[str, Tensor] = {}
    ids = splats.gaussian_ids.long()
    if features is not None:
        check(means=(gaussians.means, "N 3"), features=(features, "N F"))
        channels["features"] = features[ids]
    elif "features" in outputs:
        raise UsageError("outputs: 'features' needs the argument features [N,F], got None")
    if "depth" in outputs:
        channels["depth"] = splats.records[:, DEPTHS : DEPTHS + 1]
    if "inverse_depth" in outputs:
        channels["inverse_depth"] = splats.records[:, DEPTHS : DEPTHS + 1].reciprocal()
    if "normal" in outputs:
        shortest = gaussians.log_scales[ids].argmin(-1)[:, None, None].expand(-1, 3, 1)
        normals = rotation_from_quat(gaussians.quats[ids]).gather(-1, shortest).squeeze(-1)
        with torch.no_grad():
            towards = cameras.positions[splats.camera_ids.long()] - gaussians.means[ids]
            signs = torch.where((normals * towards).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        channels["normal"] = normals * signs.to(normals)
    return channels
