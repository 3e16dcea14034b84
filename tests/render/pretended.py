"""Tensors that say they are on a GPU and compute on the CPU.

They show without a GPU what would fail on one: tensors of two devices in one operation, numpy
arrays of GPU tensors, and every place where the host would have to wait for the device.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from splatkit.render.rows import own_stream

GPU = torch.device("cuda", 0)
_WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2",
    "bincount", "repeat_interleave",
}  # fmt: skip
"""Operations whose result, or its size, the host has to wait for."""
_ACROSS = {"copy_", "_to_copy"}
"""Operations that may meet tensors of two devices."""


class Pretended(Tensor):
    """A tensor that says it is on ``GPU``; ``held`` is what it really is."""

    held: Tensor
    waits: list[str] | None = None
    """Where it is a list: places at which the host had to wait."""

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=torch.device("cpu"), requires_grad=held.requires_grad,
        )  # fmt: skip
        made.held = held.detach()
        return made

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        return GPU

    @property
    def is_cuda(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        handler = _METHODS.get(getattr(func, "__name__", ""))
        if handler is not None and args and isinstance(args[0], Pretended):
            return handler(*args, **kwargs)
        return super().__torch_function__(func, types, args, kwargs)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name not in _ACROSS:
            strangers = [t for t in leaves if not isinstance(t, Pretended) and t.dim()]
            assert not strangers, f"{func}: a tensor of the CPU among those of the GPU"
        if name in _WAITING or (name == "index" and _by_mask(args[1])):
            _note(str(func))
        if name == "copy_" and not isinstance(args[0], Pretended) and not (*args, False)[2]:
            _note("copy to the CPU")
        out = func(*tree_map(_held, args), **tree_map(_held, kwargs or {}))
        if name == "copy_":
            return args[0]
        return tree_map(lambda x: Pretended(x) if isinstance(x, Tensor) else x, out)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _by_mask(indices: Any) -> bool:
    return any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in indices)


def _note(what: str) -> None:
    if Pretended.waits is not None:
        frame = sys._getframe()
        while frame and "splatkit/" not in frame.f_code.co_filename.replace("\\", "/").replace(
            "tests/", ""
        ):
            frame = frame.f_back
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "a test"
        Pretended.waits.append(f"{what} at {place}")


def _to(tensor: Pretended, *args: Any, non_blocking: bool = False, **kwargs: Any) -> Tensor:
    places = [a for a in (*args, kwargs.pop("device", None)) if isinstance(a, str | torch.device)]
    places += [a.device for a in args if isinstance(a, Tensor)]
    kinds = [a for a in (*args, kwargs.pop("dtype", None)) if isinstance(a, torch.dtype)]
    kinds += [a.dtype for a in args if isinstance(a, Tensor)]
    moved = tensor.type(kinds[0]) if kinds else tensor
    if places and torch.device(places[0]).type == "cpu":
        if not non_blocking:
            _note("to the CPU")
        return _down(moved)
    return moved


def _down(tensor: Tensor) -> Tensor:
    return _Down.apply(tensor)  # pyright: ignore[reportReturnType]


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.held.clone() if isinstance(tensor, Pretended) else tensor.clone()

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> Tensor:
        return Pretended(gradient)


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return Pretended(tensor.detach().clone())

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> Tensor:
        return gradient.held if isinstance(gradient, Pretended) else gradient


def up(tensor: Tensor) -> Tensor:
    """A copy on the pretended GPU."""
    return _Up.apply(tensor)  # pyright: ignore[reportReturnType]


def _cpu(tensor: Pretended) -> Tensor:
    _note("to the CPU")
    return _down(tensor)


def _tolist(tensor: Pretended) -> Any:
    _note("tolist")
    return tensor.held.tolist()


def _numpy(tensor: Pretended, *_: Any, **__: Any) -> Any:
    raise TypeError("can't convert cuda:0 device type tensor to numpy: use Tensor.cpu() first")


def _new_tensor(tensor: Pretended, data: Any, **kwargs: Any) -> Tensor:
    _note("to the GPU")
    return Pretended(tensor.held.new_tensor(data, **kwargs))


_METHODS: dict[str, Callable[..., Any]] = {
    "to": _to,
    "cpu": _cpu,
    "tolist": _tolist,
    "new_tensor": _new_tensor,
    "numpy": _numpy,
    "__repr__": lambda tensor, **_: f"Pretended({tensor.held})",
    "__array__": _numpy,
    "data_ptr": lambda tensor: tensor.held.data_ptr(),
    "pin_memory": lambda tensor: pytest.fail("only tensors of the CPU can be pinned"),
}

# As methods, too: within torch.autograd.grad of such tensors nobody asks __torch_function__.
for _name, _handler in _METHODS.items():
    setattr(Pretended, _name, _handler)


class _Factories(TorchFunctionMode):
    """Sends what is made on, or brought to, the GPU there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        kwargs.pop("pin_memory", None)
        if name == "pin_memory" and not isinstance(args[0], Pretended):
            return args[0]
        if name == "to" and not isinstance(args[0], Pretended):
            places = [*args[1:], kwargs.get("device")]
            wanted = [a for a in places if _is_gpu(a)]
            if wanted:
                rest = tuple(a for a in args[1:] if not _is_gpu(a))
                if not kwargs.get("non_blocking"):
                    _note("to the GPU")
                kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")}
                kind = [a.dtype for a in places if isinstance(a, Pretended)]
                moved = up(args[0])
                return moved.to(*rest, *kind, **kwargs) if rest or kind or kwargs else moved
        if _is_gpu(kwargs.get("device")):
            if name in ("tensor", "as_tensor"):
                _note("to the GPU")
            kwargs["device"] = "cpu"
            likeness = args and isinstance(args[0], Pretended)
            made = func(*args, **kwargs)
            return made if likeness else Pretended(made)
        return func(*args, **kwargs)


def _made_there(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A factory that knows the GPU: torch's modes do not reach into backward passes."""

    def made(*sizes: Any, **kwargs: Any) -> Tensor:
        if not _is_gpu(kwargs.get("device")):
            return make(*sizes, **kwargs)
        return Pretended(make(*sizes, **{**kwargs, "device": "cpu"}))

    return made


def _is_gpu(place: Any) -> bool:
    if isinstance(place, Pretended):
        return True
    if isinstance(place, str):
        return place.startswith("cuda")
    return isinstance(place, torch.device) and place.type == "cuda"


class _Event:
    def __init__(self, enable_timing: bool = False) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: _Event) -> float:
        return 1.0


class _Stream:
    cuda_stream = 0

    def __init__(self, device: Any = None) -> None:
        pass

    def wait_stream(self, other: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch, free: int = 8 << 30) -> Iterator[None]:
    """Within it, ``cuda`` is a GPU that pretends.

    Args:
        monkeypatch: of the test.
        free: its free memory, bytes.
    """
    for name, value in {
        "Event": _Event,
        "Stream": _Stream,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
        "current_stream": lambda device=None: _Stream(),
        "current_device": lambda: 0,
        "is_available": lambda: True,
        "synchronize": lambda device=None: None,
        "mem_get_info": lambda device=None: (free, 2 * free),
        "max_memory_allocated": lambda device=None: 1 << 20,
        "memory_allocated": lambda device=None: 1 << 10,
        "reset_peak_memory_stats": lambda device=None: None,
        "empty_cache": lambda: None,
        "get_device_name": lambda device=None: "Pretended GPU",
        "get_device_capability": lambda device=None: (9, 0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("empty", "zeros", "full"):
        monkeypatch.setattr(torch, name, _made_there(getattr(torch, name)))
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
    own_stream.cache_clear()
    with _Factories():
        yield
    own_stream.cache_clear()


@contextmanager
def waits_counted() -> Iterator[list[str]]:
    """The places at which the host had to wait for the GPU."""
    found: list[str] = []
    before, Pretended.waits = Pretended.waits, found
    try:
        yield found
    finally:
        Pretended.waits = before
