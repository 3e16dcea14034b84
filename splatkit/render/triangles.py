"""``render_triangles``: the differentiable entry for triangles, soft or solid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from splatkit.core import Cameras, Triangles, UsageError, check
from splatkit.core.srgb import linear_of_srgb, srgb_of_linear
from splatkit.render.backends import _torch_triangles, get_backend
from splatkit.render.drawing import Drawn, DrawRequest

if TYPE_CHECKING:
    from splatkit.render.backends.cuda import CudaBackend

TRIANGLE_OUTPUTS = ("rgb", "alpha", "depth", "normal", "features", "weights")
TRIANGLE_BACKENDS = ("auto", "cpu", "cuda", "torch_ref")
ALPHA_FLOOR = 1e-10
"""Below this a pixel counts as empty: its depth and normal are 0."""
MAX_SUPERSAMPLE = 8


@dataclass
class RenderedTriangles:
    """Images of C cameras [C,H,W,...]; fields that were not asked for are None."""

    rgb: Tensor | None
    """[C,H,W,3] sRGB; None where the triangles have neither colours nor a texture."""
    alpha: Tensor
    """[C,H,W] coverage 0..1."""
    ids: Tensor
    """[C,H,W] int32 triangle of the largest weight at the pixel's middle sample, -1 where none."""
    depth: Tensor | None = None
    """[C,H,W] weighted mean of camera z, world units; 0 where alpha is 0."""
    normal: Tensor | None = None
    """[C,H,W,3] unit normals of the triangles, world frame, towards the camera; 0 where alpha is
    0."""
    features: Tensor | None = None
    """[C,H,W,F] blended features, without background."""
    weight_sum: Tensor | None = None
    """[T] blend weights summed over samples and cameras; no gradient."""
    weight_max: Tensor | None = None
    """[T] largest blend weight; no gradient."""
    weight_count: Tensor | None = None
    """[T] int32 samples blended into."""

    def to(self, device: torch.device | str) -> RenderedTriangles:
        """The same images on another device."""
        images = {name: t.to(device) for name, t in vars(self).items() if t is not None}
        return replace(self, **images)


def render_triangles(
    triangles: Triangles,
    cameras: Cameras,
    *,
    softness: float = 0.0,
    features: Tensor | None = None,
    background: Tensor | None = None,
    supersample: int = 1,
    near: float = 0.01,
    outputs: Sequence[str] = ("rgb", "alpha"),
    backend: str | CudaBackend = "auto",
) -> RenderedTriangles:
    """Draw triangles from several cameras of one image size.

    With ``softness`` 0 triangles are solid: the nearest one fills the pixel, as a z-buffer does it,
    and colours between vertices and between texels are mixed in linear light, as GPUs mix those of
    glTF. Above 0 a triangle's alpha at a point is its interpolated opacity times
    ``(3 b)^softness``, b the smallest barycentric coordinate there; triangles are blended front to
    back by their depth at each pixel, in sRGB. Values of vertices are interpolated with
    perspective. What is at or in front of the near plane is cut off pixel by pixel.

    Differentiable with respect to vertices, colours, texture (between its texels linearly),
    opacities, ``features``, ``background`` and ``cameras.viewmats``; of solid triangles the places
    of edges have no gradient.

    Args:
        triangles: T triangles over V vertices, world frame.
        cameras: C cameras, OpenCV axes.
        softness: exponent of the window, at least 0; 1 is a pyramid, 0 solid.
        features: [V,F] any values to blend like colours; implies the output ``features``.
        background: [3] or [C,3] sRGB behind everything; black when None.
        supersample: draw at so many times the width and height, and average; 1 to 8.
        near: camera z at or below which nothing is drawn, world units; above 0.
        outputs: any of ``TRIANGLE_OUTPUTS``; ``rgb`` and ``alpha`` always come.
        backend: ``cpu``, ``cuda`` (float32), ``torch_ref``, the slow specification, or a CUDA
            backend that is there already; ``auto`` draws float32 on the GPU where they are there,
            and all else on the CPU. Tensors that are elsewhere are copied there and results back.

    Raises:
        SplatkitError: a shape, name or value is not as said.
    """
    _check_options(softness, supersample, near, outputs, backend)
    if triangles.texture is not None and softness > 0:
        raise UsageError(f"softness: expected 0 for triangles with a texture, got {softness}")
    home = triangles.device
    drawing, place = _drawing(backend, triangles)
    triangles, cameras = triangles.to(place), cameras.to(place)
    known = {"vertices": (triangles.vertices, "V 3"), "viewmats": (cameras.viewmats, "C 4 4")}
    if features is not None:
        features = features.to(place)
        known["features"] = (features, "V F")
    elif "features" in outputs:
        raise UsageError("outputs: 'features' needs the argument features [V,F], got None")
    if background is not None:
        background = background.to(place).expand(len(cameras), -1)
        known["background"] = (background, "C 3")
    check(floating=True, **known)

    colors = triangles.colors
    if colors is not None and softness == 0:
        colors = linear_of_srgb(colors)
    sources = {"colors": colors, "uvs": triangles.uvs, "features": features}
    sources = {name: values for name, values in sources.items() if values is not None}
    widths = [values.shape[1] for values in sources.values()]
    attributes = torch.cat([triangles.vertices[:, :0], *sources.values()], -1)
    opacities = triangles.opacities
    if softness == 0:
        opacities = None
    elif opacities is None:
        opacities = torch.ones_like(triangles.vertices[:, 0])
    request = DrawRequest(
        triangles.vertices,
        triangles.faces,
        attributes,
        opacities,
        triangles.normals if "normal" in outputs else None,
        cameras.resized(cameras.width * supersample, cameras.height * supersample),
        float(softness),
        near,
        weights="weights" in outputs,
    )
    drawn = drawing(request)
    widths += [1, 0 if request.normals is None else 3]
    *blended, z, normals = drawn.channels.split(widths, -1)
    images = dict(zip(sources, blended, strict=True))
    if colors is not None and softness == 0:
        images["colors"] = srgb_of_linear(images["colors"])
    result = _assemble(triangles, images, z, normals, drawn, background, supersample)
    result = replace(
        result,
        depth=result.depth if "depth" in outputs else None,
        normal=result.normal if "normal" in outputs else None,
    )
    return result if home == result.alpha.device else result.to(home)


def _check_options(
    softness: float,
    supersample: int,
    near: float,
    outputs: Sequence[str],
    backend: str | CudaBackend,
) -> None:
    for name in outputs:
        if name not in TRIANGLE_OUTPUTS:
            raise UsageError(
                f"outputs: expected any of {', '.join(TRIANGLE_OUTPUTS)}, got {name!r}"
            )
    if isinstance(backend, str) and backend not in TRIANGLE_BACKENDS:
        raise UsageError(f"backend: expected {', '.join(TRIANGLE_BACKENDS)}, got {backend!r}")
    if not 0 <= softness <= 100:
        raise UsageError(f"softness: expected 0 to 100, got {softness}")
    if supersample not in range(1, MAX_SUPERSAMPLE + 1):
        raise UsageError(f"supersample: expected 1 to {MAX_SUPERSAMPLE}, got {supersample}")
    if not near > 0:
        raise UsageError(f"near: expected a number above 0, got {near}")


def _drawing(
    backend: str | CudaBackend, triangles: Triangles
) -> tuple[Callable[[DrawRequest], Drawn], torch.device]:
    """What draws, and where its tensors lie."""
    home, cpu = triangles.device, torch.device("cpu")
    if backend == "auto" and home.type == "cuda" and triangles.vertices.dtype == torch.float32:
        from splatkit.render.backends._cuda_device import obstacle

        backend = "cuda" if obstacle() is None else "cpu"
    if backend == "cuda":
        backend = cast("CudaBackend", get_backend("cuda", home))
    if not isinstance(backend, str):
        return backend.draw_triangles, backend.device
    if backend == "torch_ref":
        return _torch_triangles.draw, cpu
    from splatkit.render.backends import _cpu_triangles

    return _cpu_triangles.draw, cpu


def _assemble(
    triangles: Triangles,
    images: dict[str, Tensor],
    z: Tensor,
    normals: Tensor,
    drawn: Drawn,
    background: Tensor | None,
    supersample: int,
) -> RenderedTriangles:
    """Images out of what was drawn, samples averaged."""
    rgb = images.get("colors")
    if triangles.texture is not None:
        rgb = _sampled(triangles.texture, images["uvs"], drawn.alpha)
    alpha = _averaged(drawn.alpha[..., None], supersample)[..., 0]
    if rgb is not None:
        rgb = _averaged(rgb, supersample)
        if background is not None:
            rgb = rgb + (1 - alpha)[..., None] * background[:, None, None]
    seen = alpha > ALPHA_FLOOR
    z = _averaged(z, supersample)[..., 0]
    features = images.get("features")
    result = RenderedTriangles(
        rgb=rgb,
        alpha=alpha,
        ids=drawn.ids[:, supersample // 2 :: supersample, supersample // 2 :: supersample],
        depth=torch.where(seen, z / torch.where(seen, alpha, 1), 0),
        features=None if features is None else _averaged(features, supersample),
        weight_sum=drawn.weight_sum,
        weight_max=drawn.weight_max,
        weight_count=drawn.weight_count,
    )
    if normals.shape[-1]:
        normals = _averaged(normals, supersample)
        length = normals.square().sum(-1, keepdim=True)
        seen = length > ALPHA_FLOOR**2
        result.normal = torch.where(seen, normals * torch.where(seen, length, 1).rsqrt(), 0)
    return result


def _sampled(texture: Tensor, uvs: Tensor, alpha: Tensor) -> Tensor:
    """[C,H,W,3] the texture where each sample looks, times its alpha; filtered in linear light."""
    seen = (alpha > ALPHA_FLOOR)[..., None]
    place = torch.where(seen, uvs / torch.where(seen, alpha[..., None], 1), 0.5)
    height, width, _ = texture.shape
    at = place * place.new_tensor([width, height]) - 0.5
    low = at.floor()
    share = at - low
    texels = texture.reshape(-1, 3)
    light = torch.zeros_like(at[..., :1])
    # Four texels each, not a converted texture: most of a large one is in no picture.
    for right in (0, 1):
        for below in (0, 1):
            column = (low[..., 0].long() + right).clamp(0, width - 1)
            row = (low[..., 1].long() + below).clamp(0, height - 1)
            x = share[..., 0] if right else 1 - share[..., 0]
            y = share[..., 1] if below else 1 - share[..., 1]
            texel = texels.index_select(0, (row * width + column).view(-1)).view(*row.shape, 3)
            light = light + (x * y)[..., None] * linear_of_srgb(texel)
    return srgb_of_linear(light) * alpha[..., None]


def _averaged(images: Tensor, factor: int) -> Tensor:
    """[C,H,W,D] means over squares of ``factor`` pixels."""
    if factor == 1:
        return images
    count, height, width, depth = images.shape
    squares = images.view(count, height // factor, factor, width // factor, factor, depth)
    return squares.mean((2, 4))
