"""Loads kernels and launches them on torch's current stream."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_compile import Compiler, Options
from splatkit.render.backends._cuda_params import Field, interface

_DTYPES: dict[str, tuple[torch.dtype, ...]] = {
    # torch has few operations on unsigned numbers, so they are kept as signed ones of their size;
    # keys of 16 bits stand where the header says `unsigned`.
    "float *": (torch.float32,),
    "double *": (torch.float64,),
    "int *": (torch.int32,),
    "unsigned *": (torch.int32, torch.int16),
    "unsigned long long *": (torch.int64,),
    # Half precision, whose bits kernels turn into floats.
    "unsigned short *": (torch.float16,),
    "unsigned char *": (torch.uint8,),
    "signed char *": (torch.int8,),
}


class Driver(Protocol):
    """What the launch code needs of a device."""

    device: torch.device

    def prepare(self, wanted: Iterable[tuple[str, Options]]) -> None:
        """Begin to compile files that will be needed; nothing is waited for."""
        ...

    def launch(
        self, kernel: str, options: Options, blocks: int, threads: int, values: Mapping[str, Any]
    ) -> None:
        """Enqueue one kernel; nothing is waited for.

        Args:
            kernel: name in the table of ``params.h``.
            options: macros that its file is compiled with.
            blocks: a launch of 0 is left out.
            threads: a block.
            values: every field of its struct: a number, a tensor, None, or a list of these.
        """
        ...


def fill(name: str, values: Mapping[str, Any], device: torch.device) -> ctypes.Structure:
    """The struct of that name, every field given, every tensor as its kernel reads it.

    Raises:
        SplatkitError: a field is missing or unknown, or a tensor has another type or device or is
            not contiguous. These are faults of the program, not of the user.
    """
    struct = interface().structs[name]
    result = struct.layout()
    if len(values) != len(struct.fields):
        fields = {field.name for field in struct.fields}
        wrong = sorted(fields.symmetric_difference(values))
        raise SplatkitError(f"{name}: expected each of its fields once, check {', '.join(wrong)}")
    for field in struct.fields:
        value = values[field.name]
        if field.length:
            if len(value) > field.length:
                raise SplatkitError(f"{name}.{field.name}: expected {field.length}, got more")
            place = getattr(result, field.name)
            for index, one in enumerate(value):
                place[index] = _plain(name, field, one, device)
        else:
            setattr(result, field.name, _plain(name, field, value, device))
    return result


def _plain(struct: str, field: Field, value: Any, device: torch.device) -> Any:
    if not field.is_pointer:
        return value
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise SplatkitError(f"{struct}.{field.name}: expected a tensor, got {type(value).__name__}")
    wanted = _DTYPES[field.type]
    if value.dtype not in wanted or value.device != device or not value.is_contiguous():
        raise SplatkitError(
            f"{struct}.{field.name}: expected contiguous {wanted[0]} on {device}, got "
            f"{value.dtype} on {value.device} with strides {value.stride()}"
        )
    return value.data_ptr()


class CudaDriver:
    """One NVIDIA GPU; ``_cuda_device`` says whether it can be used.

    Args:
        device: such as ``cuda:0``.
        compiler: for its architecture.
    """

    def __init__(self, device: torch.device, compiler: Compiler) -> None:
        self.device = device
        self.compiler = compiler
        self._context = _primary_context(device.index or 0)
        self._libraries: dict[tuple[str, Options], Any] = {}
        self._functions: dict[tuple[str, Options], int] = {}

    def prepare(self, wanted: Iterable[tuple[str, Options]]) -> None:
        self.compiler.begin(wanted)

    def launch(
        self, kernel: str, options: Options, blocks: int, threads: int, values: Mapping[str, Any]
    ) -> None:
        if blocks == 0:
            return
        function = self._functions.get((kernel, options)) or self._load(kernel, options)
        arguments = fill(interface().kernels[kernel].arguments, values, self.device)
        addresses = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        stream = torch.cuda.current_stream(self.device).cuda_stream
        given = (blocks, 1, 1, threads, 1, 1, 0, stream, ctypes.addressof(addresses), 0)
        with self._current() as driver:
            # The driver copies the arguments before it returns.
            status = driver.cuLaunchKernel(function, *given)
        _succeed(status, f"{kernel}: the launch of {blocks} blocks of {threads} threads")

    @contextmanager
    def _current(self) -> Iterator[Any]:
        """The driver's functions, where a launch goes to this GPU.

        A thread that has done nothing on a GPU yet has no context, and a program that uses several
        may be at another one.
        """
        driver = _driver()
        (found,) = _succeed(driver.cuCtxGetCurrent(), "asking for the context")
        away = int(found) != int(self._context)
        if away:
            _succeed(driver.cuCtxPushCurrent(self._context), "going to the GPU")
        try:
            yield driver
        finally:
            if away:
                driver.cuCtxPopCurrent()

    def _load(self, kernel: str, options: Options) -> int:
        from cuda.core import ObjectCode  # pyright: ignore[reportAttributeAccessIssue]

        file = interface().kernels[kernel].file
        code = self.compiler.cubin(file, options)
        with self._current():
            if (file, options) not in self._libraries:
                self._libraries[file, options] = ObjectCode.from_cubin(code, name=file)
            loaded = self._libraries[file, options].get_kernel(kernel)
        self._functions[kernel, options] = int(loaded.handle)
        return self._functions[kernel, options]


def _driver() -> Any:
    """The functions of NVIDIA's driver; only imported where there is one."""
    from cuda.bindings import driver  # pyright: ignore[reportAttributeAccessIssue]

    return driver


def _primary_context(index: int) -> Any:
    """The context of a GPU that torch works in too; it is kept until the process ends."""
    driver = _driver()
    _succeed(driver.cuInit(0), "starting the driver")
    (device,) = _succeed(driver.cuDeviceGet(index), f"asking for GPU {index}")
    (context,) = _succeed(driver.cuDevicePrimaryCtxRetain(device), f"opening GPU {index}")
    return context


def _succeed(answer: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """What a function of the driver gave, less its status.

    Raises:
        SplatkitError: it failed.
    """
    status, *given = answer
    if int(status):
        _, text = _driver().cuGetErrorString(status)
        raise SplatkitError(f"{what} failed, the driver says: {text.decode() if text else status}")
    return tuple(given)
