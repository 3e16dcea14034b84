"""Results are the same bits for any number of threads, and camera by camera (goal G16)."""

from collections.abc import Callable

import torch

from splatkit.render import render
from splatkit.render.backends.cpu import CpuBackend
from tests.render.cases import Case, Result, cameras_around, random_gaussians, run

CASE = Case("determinism", width=150, height=110, count=6000, cameras=2, log_scale=-3.0)


def same(a: Result, b: Result) -> bool:
    names = [*a.images, *a.gradients]
    first, second = {**a.images, **a.gradients}, {**b.images, **b.gradients}
    return all(torch.equal(first[name], second[name]) for name in names)


def test_threads(isa: str, threads: Callable[[int], None]) -> None:
    results = []
    for count in (1, 2, 3, 2):
        threads(count)
        results.append(run(CASE, CpuBackend(), torch.float32))
    # The background's gradient is summed by torch.
    for result in results:
        result.gradients.pop("background")
    assert all(same(results[0], result) for result in results[1:])


def test_cameras_do_not_meet() -> None:
    gaussians = random_gaussians(CASE).to(torch.float32)
    cameras = cameras_around(CASE).to(torch.float32)
    together = render(gaussians, cameras, backend="cpu")
    for index in range(len(cameras)):
        alone = render(gaussians, cameras[index : index + 1], backend="cpu")
        assert torch.equal(together.rgb[index], alone.rgb[0])
        assert torch.equal(together.alpha[index], alone.alpha[0])
