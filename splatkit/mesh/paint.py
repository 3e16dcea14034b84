"""Colours of a surface from photos: first as means over what sees a place, then by optimisation.

Both go through the rasterizer that draws the result. The gradient of (what is drawn) . (photo) with
respect to colours is, for each vertex or texel, the sum of the photos' pixels weighted by its
share in them; over the same sum for a white photo it is their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.core import Event, Progress, Triangles
from splatkit.mesh.clean import edges_of
from splatkit.render import get_backend, render_triangles
from splatkit.train.chance import PhotoOrder
from splatkit.train.photos import View

RATE = 0.02
"""Of Adam on colours 0..1."""
SSIM_WEIGHT = 0.2


def painted(
    triangles: Triangles,
    views: list[View],
    background: Tensor,
    *,
    steps: int,
    supersample: int = 1,
    seed: int = 0,
    in_time: Callable[[], bool] = lambda: True,
) -> Generator[Event, None, Triangles]:
    """Give solid triangles the colours of photos.

    Args:
        triangles: with a texture (of any content) or to get vertex colours.
        views: photos and cameras.
        background: [3] sRGB behind the triangles.
        steps: of optimisation, one photo each.
        supersample: as the result will be drawn.
        seed: of the order of photos.
        in_time: whether there is time for another step.
    """
    textured = triangles.texture is not None
    start = yield from _averaged(triangles, views)
    name = "texture" if textured else "colors"
    colors = start.texture if textured else start.colors
    assert colors is not None
    colors = colors.clone().requires_grad_()
    optimizer = torch.optim.Adam([colors], RATE, betas=(0.9, 0.99), fused=True)
    order = PhotoOrder(len(views), seed)
    for step in range(steps):
        if not in_time():
            break
        view = views[order.at(step)]
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.05 ** (step / max(1, steps))
        drawn = render_triangles(
            replace(triangles, **{name: colors}),
            view.camera,
            background=background,
            supersample=supersample,
        )
        loss = photo_loss(drawn.rgb, view)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            colors.clamp_(0, 1)
        yield Progress("Painting", step + 1, steps, f"loss {loss.item():.4f}")
    return replace(triangles, **{name: colors.detach()})


def photo_loss(rgb: Tensor | None, view: View) -> Tensor:
    """Mean absolute difference and dissimilarity of a drawn photo [1,H,W,3], masks left out."""
    assert rgb is not None
    value, gradient = get_backend("cpu").l1_ssim(rgb.detach(), view.image, SSIM_WEIGHT, view.mask)
    # A loss whose gradient is known: its value at this place, its slope elsewhere.
    return (rgb * gradient).sum() + (value - (rgb.detach() * gradient).sum())


def _averaged(triangles: Triangles, views: list[View]) -> Generator[Event, None, Triangles]:
    """The triangles with the mean colour of each vertex or texel; unseen ones take neighbours'."""
    texture = triangles.texture
    shape = triangles.vertices.shape if texture is None else texture.shape
    sums, weights = torch.zeros(shape), torch.zeros(shape)
    name = "colors" if texture is None else "texture"
    for done, view in enumerate(views):
        blank = torch.zeros(shape, requires_grad=True)
        drawn = render_triangles(replace(triangles, **{name: blank}), view.camera).rgb
        assert drawn is not None
        counted = (
            torch.ones_like(drawn) if view.mask is None else (view.mask > 0)[..., None].float()
        )
        counted = counted.expand_as(drawn)
        photo = view.image.float() / 255 * counted
        sums += torch.autograd.grad(drawn, blank, photo, retain_graph=True)[0]
        weights += torch.autograd.grad(drawn, blank, counted)[0]
        yield Progress("Averaging photos", done + 1, len(views))
    seen = weights > 1e-4
    colors = torch.where(seen, sums / weights.clamp_min(1e-4), 0)
    fill = _spread_over_edges if texture is None else _spread_over_pixels
    return replace(triangles, **{name: fill(colors, seen[..., 0], triangles)})


def _spread_over_edges(colors: Tensor, seen: Tensor, triangles: Triangles) -> Tensor:
    """Vertex colours, those not seen as means of their neighbours', ring by ring."""
    ends, _, _ = edges_of(triangles.faces)
    both = torch.cat((ends, ends.flip(1)))
    while True:
        source = seen[both[:, 0]] & ~seen[both[:, 1]]
        if not bool(source.any()):
            break
        pairs = both[source]
        total = torch.zeros_like(colors).index_add_(0, pairs[:, 1], colors[pairs[:, 0]])
        count = torch.zeros(len(colors)).index_add_(0, pairs[:, 1], torch.ones(len(pairs)))
        new = count > 0
        colors = torch.where(new[:, None], total / count.clamp_min(1)[:, None], colors)
        seen = seen | new
    middle = colors[seen].mean(0) if bool(seen.any()) else colors.new_full((3,), 0.5)
    return torch.where(seen[:, None], colors, middle)


def _spread_over_pixels(colors: Tensor, seen: Tensor, triangles: Triangles) -> Tensor:
    """A texture, its unseen texels from coarser and coarser means of those around."""
    picture = colors.permute(2, 0, 1)[None]
    known = seen.float()[None, None]
    levels = [(picture * known, known)]
    while min(levels[-1][1].shape[2:]) > 1:
        total, weight = levels[-1]
        levels.append((_halved(total), _halved(weight)))
    total, weight = levels[-1]
    filled = total / weight.clamp_min(1e-8)
    for total, weight in reversed(levels[:-1]):
        size = (total.shape[2], total.shape[3])
        coarse = torch.nn.functional.interpolate(filled, size, mode="bilinear", align_corners=False)
        filled = torch.where(weight > 0, total / weight.clamp_min(1e-8), coarse)
    return filled[0].permute(1, 2, 0)


def _halved(planes: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(planes, 2, ceil_mode=True)
