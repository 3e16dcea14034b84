"""Memory that a training step uses again and again."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Workspace:
    """Tensors by name, handed out again as long as they are large enough.

    Args:
        device: where they live.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generation = 0
        """Grows when any tensor moves to another address."""
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A contiguous tensor of undefined content that shares memory with the last of its name."""
        count = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.numel() < count or memory.dtype != dtype:
            # What is too small goes first, so that both need not fit.
            memory = self._memory.pop(name, None)
            del memory
            # Some room above, because the number of visible Gaussians changes from step to step.
            memory = torch.empty(count + count // 8, dtype=dtype, device=self.device)
            self._memory[name] = memory
            self.generation += 1
        return memory[:count].view(shape)
