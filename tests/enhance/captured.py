"""CUDA graphs without a GPU: lists of torch's operations that are done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from splatkit.render.rows import Capture

captures: list[int] = []
"""Operations of each graph that was captured."""


class _Recording(TorchDispatchMode):
    """Notes torch's operations and what they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out


def capture_graph(device: torch.device) -> Capture:
    """What ``capture_graph`` is on a GPU: a replay does the same operations in the same memory."""

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        recording = _Recording()
        with recording:
            work()
        captures.append(len(recording.operations))

        @torch.no_grad()
        def replay() -> None:
            for func, args, kwargs, out in recording.operations:
                again = func(*args, **kwargs)
                if isinstance(out, Tensor):
                    out.copy_(again)

        return replay

    return capture


@contextmanager
def modules_that_pretend() -> Iterator[None]:
    """Within it, modules can be brought to a GPU that pretends.

    Else they keep their tensors and take the data, which those that pretend do not have.
    """
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
