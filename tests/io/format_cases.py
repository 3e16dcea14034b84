"""Scenes, comparisons and hostile inputs that the tests of the compact formats share."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.transforms import rotation_from_quat


def scene(count: int = 300, degree: int = 3, seed: int = 0, antialiased: bool = False) -> Gaussians:
    """A cloud whose three axes, colours and views all differ (so that nothing can swap)."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([1.0, -2.0, 4.0]),
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.5 - torch.tensor([2.0, 3.0, 4.0]),
        logit_opacities=normal(count) * 2,
        sh=normal(count, (degree + 1) ** 2, 3) * 0.2,
        antialiased=antialiased,
    )


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float | torch.Tensor) -> None:
    """Every number within an absolute tolerance (broadcast)."""
    assert a.shape == b.shape
    worst = (a.double() - b.double()).abs() - torch.as_tensor(tolerance, dtype=torch.float64)
    assert a.numel() == 0 or float(worst.max()) <= 1e-6, f"off by {float(worst.max())} too much"


def same_rotations(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    """Rotations equal to a tolerance per matrix entry."""
    close(rotation_from_quat(a.double()), rotation_from_quat(b.double()), tolerance)


def order_of(written: Gaussians, read: Gaussians) -> torch.Tensor:
    """For each Gaussian read, which one written it is: the nearest centre."""
    order = torch.cdist(read.means.double(), written.means.double()).argmin(1)
    assert len(order.unique()) == len(written)
    return order


def mutated(data: bytes, generator: random.Random) -> bytes:
    """The bytes with a few random faults: flipped, cut, doubled, zeroed, replaced by extremes."""
    out = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        if not out:
            break
        place = min(int(generator.expovariate(1 / 40)), len(out) - 1)
        if generator.random() < 0.5:
            place = generator.randrange(len(out))
        kind = generator.randrange(5)
        if kind == 0:
            out[place] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del out[place:]
        elif kind == 2:
            end = place + generator.randint(1, 64)
            out[place:place] = out[place:end]
        elif kind == 3:
            out[place : place + 8] = bytes(min(8, len(out) - place))
        else:
            out[place : place + 4] = generator.choice((b"\xff" * 4, b"\x00\x00\xc0\x7f"))
    return bytes(out)


def survives(read: Callable[[Path], Gaussians], path: Path, good: bytes, count: int) -> int:
    """Read mutated files; each is a scene or one clear line. Returns how many were refused."""
    generator = random.Random(0)
    refused = 0
    for _ in range(count):
        # A new file each time: some file systems wait for the disk when one is overwritten.
        path.unlink(missing_ok=True)
        path.write_bytes(mutated(good, generator))
        message = ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert bool(read(path).finite_mask().all())
            except SplatkitError as error:
                refused += 1
                message = str(error)
        assert not message or (str(path) in message and "\n" not in message), message
    return refused
