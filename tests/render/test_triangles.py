"""Drawing triangles: native against the specification, gradients against finite differences."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import pytest
import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import SplatkitError, Triangles, UsageError
from splatkit.render import render_triangles
from splatkit.render.backends._torch_triangles import CONSTANTS
from tests.render.cases import Result, relative_l2
from tests.render.triangle_cases import (
    CASES,
    TriangleCase,
    assert_floats_agree,
    cameras_around,
    octahedra,
    random_triangles,
    run,
)


@cache
def reference(case: TriangleCase) -> Result:
    return run(case, "torch_ref", torch.float64)


def square(depth: float, size: float = 10.0) -> tuple[Tensor, Tensor]:
    """Corners and faces of a square across the view of the first camera of ``front``."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size
    corners[:, 2] = depth
    return corners, torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


def front(width: int = 24, height: int = 16):
    """A camera at the origin that looks along z."""
    case = TriangleCase("front", 0.0, width, height, cameras=1)
    cameras = cameras_around(case).to(torch.float32)
    cameras.viewmats = torch.eye(4)[None]
    return cameras


def test_constants_are_the_same() -> None:
    assert asdict(CONSTANTS) == _native.TRIANGLE_CONSTANTS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images_and_gradients_in_double(case: TriangleCase) -> None:
    expected, got = reference(case), run(case, "cpu", torch.float64)
    assert set(got.images) == set(expected.images)
    for name, image in got.images.items():
        torch.testing.assert_close(image, expected.images[name], rtol=1e-9, atol=1e-9, msg=name)
    for name, gradient in got.gradients.items():
        assert relative_l2(gradient, expected.gradients[name]) < 1e-8, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_floats(case: TriangleCase, isa: str) -> None:
    expected, got = reference(case), run(case, "cpu", torch.float32)
    assert_floats_agree(got, expected)


@pytest.mark.parametrize("softness", [0.0, 0.05, 0.3, 1.0])
def test_gradcheck(softness: float) -> None:
    case = TriangleCase("check", softness, 9, 7, faces=6, distance=2.5, near=0.05)
    triangles, cameras = random_triangles(case), cameras_around(case)
    features = torch.randn(len(triangles.vertices), 2, dtype=torch.float64)
    leaves = [
        t.clone().requires_grad_()
        for t in (triangles.vertices, triangles.colors, triangles.opacities, cameras.viewmats,
                  features)
        if t is not None
    ]  # fmt: skip

    def images(*leaves: Tensor) -> tuple[Tensor, ...]:
        cameras.viewmats = leaves[3]
        drawn = render_triangles(
            Triangles(leaves[0], triangles.faces, leaves[1], leaves[2]),
            cameras,
            softness=softness,
            features=leaves[4],
            near=case.near,
            outputs=("depth", "normal", "features"),
        )
        assert drawn.rgb is not None
        assert drawn.depth is not None
        assert drawn.features is not None
        # Sums of weights times values: quotients have no bounded derivative where alpha goes to 0.
        return drawn.rgb, drawn.alpha, drawn.depth * drawn.alpha, drawn.features

    assert torch.autograd.gradcheck(images, leaves, eps=1e-7, atol=1e-5, rtol=1e-3)


def test_a_closed_surface_has_no_gaps(isa: str) -> None:
    faces, vertices = octahedra(5)
    case = TriangleCase("ball", 0.0, 200, 150, cameras=3, distance=1.2)
    inside = cameras_around(case).to(torch.float32)
    inside.viewmats[:, :3, 3] = 0
    ball = Triangles(vertices.float() * 1.7, faces.int())
    drawn = render_triangles(ball, inside, features=ball.vertices, outputs=("depth", "features"))
    assert bool((drawn.alpha == 1).all())
    assert drawn.features is not None
    assert drawn.features.norm(dim=-1).min() > 1.69


def test_colours_are_interpolated_with_perspective() -> None:
    # A floor that runs away from the camera: half way up the picture is not half way along it.
    corners = torch.tensor([[-9.0, 1, 1], [9, 1, 1], [9, 1, 5], [-9, 1, 5]])
    floor = Triangles(corners, square(1)[1])
    drawn = render_triangles(floor, front(), features=corners, outputs=("depth", "features"))
    assert drawn.features is not None
    assert drawn.depth is not None
    seen = drawn.alpha == 1
    assert int(seen.sum()) > 30
    torch.testing.assert_close(drawn.features[..., 2][seen], drawn.depth[seen])
    torch.testing.assert_close(drawn.features[..., 1][seen], torch.ones(int(seen.sum())))


def test_the_near_plane_cuts_pixel_by_pixel() -> None:
    corners = torch.tensor([[-9.0, 1, -5], [9, 1, -5], [9, 1, 5], [-9, 1, 5]])
    floor = Triangles(corners, square(1)[1], colors=torch.ones(4, 3))
    near, far = (
        render_triangles(floor, front(), near=near, outputs=("depth",)) for near in (0.1, 4)
    )
    assert near.depth is not None
    expected = (near.depth > 4).float()
    assert 0 < expected.sum() < near.alpha.sum()
    assert torch.equal(far.alpha, expected)


def test_the_nearer_one_hides_the_other_whatever_their_order() -> None:
    (back, faces), (ahead, _) = square(4), square(2)
    for first, second in ((back, ahead), (ahead, back)):
        both = Triangles(
            torch.cat((first, second)), torch.cat((faces, faces + 4)),
            colors=(torch.cat((first, second))[:, 2:] == 2).float().expand(-1, 3),
        )  # fmt: skip
        for softness in (0.0, 1e-6):
            drawn = render_triangles(both, front(), softness=softness, outputs=("depth", "normal"))
            assert drawn.rgb is not None
            assert drawn.normal is not None
            assert float(drawn.rgb.min()) > 0.99
            torch.testing.assert_close(
                drawn.normal, torch.tensor([0.0, 0, -1]).expand(drawn.normal.shape)
            )


def test_a_texture_is_drawn_upright_and_learns() -> None:
    corners, faces = square(1.0, 0.4)
    uvs = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    wanted = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0))
    cameras = front(32, 32)
    target = render_triangles(Triangles(corners, faces, uvs=uvs, texture=wanted), cameras).rgb
    assert target is not None
    # The square reaches 0.4 * 35.2 pixels from the middle: its corners' texels are at 3 and 28.
    for row in (3, 28):
        for column in (3, 28):
            texels = [
                (wanted[v, u] - target[0, row, column]).norm() for v in (0, 7) for u in (0, 7)
            ]
            assert int(torch.stack(texels).argmin()) == 2 * (row > 3) + (column > 3)
    texture = torch.full_like(wanted, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([texture], 0.05)
    for _ in range(60):
        drawn = render_triangles(Triangles(corners, faces, uvs=uvs, texture=texture), cameras).rgb
        assert drawn is not None
        loss = (drawn - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (texture - wanted).abs().mean() < 0.02
    assert (texture - wanted).abs().mean() < (0.5 - wanted).abs().mean() / 10


def test_soft_triangles_find_a_shape() -> None:
    case = TriangleCase("shape", 0.5, 32, 32, cameras=3, distance=3.0)
    cameras = cameras_around(case).to(torch.float32)
    faces, places = octahedra(2)
    colors = torch.rand(66, 3, generator=torch.Generator().manual_seed(0))
    ball = Triangles(places.float(), faces.int(), colors)
    target = render_triangles(ball, cameras, softness=0.5)
    vertices = (ball.vertices * 0.8).requires_grad_()
    optimizer = torch.optim.Adam([vertices], 0.01)
    losses = []
    for _ in range(60):
        drawn = render_triangles(
            Triangles(vertices, ball.faces, ball.colors), cameras, softness=0.5
        )
        assert drawn.rgb is not None
        assert target.rgb is not None
        loss = (drawn.rgb - target.rgb).square().mean() + (
            drawn.alpha - target.alpha
        ).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4


def test_threads_do_not_change_a_bit(threads: Callable[[int], None]) -> None:
    case = CASES[0]
    results = []
    for count in (1, 3):
        threads(count)
        results.append(run(case, "cpu", torch.float32))
    for kind in ("images", "gradients"):
        first, second = (getattr(result, kind) for result in results)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_broken_vertices_spoil_nothing_else() -> None:
    case = TriangleCase("broken", 0.5, cameras=1)
    triangles, cameras = random_triangles(case).to(torch.float32), cameras_around(case)
    whole = render_triangles(triangles.selected(torch.arange(3, 50)), cameras.to(torch.float32))
    for bad in (float("nan"), float("inf"), 1e38):
        broken = triangles.to(torch.float64).to(torch.float32)
        broken.vertices[:9] = bad
        drawn = render_triangles(broken, cameras.to(torch.float32))
        assert whole.rgb is not None
        assert drawn.rgb is not None
        torch.testing.assert_close(drawn.rgb, whole.rgb)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"softness": -1.0}, "softness: expected 0 to 100, got -1.0"),
        ({"supersample": 0}, "supersample: expected 1 to 8, got 0"),
        ({"near": 0.0}, "near: expected a number above 0, got 0.0"),
        ({"outputs": ("colour",)}, "outputs: expected any of rgb"),
        ({"outputs": ("features",)}, "needs the argument features"),
        ({"backend": "gsplat"}, "backend: expected auto, cpu, cuda, torch_ref, got 'gsplat'"),
        ({"features": torch.zeros(3, 2)}, "features: expected shape"),
    ],
)
def test_bad_options_are_named(options: dict, words: str) -> None:
    corners, faces = square(2)
    with pytest.raises(SplatkitError, match=words):
        render_triangles(Triangles(corners, faces), front(), **options)


def test_bad_triangles_are_named() -> None:
    corners, faces = square(2)
    with pytest.raises(SplatkitError, match="faces: expected values of 0 to 2, got 0 to 3"):
        Triangles(corners[:3], faces)
    with pytest.raises(SplatkitError, match="faces: expected int32"):
        Triangles(corners, faces.long())
    with pytest.raises(SplatkitError, match="uvs and a texture or neither"):
        Triangles(corners, faces, uvs=corners[:, :2])
    textured = Triangles(corners, faces, uvs=corners[:, :2], texture=torch.zeros(2, 2, 3))
    with pytest.raises(UsageError, match="softness: expected 0 for triangles with a texture"):
        render_triangles(textured, front(), softness=1.0)
