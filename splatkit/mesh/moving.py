"""The vertices of a surface, moved by photos.

A vertex moves in lengths of its own edges, and somewhat together with those around it: gradients
are averaged along edges before they are descended on. More of that, as preconditioning with the
inverse of a Laplacian does it (Nicolet et al. 2021), keeps surfaces smoother and farther from the
photos.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core import Triangles
from splatkit.mesh.clean import edges_of

RATE = 0.04
"""Of Adam, in lengths of edges."""
ROUNDS = 1
"""Of averaging along edges."""
_BETAS = 0.9, 0.99


class MovedVertices:
    """Places of vertices, with Adam's moments.

    Args:
        triangles: a surface; vertices at one place move as one.
        count: of its faces, the first ones, that move; the others keep their corners.
    """

    def __init__(self, triangles: Triangles, count: int) -> None:
        self._start, self._same = triangles.vertices.unique(dim=0, return_inverse=True)
        faces = self._same[triangles.faces.long()]
        ends, _, _ = edges_of(faces)
        self._ends = torch.cat((ends, ends.flip(1)))
        self._count = self._start.new_zeros(len(self._start), 1)
        self._count.index_add_(0, self._ends[:, 0], torch.ones(len(self._ends), 1))
        lengths = (self._start[self._ends[:, 0]] - self._start[self._ends[:, 1]]).norm(dim=-1)
        self._size = torch.zeros_like(self._count).index_add_(0, self._ends[:, 0], lengths[:, None])
        self._size /= self._count.clamp_min(1)
        self._size[faces[count:]] = 0
        self.offsets = torch.zeros_like(self._start)
        """[U,3] how far the places went, in lengths of edges."""
        self._moments = torch.zeros_like(self._start), torch.zeros_like(self._count)
        self._steps = 0

    def leaf(self) -> tuple[Tensor, Tensor]:
        """A leaf of the offsets, and the vertices [V,3] made of it."""
        leaf = self.offsets.detach().requires_grad_()
        return leaf, self._vertices(leaf)

    def vertices(self) -> Tensor:
        """[V,3]"""
        return self._vertices(self.offsets)

    def descend(self, gradient: Tensor, share: float) -> None:
        """One step of Adam (Kingma and Ba 2015), of one size for the three axes of a vertex."""
        self._steps += 1
        for _ in range(ROUNDS):
            gradient = self._averaged(gradient)
        first, second = self._moments
        first.lerp_(gradient, 1 - _BETAS[0])
        second.lerp_(gradient.square().mean(-1, keepdim=True), 1 - _BETAS[1])
        spread = (second / (1 - _BETAS[1] ** self._steps)).sqrt_().add_(1e-12)
        rate = RATE * 0.1**share / (1 - _BETAS[0] ** self._steps)
        self.offsets = self.offsets - rate * first / spread

    def _vertices(self, offsets: Tensor) -> Tensor:
        return (self._start + self._size * offsets)[self._same]

    def _averaged(self, values: Tensor) -> Tensor:
        """Half of its own value and half the mean of its neighbours' for each place."""
        total = torch.zeros_like(values).index_add_(0, self._ends[:, 0], values[self._ends[:, 1]])
        return 0.5 * (values + total / self._count.clamp_min(1))
