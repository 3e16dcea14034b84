"""The exact image gradient: against shifted renders, and the backends against each other."""

import pytest
import torch
from torch import Tensor

from splatkit.render import Rendered, render
from splatkit.render.backends import Backend
from splatkit.render.backends.cpu import CpuBackend
from splatkit.render.backends.torch_ref import TorchReference
from tests.render.cases import CASES, Case, cameras_around, random_gaussians

NAMES = ("odd size", "antialiased", "large splats", "many channels", "one pixel")
SOME = [case for case in CASES if case.name in NAMES]
STEP = 1e-5


def drawn(
    case: Case,
    backend: Backend,
    dtype: torch.dtype = torch.float64,
    outputs: tuple[str, ...] = ("gradient",),
    shift: tuple[float, float] = (0.0, 0.0),
) -> Rendered:
    features = torch.linspace(-1, 1, case.count * 9, dtype=dtype).reshape(case.count, 9)
    return render(
        random_gaussians(case).to(dtype),
        cameras_around(case).to(dtype),
        features=features if case.features > 9 else None,
        background=torch.tensor([0.2, 0.5, 0.9], dtype=dtype),
        eps2d=case.eps2d,
        pixel_offset=(case.pixel_offset[0] + shift[0], case.pixel_offset[1] + shift[1]),
        outputs=outputs,
        backend=backend,
    )


def gradient_of(rendered: Rendered) -> Tensor:
    """[2,C,H,W,3] with respect to x, then y."""
    assert rendered.rgb_dx is not None
    assert rendered.rgb_dy is not None
    return torch.stack((rendered.rgb_dx, rendered.rgb_dy)).double()


@pytest.mark.parametrize("backend", [TorchReference, CpuBackend])
@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_gradient_is_that_of_shifted_renders(case: Case, backend: type) -> None:
    smooth = backend(smooth_cutoff=True)
    got = gradient_of(drawn(case, smooth))
    differences = [
        (drawn(case, smooth, shift=ahead).rgb - drawn(case, smooth, shift=behind).rgb) / (2 * STEP)
        for ahead, behind in (((STEP, 0.0), (-STEP, 0.0)), ((0.0, STEP), (0.0, -STEP)))
    ]
    # Where a pixel ends between the two renders there is no derivative.
    wrong = (got - torch.stack(differences)).abs() > 1e-6 * (1 + got.abs().amax())
    assert wrong.double().mean() <= 1e-4
    assert got.abs().amax() > 1e-3


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_plain_loops_give_the_reference(case: Case) -> None:
    expected, got = (gradient_of(drawn(case, b)) for b in (TorchReference(), CpuBackend()))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_vectors_give_the_reference(case: Case, isa: str) -> None:
    outputs = ("gradient", "inverse_depth")
    expected = drawn(case, TorchReference(), outputs=outputs)
    for beside in ((), ("depth_median", "weights", "top_k")):
        got = drawn(case, CpuBackend(), torch.float32, (*outputs, *beside))
        difference = (gradient_of(got) - gradient_of(expected)).abs()
        assert (difference > 1e-4).double().mean() <= 1e-3
        assert got.inverse_depth is not None
        assert expected.inverse_depth is not None
        wrong = (got.inverse_depth - expected.inverse_depth).abs() > 1e-4
        assert wrong.double().mean() <= 1e-3
        assert (difference > 0.05).double().mean() <= 1e-4


def test_it_changes_nothing_else(isa: str) -> None:
    case = SOME[0]
    plain, with_gradient = (
        drawn(case, CpuBackend(), torch.float32, outputs) for outputs in ((), ("gradient",))
    )
    assert torch.equal(plain.rgb, with_gradient.rgb)
    assert torch.equal(plain.alpha, with_gradient.alpha)
    assert plain.rgb_dx is None
