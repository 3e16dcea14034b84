"""Small random triangle scenes, and one rendering of each with all outputs and gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatkit.core import Cameras, Triangles
from splatkit.render import render_triangles
from tests.render import cases

OUTPUTS = ("rgb", "alpha", "depth", "normal", "features", "weights")
DIFFERENTIABLE = ("rgb", "alpha", "depth", "normal", "features")


@dataclass(frozen=True)
class TriangleCase:
    """One line of the case table."""

    name: str
    softness: float
    width: int = 43
    height: int = 37
    vertices: int = 40
    faces: int = 50
    cameras: int = 2
    size: float = 0.35
    """Length of edges where the cloud has radius 1."""
    distance: float = 4.0
    center: tuple[float, float] = (0.5, 0.5)
    features: int = 2
    supersample: int = 1
    near: float = 0.01
    closed: bool = False
    """Whether triangles share the vertices of a bumpy sphere."""


CASES = (
    TriangleCase("pyramids", 1.0),
    TriangleCase("harder", 0.3),
    TriangleCase("nearly solid", 0.02),
    TriangleCase("solid", 0.0),
    TriangleCase("solid, shared vertices", 0.0, closed=True),
    TriangleCase("soft, shared vertices", 0.5, closed=True),
    TriangleCase("cameras among the triangles", 1.0, distance=0.3, near=0.2),
    TriangleCase("solid, cameras among the triangles", 0.0, distance=0.3, near=0.2),
    TriangleCase("large triangles", 0.7, size=2.0, faces=20),
    TriangleCase("principal point outside", 1.0, center=(1.2, -0.1)),
    TriangleCase("supersampled", 0.5, width=13, height=9, supersample=3),
    TriangleCase("no features", 0.5, features=0, cameras=1),
    TriangleCase("many features", 0.5, features=17, faces=20, cameras=1),
    TriangleCase("one pixel", 1.0, width=1, height=1),
    TriangleCase("no triangles", 1.0, faces=0),
    TriangleCase("no triangles, solid", 0.0, faces=0),
)


def random_triangles(case: TriangleCase, seed: int = 0) -> Triangles:
    """Float64 triangles around the origin."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    if case.closed:
        faces, vertices = octahedra(2)
        vertices = vertices * (1 + 0.1 * normal(len(vertices), 1))
    else:
        faces = torch.arange(3 * case.faces).view(-1, 3)
        middles = normal(case.faces, 1, 3) * 0.5
        vertices = (middles + case.size * normal(case.faces, 3, 3)).reshape(-1, 3)
    count = len(vertices)
    return Triangles(
        vertices,
        faces.int(),
        colors=torch.rand(count, 3, generator=g, dtype=torch.float64),
        opacities=torch.rand(count, generator=g, dtype=torch.float64) * 0.9 + 0.1,
    )


def octahedra(levels: int) -> tuple[Tensor, Tensor]:
    """Faces and vertices on the unit sphere of an octahedron, divided so many times."""
    axes = torch.eye(3, dtype=torch.float64)
    vertices = [*axes, *-axes]
    faces = [(x, y, z) for x in (0, 3) for y in (1, 4) for z in (2, 5)]
    for _ in range(levels):
        middle: dict[tuple[int, int], int] = {}

        def between(a: int, b: int, middle: dict[tuple[int, int], int] = middle) -> int:
            key = (min(a, b), max(a, b))
            if key not in middle:
                middle[key] = len(vertices)
                vertices.append(torch.nn.functional.normalize(vertices[a] + vertices[b], dim=0))
            return middle[key]

        divided = []
        for a, b, c in faces:
            ab, bc, ca = between(a, b), between(b, c), between(c, a)
            divided += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = divided
    found = torch.tensor(faces)
    places = torch.stack(vertices)
    a, b, c = places[found].unbind(1)
    inward = (torch.linalg.cross(b - a, c - a) * (a + b + c)).sum(-1) < 0
    found[inward] = found[inward][:, [0, 2, 1]]
    return found, places


def cameras_around(case: TriangleCase) -> Cameras:
    """Float64 cameras that look at the origin."""
    return cases.cameras_around(
        cases.Case(
            case.name, case.width, case.height, cameras=case.cameras, distance=case.distance,
            center=case.center,
        )
    )  # fmt: skip


def run(case: TriangleCase, backend: Any, dtype: torch.dtype, seed: int = 0) -> cases.Result:
    """Draw a case with every output, and differentiate a random weighting of the images."""
    triangles = random_triangles(case, seed).to(dtype)
    cameras = cameras_around(case).to(dtype)
    g = torch.Generator().manual_seed(seed + 1)
    leaves = {
        "vertices": triangles.vertices,
        "colors": triangles.colors,
        "opacities": triangles.opacities,
        "viewmats": cameras.viewmats,
        "background": torch.rand(case.cameras, 3, generator=g).to(dtype),
    }
    if case.features:
        count = len(triangles.vertices)
        leaves["features"] = torch.randn(count, case.features, generator=g).to(dtype)
    leaves = {name: t.clone().requires_grad_() for name, t in leaves.items() if t is not None}
    cameras.viewmats = leaves["viewmats"]
    drawn = render_triangles(
        Triangles(leaves["vertices"], triangles.faces, leaves["colors"], leaves["opacities"]),
        cameras,
        softness=case.softness,
        features=leaves.get("features"),
        background=leaves["background"],
        supersample=case.supersample,
        near=case.near,
        outputs=OUTPUTS if case.features else tuple(o for o in OUTPUTS if o != "features"),
        backend=backend,
    )
    images = {name: t.double() for name, t in vars(drawn).items() if t is not None}
    loss = sum(
        (images[name] * torch.randn(images[name].shape, generator=g, dtype=torch.float64)).sum()
        for name in DIFFERENTIABLE
        if name in images
    )
    assert isinstance(loss, Tensor)
    gradients = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return cases.Result(
        {name: image.detach() for name, image in images.items()},
        {name: grad.double() for name, grad in zip(leaves, gradients, strict=True)},
    )


def assert_floats_agree(got: cases.Result, expected: cases.Result) -> None:
    """Fail where float32 images and gradients are not those of the reference."""
    for name, image in got.images.items():
        difference = (image - expected.images[name]).abs()
        if name in ("ids", "weight_count"):
            # An edge or threshold may fall on the other side, at next to no pixel.
            assert int((difference > 0).sum()) <= 2e-3 * difference.numel(), name
        else:
            wrong = difference > 2e-5 * (1 + expected.images[name].abs())
            assert int(wrong.sum()) <= 2e-3 * wrong.numel(), name
    for name, gradient in got.gradients.items():
        assert cases.relative_l2(gradient, expected.gradients[name]) < 2e-3, name
