"""The gsplat backend against the reference with gsplat's own constants (gsplat 1.5.3).

gsplat's CUDA kernels need a GPU; without one, its own plain-torch code stands in for projection,
harmonics and the assignment to tiles, and a loop over tiles in this file for the last kernel. That
tests what we hand to gsplat and take from it; the kernels themselves are compared on a GPU.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.render import render
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.gsplat import GSPLAT_CONSTANTS, GsplatBackend, gsplat_obstacle
from splatkit.render.backends.torch_ref import TorchReference
from tests.render.cases import Case, cameras_around, random_gaussians, relative_l2

gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
CASE = Case("gsplat", width=37, height=26, count=40, cameras=2, log_scale=-2.0)
DIFFERENTIABLE = ("rgb", "alpha", "depth", "normal", "features")


def plain_library() -> SimpleNamespace:
    """The functions that the backend calls, in torch."""
    from gsplat.cuda import _torch_impl as plain

    def fully_fused_projection(
        means: Tensor,
        covars: None,
        quats: Tensor,
        scales: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        width: int,
        height: int,
        eps2d: float,
        near_plane: float,
        packed: bool,
        calc_compensations: bool,
        opacities: Tensor,
    ) -> tuple[Tensor, ...]:
        assert packed
        shapes, _ = plain._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
        radii, means2d, depths, conics, compensations = plain._fully_fused_projection(
            means, shapes, viewmats, Ks, width, height, eps2d, near_plane, 1e10, calc_compensations
        )
        camera_ids, ids = (radii > 0).all(-1).nonzero().unbind(-1)
        rows = (camera_ids, ids)
        return (
            torch.zeros_like(ids),
            *rows,
            *(t[rows] for t in (radii, means2d, depths, conics)),
            None if compensations is None else compensations[rows],
        )

    def isect_tiles(
        means2d: Tensor,
        radii: Tensor,
        depths: Tensor,
        tile_size: int,
        tile_width: int,
        tile_height: int,
        packed: bool,
        n_images: int,
        image_ids: Tensor,
        gaussian_ids: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        assert packed
        assert image_ids.dtype == gaussian_ids.dtype == torch.int64
        parts, keys = [], []
        for image in range(n_images):
            rows = (image_ids == image).nonzero().squeeze(1)
            _, isects, flat = plain._isect_tiles(
                means2d[None, rows].float(),
                radii[None, rows],
                depths[None, rows].float(),
                tile_size,
                tile_width,
                tile_height,
            )
            bits = (tile_width * tile_height).bit_length()
            keys.append(isects + (image << (bits + 32)))
            parts.append(rows[flat.long()])
        return torch.zeros(0), torch.cat(keys), torch.cat(parts)

    def rasterize_to_pixels(
        means2d: Tensor,
        conics: Tensor,
        colors: Tensor,
        opacities: Tensor,
        width: int,
        height: int,
        tile_size: int,
        offsets: Tensor,
        flatten_ids: Tensor,
        backgrounds: Tensor,
        packed: bool,
    ) -> tuple[Tensor, Tensor]:
        """Blends as the CUDA kernel is documented to: its tiles, its order, its thresholds."""
        assert packed
        reference = TorchReference(GSPLAT_CONSTANTS)
        images = means2d.new_zeros(len(offsets), height, width, colors.shape[1])
        alphas = means2d.new_zeros(len(offsets), height, width, 1)
        ends = torch.cat((offsets.flatten()[1:], torch.tensor([len(flatten_ids)])))
        for tile, (begin, end) in enumerate(zip(offsets.flatten(), ends, strict=True)):
            image, row, column = torch.unravel_index(torch.tensor(tile), offsets.shape)
            ids = flatten_ids[begin:end].long()
            ys = torch.arange(int(row) * tile_size, min(height, (int(row) + 1) * tile_size))
            xs = torch.arange(int(column) * tile_size, min(width, (int(column) + 1) * tile_size))
            y, x = (t.flatten() for t in torch.meshgrid(ys, xs, indexing="ij"))
            records = torch.cat((means2d[ids], conics[ids], opacities[ids, None]), -1)
            weights, _ = reference._weights(records, (x + 0.5).to(means2d), (y + 0.5).to(means2d))
            covered = weights.sum(-1, keepdim=True)
            images[image, y, x] = weights @ colors[ids] + (1 - covered) * backgrounds[image]
            alphas[image, y, x] = covered
        return images, alphas

    return SimpleNamespace(
        fully_fused_projection=fully_fused_projection,
        spherical_harmonics=plain._spherical_harmonics,
        isect_tiles=isect_tiles,
        isect_offset_encode=plain._isect_offset_encode,
        rasterize_to_pixels=rasterize_to_pixels,
    )


def opaque_gaussians() -> Gaussians:
    """So opaque that the largest alpha counts."""
    gaussians = random_gaussians(CASE)
    gaussians.logit_opacities += 6
    return gaussians


@pytest.fixture(scope="module")
def backend() -> GsplatBackend:
    return GsplatBackend(torch.device("cpu"), plain_library())


@pytest.mark.parametrize("antialiased", [False, True])
def test_projection_and_harmonics(backend: GsplatBackend, antialiased: bool) -> None:
    gaussians, cameras = random_gaussians(CASE), cameras_around(CASE)
    gaussians.antialiased = antialiased
    options = ProjectOptions(pixel_offset=(0.25, -0.375))
    got = backend.project(gaussians, cameras, options)
    expected = TorchReference(GSPLAT_CONSTANTS).project(gaussians, cameras, options)
    # gsplat rounds extents up, so it keeps a few more at the borders.
    place = {pair: i for i, pair in enumerate(zip(*(t.tolist() for t in _ids(got)), strict=True))}
    rows = [place[pair] for pair in zip(*(t.tolist() for t in _ids(expected)), strict=True)]
    assert relative_l2(got.records[rows, :10], expected.records[:, :10]) < 1e-12
    assert bool((got.records[rows, 10:] + 1e-9 >= expected.records[:, 10:]).all())
    assert rows == sorted(rows)


def _ids(splats) -> tuple[Tensor, Tensor]:
    return splats.camera_ids, splats.gaussian_ids


def test_images_and_gradients(backend: GsplatBackend) -> None:
    results = []
    for one in (backend, TorchReference(GSPLAT_CONSTANTS)):
        gaussians = opaque_gaussians().map(lambda t: t.requires_grad_())
        features = torch.linspace(-1, 1, CASE.count * 2, dtype=torch.float64).view(-1, 2)
        background = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)
        rendered = render(
            gaussians,
            cameras_around(CASE),
            features=features,
            background=background,
            outputs=DIFFERENTIABLE,
            backend=one,
        )
        g = torch.Generator().manual_seed(3)
        images = {name: getattr(rendered, name) for name in DIFFERENTIABLE}
        loss = sum(
            (i * torch.randn(i.shape, generator=g, dtype=i.dtype)).sum() for i in images.values()
        )
        assert isinstance(loss, Tensor)
        loss.backward()
        results.append((images, {n: t.grad for n, t in gaussians.parameters().items()}))
    (images, gradients), (wanted, wanted_gradients) = results
    for name, image in images.items():
        torch.testing.assert_close(image, wanted[name], rtol=1e-9, atol=1e-9, msg=name)
    for name, gradient in gradients.items():
        assert relative_l2(gradient, wanted_gradients[name]) < 1e-9, name
    # The thresholds matter: with ours the image is another one.
    ours = render(opaque_gaussians(), cameras_around(CASE), backend="torch_ref").alpha
    assert (ours - wanted["alpha"]).abs().max() > 1e-3


def test_the_training_step_is_the_plain_one(backend: GsplatBackend) -> None:
    gaussians, cameras = random_gaussians(CASE), cameras_around(CASE)
    step = backend.training_step()
    background = torch.zeros(2, 3, dtype=torch.float64)
    rgb, _ = step.forward(gaussians, cameras, background, ProjectOptions())
    v_records = step.backward(torch.ones_like(rgb), None, torch.ones(rgb.shape[:3]).double())
    assert v_records.abs().sum() > 0


@pytest.mark.parametrize("output", ["depth_median", "weights", "top_k"])
def test_what_gsplat_does_not_give_is_refused(backend: GsplatBackend, output: str) -> None:
    with pytest.raises(SplatkitError, match="backend gsplat: it gives rgb"):
        render(random_gaussians(CASE), cameras_around(CASE), outputs=(output,), backend=backend)


@pytest.mark.long
def test_gsplats_own_kernels() -> None:
    """Where they are not compiled yet, gsplat does it first, which takes up to ten minutes."""
    reason = gsplat_obstacle()
    if reason is not None:
        pytest.skip(reason)
    device = torch.device("cuda")
    gaussians, cameras = random_gaussians(CASE).to(torch.float32), cameras_around(CASE)
    got = render(gaussians.to(device), cameras.to(torch.float32), backend="gsplat")
    reference = TorchReference(GSPLAT_CONSTANTS)
    wanted = render(random_gaussians(CASE), cameras, backend=reference)
    assert ((got.rgb.cpu() - wanted.rgb).abs() > 1 / 255).double().mean() <= 1e-3
