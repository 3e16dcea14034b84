"""Colours of a surface from photos: first as means over what sees a place, then by optimisation.

Both go through the rasterizer that draws the result, so that visibility needs no rule of its own.
While colours are optimised, photos move the vertices, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.core import Event, Progress, Triangles, UsageError
from splatkit.mesh.clean import edges_of
from splatkit.mesh.kept import Kept
from splatkit.mesh.lookup import look_up
from splatkit.mesh.moving import MovedVertices
from splatkit.render import get_backend, render_triangles
from splatkit.render.edges import render_with_edges, with_smooth_edges
from splatkit.train.chance import PhotoOrder
from splatkit.train.photos import View

RATE = 0.02
"""Of Adam on colours 0..1."""
SSIM_WEIGHT = 0.2
MOVED_UNTIL = 0.8
"""Share of the steps from which on vertices stay, and colours alone are optimised."""
_BETAS = 0.9, 0.99
STAGE = "paint"


def painted(
    triangles: Triangles,
    views: list[View],
    background: Tensor,
    *,
    steps: int,
    moved: int = 0,
    supersample: int = 1,
    seed: int = 0,
    in_time: Callable[[], bool] = lambda: True,
    kept: Kept | None = None,
) -> Generator[Event, None, Triangles]:
    """Give solid triangles the colours of photos, and move them to where these say they are.

    Args:
        triangles: with a texture (of any content) or to get vertex colours.
        views: photos and cameras.
        background: [3] sRGB behind the triangles.
        steps: of optimisation, one photo each.
        moved: so many faces, the first ones, photos may move.
        supersample: as the result will be drawn; 1 where faces are moved.
        seed: of the order of photos.
        in_time: whether there is time for another step.
        kept: where colours and places are kept from time to time, and taken up if they are there.

    Raises:
        UsageError: faces are to be moved, and drawn with more than one sample a pixel.
    """
    if moved and supersample != 1:
        raise UsageError(f"supersample: expected 1 where faces are moved, got {supersample}")
    before = None if kept is None else kept.load(STAGE)
    if triangles.texture is not None:
        start = triangles if before else (yield from _averaged_texels(triangles, views))
        drawing = _TexelDrawing(start, background, supersample)
    else:
        start = triangles if before else (yield from _averaged_vertices(triangles, views))
        drawing = _VertexDrawing(start, background, supersample)
    places = MovedVertices(start, moved) if moved else None
    begin = 0
    if before is not None:
        begin, drawing.colors = int(before["step"]), before["colors"].float()
        if places is not None:
            places.offsets = before["offsets"]
            drawing.vertices = places.vertices()
    moments = torch.zeros_like(drawing.colors), torch.zeros_like(drawing.colors)
    order = PhotoOrder(len(views), seed)
    for step in range(begin, steps):
        if not in_time():
            break
        view, share = views[order.at(step)], step / steps
        leaves: list[Tensor] = []
        if places is not None and share < MOVED_UNTIL:
            leaf, drawing.vertices = places.leaf()
            leaves.append(leaf)
        rows, colors, rgb = drawing.draw(view)
        loss = photo_loss(rgb, view)
        gradient, *others = torch.autograd.grad(loss, [colors, *leaves])
        rate = RATE * 0.05**share
        _descend(drawing.colors, moments, rows, gradient, rate, step - begin + 1)
        for other in others:
            assert places is not None
            places.descend(other, share)
            drawing.vertices = places.vertices()
        yield Progress("Painting", step + 1, steps, f"loss {loss.item():.4f}")
        if kept is not None and kept.due():
            # No moments, and colours at half the precision: a texture is large, and these are soon
            # found.
            told = {"step": torch.tensor(step + 1), "colors": drawing.colors.half()}
            if places is not None:
                told["offsets"] = places.offsets
            kept.save(STAGE, told)
    return drawing.painted()


class _TexelDrawing:
    """Pictures of a textured surface, by the texels that each shows."""

    def __init__(self, triangles: Triangles, background: Tensor, supersample: int) -> None:
        assert triangles.texture is not None
        self._triangles, self._background, self._factor = triangles, background, supersample
        self.colors = triangles.texture.reshape(-1, 3).clone()
        self.vertices = triangles.vertices

    def draw(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of ``colors`` that a view shows, a leaf of them, and the picture made of it."""
        triangles = replace(self._triangles, vertices=self.vertices)
        lookup = look_up(triangles, view, self._factor)
        leaf = self.colors[lookup.texels].requires_grad_()
        rgb = lookup.picture(leaf, self._background)
        if self.vertices.requires_grad:
            rgb = with_smooth_edges(rgb, lookup.drawn, triangles, view.camera)
        return lookup.texels, leaf, rgb

    def painted(self) -> Triangles:
        """The triangles with these colours."""
        texture = self._triangles.texture
        assert texture is not None
        painted = self.colors.view(texture.shape)
        return replace(self._triangles, vertices=self.vertices, texture=painted)


class _VertexDrawing:
    """The same for colours at vertices: all of them at once."""

    def __init__(self, triangles: Triangles, background: Tensor, supersample: int) -> None:
        self._triangles, self._background, self._factor = triangles, background, supersample
        blank = torch.zeros_like(triangles.vertices)
        self.colors = blank if triangles.colors is None else triangles.colors.clone()
        self.vertices = triangles.vertices
        self._all = torch.arange(len(self.colors))

    def draw(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """See above."""
        leaf = self.colors.clone().requires_grad_()
        triangles = replace(self._triangles, vertices=self.vertices, colors=leaf)
        if self.vertices.requires_grad:
            drawn = render_with_edges(triangles, view.camera, background=self._background)
        else:
            drawn = render_triangles(
                triangles, view.camera, background=self._background, supersample=self._factor
            )
        assert drawn.rgb is not None
        return self._all, leaf, drawn.rgb

    def painted(self) -> Triangles:
        """The triangles with these colours."""
        return replace(self._triangles, vertices=self.vertices, colors=self.colors)


def _descend(
    colors: Tensor,
    moments: tuple[Tensor, Tensor],
    rows: Tensor,
    gradient: Tensor,
    rate: float,
    step: int,
) -> None:
    """One step of Adam (Kingma and Ba 2015) for some rows of the colours [N,3]."""
    first, second = (moment[rows] for moment in moments)
    first.lerp_(gradient, 1 - _BETAS[0])
    second.lerp_(gradient.square(), 1 - _BETAS[1])
    for moment, new in zip(moments, (first, second), strict=True):
        moment[rows] = new
    spread = (second / (1 - _BETAS[1] ** step)).sqrt_().add_(1e-8)
    change = rate / (1 - _BETAS[0] ** step) * first / spread
    colors[rows] = (colors[rows] - change).clamp_(0, 1)


def photo_loss(rgb: Tensor | None, view: View) -> Tensor:
    """Mean absolute difference and dissimilarity of a drawn photo [1,H,W,3], masks left out."""
    assert rgb is not None
    value, gradient = get_backend("cpu").l1_ssim(rgb.detach(), view.image, SSIM_WEIGHT, view.mask)
    # A loss whose gradient is known: its value at this place, its slope elsewhere.
    return (rgb * gradient).sum() + (value - (rgb.detach() * gradient).sum())


def _averaged_texels(triangles: Triangles, views: list[View]) -> Generator[Event, None, Triangles]:
    """The triangles with the mean colour of each texel; unseen ones take those around."""
    assert triangles.texture is not None
    shape = triangles.texture.shape
    sums = torch.zeros(shape[0] * shape[1], 4)
    for done, view in enumerate(views):
        lookup = look_up(triangles, view, 1)
        photo = view.image.view(-1, 3).float() / 255
        counted = torch.ones(len(photo), 1) if view.mask is None else _counts(view.mask)
        sums[lookup.texels] += lookup.spread(torch.cat((photo * counted, counted), -1))
        yield Progress("Averaging photos", done + 1, len(views))
    colors, seen = _means(sums[:, :3], sums[:, 3:])
    texture = _spread_over_pixels(colors.view(shape), seen.view(shape[:2]))
    return replace(triangles, texture=texture)


def _averaged_vertices(
    triangles: Triangles, views: list[View]
) -> Generator[Event, None, Triangles]:
    """The triangles with the mean colour of each vertex; unseen ones take their neighbours'.

    The gradient of (what is drawn) . (photo) with respect to colours is, for each vertex, the sum
    of the photos' pixels weighted by its share in them.
    """
    shape = triangles.vertices.shape
    sums, weights = torch.zeros(shape), torch.zeros(shape)
    for done, view in enumerate(views):
        blank = torch.zeros(shape, requires_grad=True)
        drawn = render_triangles(replace(triangles, colors=blank), view.camera).rgb
        assert drawn is not None
        counted = (
            torch.ones(1) if view.mask is None else _counts(view.mask).view(*drawn.shape[:3], 1)
        )
        counted = counted.expand_as(drawn)
        photo = view.image.float() / 255 * counted
        sums += torch.autograd.grad(drawn, blank, photo, retain_graph=True)[0]
        weights += torch.autograd.grad(drawn, blank, counted)[0]
        yield Progress("Averaging photos", done + 1, len(views))
    colors, seen = _means(sums, weights)
    return replace(triangles, colors=_spread_over_edges(colors, seen, triangles.faces))


def _counts(mask: Tensor) -> Tensor:
    """[H W,1] 1 where a pixel of a mask [1,H,W] counts, else 0."""
    return (mask.view(-1, 1) > 0).float()


def _means(sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Colours [N,3] out of sums, and where there are any [N]."""
    seen = weights > 1e-4
    return torch.where(seen, sums / weights.clamp_min(1e-4), 0), seen[:, 0]


def _spread_over_edges(colors: Tensor, seen: Tensor, faces: Tensor) -> Tensor:
    """Vertex colours, those not seen as means of their neighbours', ring by ring."""
    ends, _, _ = edges_of(faces)
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


def _spread_over_pixels(colors: Tensor, seen: Tensor) -> Tensor:
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
