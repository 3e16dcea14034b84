"""A scene as triangles that share vertices: what a game engine draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError


@dataclass
class Triangles:
    """T triangles over V vertices, seen from both sides.

    A triangle's front is where its corners run counter-clockwise; its normal points there. Float
    tensors share one dtype and one device. Colours are the vertices' own or a texture's.
    """

    vertices: Tensor
    """[V,3] positions, world units, world frame."""
    faces: Tensor
    """[T,3] int32 vertices of each triangle, each 0..V-1."""
    colors: Tensor | None = None
    """[V,3] sRGB 0..1; None where a texture holds them."""
    opacities: Tensor | None = None
    """[V] 0..1; None: opaque."""
    uvs: Tensor | None = None
    """[V,2] places on the texture, 0..1: u to the right, v downwards from the first row."""
    texture: Tensor | None = None
    """[H,W,3] sRGB 0..1; the first row is at v = 0."""

    def __post_init__(self) -> None:
        known = {"vertices": (self.vertices, "V 3")}
        for name, shape in (("colors", "V 3"), ("opacities", "V"), ("uvs", "V 2")):
            tensor = getattr(self, name)
            if tensor is not None:
                known[name] = (tensor, shape)
        if self.texture is not None:
            known["texture"] = (self.texture, "H W 3")
        check(floating=True, **known)
        check(floating=False, faces=(self.faces, "T 3"))
        if self.faces.dtype != torch.int32:
            raise SplatkitError(f"faces: expected int32, got {self.faces.dtype}; use .int()")
        if (self.uvs is None) != (self.texture is None):
            raise SplatkitError("triangles: expected uvs and a texture or neither, got one of them")
        if self.faces.numel():
            low, high = (int(end) for end in self.faces.aminmax())
            if low < 0 or high >= len(self.vertices):
                raise SplatkitError(
                    f"faces: expected values of 0 to {len(self.vertices) - 1}, got {low} to {high}"
                )

    def __len__(self) -> int:
        return self.faces.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.vertices.device

    @property
    def corners(self) -> Tensor:
        """[T,3,3] positions of the three corners."""
        return self.vertices[self.faces.long()]

    @property
    def areas(self) -> Tensor:
        """[T] world units squared."""
        return 0.5 * self._crossed().norm(dim=-1)

    @property
    def normals(self) -> Tensor:
        """[T,3] unit normals of the fronts; 0 for triangles without area."""
        crossed = self._crossed()
        length = crossed.square().sum(-1, keepdim=True)
        solid = length > 0
        return torch.where(solid, crossed * torch.where(solid, length, 1).rsqrt(), 0)

    @property
    def vertex_normals(self) -> Tensor:
        """[V,3] unit normals, means over the triangles around weighted by area; 0 where none."""
        crossed = self._crossed()
        total = torch.zeros_like(self.vertices)
        for corner in range(3):
            total = total.index_add(0, self.faces[:, corner].long(), crossed)
        return torch.nn.functional.normalize(total, dim=-1)

    def _crossed(self) -> Tensor:
        a, b, c = self.corners.unbind(1)
        return torch.linalg.cross(b - a, c - a, dim=-1)

    def to(self, target: torch.device | torch.dtype | str) -> Triangles:
        """A copy on another device or with another float dtype."""

        def moved(tensor: Tensor) -> Tensor:
            keep = isinstance(target, torch.dtype) and not tensor.dtype.is_floating_point
            return tensor if keep else tensor.to(target)

        return self.map(moved)

    def detach(self) -> Triangles:
        """The same values without gradient history."""
        return self.map(Tensor.detach)

    def map(self, function: Callable[[Tensor], Tensor]) -> Triangles:
        """The triangles with ``function`` applied to each tensor."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: function(tensor) for name, tensor in tensors.items() if tensor is not None}
        return replace(self, **changed)

    def selected(self, keep: Tensor) -> Triangles:
        """The triangles of a mask [T] or of indices, and the vertices that they use."""
        faces = self.faces[keep].long()
        used, renumbered = faces.unique(return_inverse=True)
        per_vertex = {
            name: None if (tensor := getattr(self, name)) is None else tensor[used]
            for name in ("vertices", "colors", "opacities", "uvs")
        }
        return replace(self, faces=renumbered.reshape(-1, 3).int(), **per_vertex)
