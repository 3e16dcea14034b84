"""Chance that depends on the seed, a purpose and a counter, and on nothing that came before.

A run that goes on from a checkpoint draws what the unbroken run would have drawn.
"""

from __future__ import annotations

import hashlib

import torch


def generator_for(
    seed: int, purpose: str, counter: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The generator of one purpose ("order", "refine") at one count (an epoch, a step)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{counter}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)


class PhotoOrder:
    """Every photo once per round, each round in an order of its own."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._round, self._order = -1, list[int]()

    def at(self, step: int) -> int:
        """Index of the photo that step number ``step`` (0 is the first) learns from."""
        round_, place = divmod(step, self._count)
        if round_ != self._round:
            generator = generator_for(self._seed, "order", round_)
            self._order = torch.randperm(self._count, generator=generator).tolist()
            self._round = round_
        return self._order[place]
