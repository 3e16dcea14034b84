"""The training step: every backend's against the plain one, and against itself over threads."""

from __future__ import annotations

import pytest
import torch

from splatkit.core import Cameras, Gaussians
from splatkit.core.errors import SplatkitError
from splatkit.render import get_backend
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)

RATES = {
    "means": 0.01,
    "quats": 0.02,
    "log_scales": 0.03,
    "logit_opacities": 0.04,
    "sh": 0.05,
    "sh_rest": 0.006,
}
UPDATE = UpdateOptions(rates=RATES, opacity_weight=0.1, scale_weight=0.2, epsilon=1e-8)


def scene(
    count: int, bases: int, num_cameras: int, antialiased: bool = False
) -> tuple[Gaussians, Cameras]:
    """Random Gaussians; some are behind the cameras or beside the images."""
    generator = torch.Generator().manual_seed(count + bases)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    gaussians = Gaussians(
        means=0.7 * normal(count, 3),
        quats=normal(count, 4),
        log_scales=0.3 * normal(count, 3) - 2,
        logit_opacities=normal(count),
        sh=0.3 * normal(count, bases, 3),
        antialiased=antialiased,
    )
    viewmats = torch.eye(4).repeat(num_cameras, 1, 1)
    viewmats[:, :3, 3] = torch.tensor([0.0, 0.0, 1.7]) + 0.2 * normal(num_cameras, 3)
    Ks = torch.tensor([[40.0, 0, 15], [0, 42, 13], [0, 0, 1]]).repeat(num_cameras, 1, 1)
    return gaussians, Cameras(viewmats=viewmats, Ks=Ks, width=33, height=27)


def run(
    backend: str, gaussians: Gaussians, cameras: Cameras, degree: int, steps: int = 1
) -> tuple[Gaussians, AdamState, DensityStatistics]:
    """Optimise towards a fixed picture for a few steps; works on a copy."""
    gaussians = gaussians.clone()
    adam, statistics = AdamState.zeros_like(gaussians), DensityStatistics.zeros(len(gaussians))
    step = get_backend(backend).training_step()
    size = (len(cameras), cameras.height, cameras.width)
    generator = torch.Generator().manual_seed(5)
    target = torch.rand(*size, 3, generator=generator).to(gaussians.means)
    background = torch.tensor([[0.2, 0.4, 0.6]]).expand(len(cameras), 3).to(gaussians.means)
    for _ in range(steps):
        rgb, alpha = step.forward(gaussians, cameras, background, ProjectOptions(sh_degree=degree))
        step.backward(rgb - target, 0.1 * alpha, (rgb - target).abs().sum(-1))
        step.finish(gaussians, adam, UPDATE, statistics)
    return gaussians, adam, statistics


def double(cameras: Cameras) -> Cameras:
    return Cameras(cameras.viewmats.double(), cameras.Ks.double(), cameras.width, cameras.height)


CASES = [(1, 1, 0, 1), (90, 16, 3, 1), (90, 16, 1, 3), (70, 25, 4, 2), (65, 9, 4, 1), (40, 4, 1, 2)]


@pytest.mark.parametrize(("count", "bases", "degree", "num_cameras"), CASES)
@pytest.mark.parametrize("antialiased", [False, True])
def test_one_step_equals_the_plain_one(
    count: int, bases: int, degree: int, num_cameras: int, antialiased: bool, isa: str
) -> None:
    gaussians, cameras = scene(count, bases, num_cameras, antialiased)
    _, adam, statistics = run("cpu", gaussians, cameras, degree)
    wanted = run("torch_ref", gaussians.to(torch.float64), double(cameras), degree)
    assert statistics.visible_count.sum() > 0
    for name in adam.first:
        # After one step the first moment is the gradient times 1 - beta.
        difference = (adam.first[name] - wanted[1].first[name]).norm()
        assert difference <= 1e-4 * wanted[1].first[name].norm(), name
        difference = (adam.second[name] - wanted[1].second[name]).norm()
        assert difference <= 2e-4 * wanted[1].second[name].norm(), name
    for name in vars(statistics):
        torch.testing.assert_close(
            getattr(statistics, name), getattr(wanted[2], name), rtol=1e-3, atol=1e-4
        )


def test_the_update_is_adams(isa: str) -> None:
    """Same moments and gradient in, same parameters out, over several steps."""
    gaussians, cameras = scene(60, 16, 2)
    result, adam, _ = run("cpu", gaussians, cameras, 3, steps=4)
    wanted, wanted_adam, _ = run("torch_ref", gaussians.to(torch.float64), double(cameras), 3, 4)
    assert adam.step == wanted_adam.step == 4
    for name, tensor in result.parameters().items():
        moved = (getattr(wanted, name) - getattr(gaussians, name)).norm()
        assert (tensor - getattr(wanted, name)).norm() <= 2e-3 * moved, name


def test_unseen_gaussians_drift_on_their_momentum(isa: str) -> None:
    """A Gaussian that no camera sees is stepped with gradient zero, not left alone."""
    gaussians, cameras = scene(30, 16, 1)
    gaussians.means[:, 2] -= 10
    adam = AdamState.zeros_like(gaussians)
    for tensor in adam.first.values():
        tensor.fill_(0.5)
    for tensor in adam.second.values():
        tensor.fill_(0.25)
    before = gaussians.clone()
    step = get_backend("cpu").training_step()
    rgb, _ = step.forward(gaussians, cameras, torch.zeros(1, 3), ProjectOptions())
    v_records = step.backward(torch.ones_like(rgb))
    assert len(v_records) == 0
    step.finish(gaussians, adam, UpdateOptions(rates=RATES))
    first, second = 0.9 * 0.5 / (1 - 0.9), (0.999 * 0.25 / (1 - 0.999)) ** 0.5
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        moved = getattr(gaussians, name) - getattr(before, name)
        torch.testing.assert_close(
            moved, torch.full_like(moved, -RATES[name] * first / second), rtol=1e-4, atol=3e-6
        )
    moved = gaussians.sh - before.sh
    torch.testing.assert_close(
        moved[:, 0], torch.full_like(moved[:, 0], -RATES["sh"] * first / second), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(
        moved[:, 1:],
        torch.full_like(moved[:, 1:], -RATES["sh_rest"] * first / second),
        rtol=1e-3,
        atol=1e-6,
    )


def test_bitwise_equal_for_any_number_of_threads(threads) -> None:
    gaussians, cameras = scene(5000, 16, 2)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(run("cpu", gaussians, cameras, 3, steps=3))
    for other, adam, statistics in results[1:]:
        for name, tensor in other.parameters().items():
            assert torch.equal(tensor, getattr(results[0][0], name)), name
            assert torch.equal(adam.second[name], results[0][1].second[name]), name
        for name, tensor in vars(statistics).items():
            assert torch.equal(tensor, getattr(results[0][2], name)), name


def test_no_gaussians() -> None:
    gaussians, cameras = scene(3, 4, 1)
    empty = gaussians[torch.zeros(3, dtype=torch.bool)]
    result, adam, _ = run("cpu", empty, cameras, 1)
    assert len(result) == 0
    assert adam.step == 1


def test_order_of_calls_is_checked() -> None:
    gaussians, cameras = scene(3, 4, 1)
    step = get_backend("cpu").training_step()
    with pytest.raises(SplatkitError, match="needs a forward"):
        step.backward(torch.zeros(1, 27, 33, 3))
    step.forward(gaussians, cameras, torch.zeros(1, 3), ProjectOptions())
    with pytest.raises(SplatkitError, match="needs a backward"):
        step.finish(gaussians, AdamState.zeros_like(gaussians), UPDATE)


def test_what_cannot_be_updated_in_place_is_named() -> None:
    gaussians, cameras = scene(4, 4, 1)
    adam = AdamState.zeros_like(gaussians)
    adam.second["means"] = torch.zeros(3, 4).T
    step = get_backend("cpu").training_step()
    rgb, _ = step.forward(gaussians, cameras, torch.zeros(1, 3), ProjectOptions())
    step.backward(torch.zeros_like(rgb))
    with pytest.raises(SplatkitError, match=r"means: .*contiguous float32 \[4, 3\]"):
        step.finish(gaussians, adam, UPDATE)


def test_harmonics_above_the_degree_in_use_move_when_they_must(isa: str) -> None:
    """Degree 1, then 3, then 1 again: what once moved goes on; moments set by others count."""
    gaussians, cameras = scene(50, 16, 1)
    results = []
    for name in ("cpu", "torch_ref"):
        current = gaussians.clone().to(torch.float32 if name == "cpu" else torch.float64)
        view = cameras if name == "cpu" else double(cameras)
        adam = AdamState.zeros_like(current)
        step = get_backend(name).training_step()
        for i, degree in enumerate((1, 1, 3, 1, 1)):
            if i == 4:
                adam.first["sh"][:, 9:] = 0.01
            background = torch.zeros(1, 3).to(current.means)
            rgb, _ = step.forward(current, view, background, ProjectOptions(sh_degree=degree))
            step.backward(rgb - 0.5)
            step.finish(current, adam, UPDATE)
            if i == 1:
                assert torch.equal(current.sh[:, 4:].float(), gaussians.sh[:, 4:])
        results.append((current, adam))
    (result, adam), (wanted, wanted_adam) = results
    moved = (wanted.sh - gaussians.sh)[:, 4:].norm()
    assert (result.sh - wanted.sh)[:, 4:].norm() <= 1e-2 * moved
    difference = (adam.first["sh"] - wanted_adam.first["sh"])[:, 4:].norm()
    assert difference <= 1e-3 * wanted_adam.first["sh"][:, 4:].norm()
