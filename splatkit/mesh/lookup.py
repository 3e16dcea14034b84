"""Where the pixels of a photo look on the texture of a surface, and what they see there.

A texture has many more texels than one photo shows. What is known of one view here speaks only of
those, so that a step of optimising costs what the photo costs, however large the texture is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Triangles
from splatkit.core.srgb import linear_of_srgb, srgb_of_linear
from splatkit.render import RenderedTriangles, render_triangles
from splatkit.train.photos import View


@dataclass
class Lookup:
    """What P = (s H) (s W) samples of one view read from a texture, at s x s samples a pixel."""

    texels: Tensor
    """[U] int64 the texels that are read, each once, ascending, row after row."""
    places: Tensor
    """[4,Q] int64 of the Q samples that hit the surface: their four texels, in ``texels``."""
    shares: Tensor
    """[4,Q,1] of bilinear interpolation between these."""
    hit: Tensor
    """[P] bool the samples that hit the surface."""
    shape: tuple[int, int, int]
    """H, W and s."""
    drawn: RenderedTriangles
    """[1,s H,s W] the surface, with depth."""

    def picture(self, colors: Tensor, background: Tensor) -> Tensor:
        """[1,H,W,3] sRGB picture of texels of the colours [U,3], filtered in linear light."""
        light = linear_of_srgb(colors)
        mixed = sum(
            share * light.index_select(0, place)
            for share, place in zip(self.shares, self.places, strict=True)
        )
        assert isinstance(mixed, Tensor)
        whole = background.expand(len(self.hit), 3)
        rgb = whole.masked_scatter(self.hit[:, None].expand_as(whole), srgb_of_linear(mixed))
        height, width, factor = self.shape
        return rgb.view(1, height, factor, width, factor, 3).mean((2, 4))

    def spread(self, values: Tensor) -> Tensor:
        """[U,D] sums over samples of values [P,D], each shared among its four texels."""
        values = values[self.hit]
        total = values.new_zeros(len(self.texels), values.shape[1])
        for share, place in zip(self.shares, self.places, strict=True):
            total.index_add_(0, place, share * values)
        return total


def look_up(triangles: Triangles, view: View, factor: int) -> Lookup:
    """What a view reads from the texture of solid triangles, at ``factor`` samples a side.

    The shares have gradients for the triangles' vertices.
    """
    assert triangles.uvs is not None
    assert triangles.texture is not None
    camera = view.camera.resized(view.camera.width * factor, view.camera.height * factor)
    bare = replace(triangles, uvs=None, texture=None)
    drawn = render_triangles(bare, camera, features=triangles.uvs, outputs=("depth",))
    assert drawn.features is not None
    hit = drawn.alpha.view(-1) > 0.5
    height, width, _ = triangles.texture.shape
    at = drawn.features.view(-1, 2)[hit] * torch.tensor([width, height]) - 0.5
    low = at.detach().floor()
    across, down = (at - low)[:, None].unbind(-1)
    left, top = low.long().unbind(-1)
    columns = [(left + right).clamp(0, width - 1) for right in (0, 1)]
    rows = [(top + below).clamp(0, height - 1) * width for below in (0, 1)]
    keys = torch.stack([row + column for row in rows for column in columns])
    shares = torch.stack([y * x for y in (1 - down, down) for x in (1 - across, across)])
    # Each texel once, without sorting: most of the texture is not read.
    read = torch.zeros(height * width, dtype=torch.bool)
    read[keys.view(-1)] = True
    texels = read.nonzero().squeeze(1)
    number = torch.empty(height * width, dtype=torch.int64)
    number[texels] = torch.arange(len(texels))
    return Lookup(
        texels,
        number[keys],
        shares,
        hit,
        (view.camera.height, view.camera.width, factor),
        drawn,
    )
