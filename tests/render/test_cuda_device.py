"""Each way in which a GPU cannot be used gives one line that says why, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch

from splatkit.core import SplatkitError, UsageError
from splatkit.render import get_backend
from splatkit.render.backends import _cuda_device, gsplat

CARD = "NVIDIA GeForce RTX 4090"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes this machine look like one with a GPU."""

    def pretend(
        card: str | None = CARD,
        built: str | None = "13.0",
        usable: bool = True,
        driver: int | None = 13000,
        capability: tuple[int, int] = (8, 9),
        architectures: tuple[int, ...] = (75, 80, 89, 90),
        installed: bool = True,
        nvrtc: str | None = None,
        core: str = "1.2.2",
    ) -> None:
        def version() -> tuple[int, int]:
            if nvrtc:
                raise SplatkitError(nvrtc)
            return (13, 0)

        monkeypatch.setattr(_cuda_device, "nvidia_card", lambda: card)
        monkeypatch.setattr(_cuda_device, "driver_version", lambda: driver)
        monkeypatch.setattr(_cuda_device, "_installed", lambda module: installed)
        monkeypatch.setattr(_cuda_device, "core_version", lambda: core)
        monkeypatch.setattr(_cuda_device, "nvrtc_version", version)
        monkeypatch.setattr(_cuda_device, "nvrtc_architectures", lambda: list(architectures))
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: card)
        _cuda_device.obstacle.cache_clear()
        get_backend.cache_clear()

    yield pretend
    monkeypatch.undo()
    _cuda_device.obstacle.cache_clear()
    get_backend.cache_clear()


CASES = {
    "no card": ({"card": None, "usable": False, "driver": None}, "no NVIDIA GPU was found"),
    "cpu torch": ({"built": None, "usable": False}, "is a CPU build; "),
    "no driver": ({"usable": False, "driver": None}, "no NVIDIA driver that works"),
    "old driver": (
        {"usable": False, "driver": 12040},
        "the NVIDIA driver supports CUDA 12.4, torch .* needs 13.0; install a newer driver",
    ),
    "very old driver": ({"driver": 11080}, "supports CUDA 11.8, the kernels need 12.0"),
    "hidden": ({"usable": False}, "finds no NVIDIA GPU that it can use"),
    "old card": ({"capability": (6, 1)}, "has compute capability 6.1, the kernels need 7.5"),
    "new card": ({"capability": (13, 0)}, "13.0, which NVRTC 13.0 does not compile for"),
    "new nvrtc": (
        {"driver": 12080, "built": "12.8"},
        "NVRTC 13.0 compiles for drivers of CUDA 13 or newer, the installed one supports CUDA 12.8",
    ),
    "no cuda-core": ({"installed": False}, r"cuda-core.* pip install 'splatkit\[cuda\]'"),
    "old cuda-core": ({"core": "0.3.1"}, r"cuda-core 0.3.1 is here, the kernels need 1.0 or newer"),
    "no nvrtc": ({"nvrtc": "expected NVRTC, got none"}, "expected NVRTC, got none"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_line_says_why(name: str, machine: Callable[..., None]) -> None:
    settings, line = CASES[name]
    machine(**settings)
    reason = _cuda_device.obstacle()
    assert reason is not None
    assert "\n" not in reason
    with pytest.raises(UsageError, match=f"backend cuda: .*{line}"):
        get_backend("cuda")


@pytest.mark.parametrize("name", CASES)
def test_auto_falls_back_and_says_so(name: str, machine: Callable[..., None]) -> None:
    settings, line = CASES[name]
    machine(**settings)
    if name == "no card":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert get_backend().name == "cpu"
    else:
        with pytest.warns(UserWarning, match=f"rendering on the CPU: .*{line}"):
            assert get_backend().name == "cpu"


def test_a_good_machine_has_no_obstacle(machine: Callable[..., None]) -> None:
    machine()
    assert _cuda_device.obstacle() is None


def test_the_device_decides_where_it_is_given() -> None:
    assert get_backend("auto", "cpu").name == "cpu"
    with pytest.raises(UsageError, match="tensors on the CPU or an NVIDIA GPU, got meta"):
        get_backend("auto", "meta")
    with pytest.raises(UsageError, match="backend cpu: expected tensors on the CPU, got cuda"):
        get_backend("cpu", "cuda")
    with pytest.raises(UsageError, match="expected auto, cpu, cuda, gsplat, torch_ref, got 'gpu'"):
        get_backend("gpu")


def test_gsplat_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    get_backend.cache_clear()
    with pytest.raises(UsageError, match="backend gsplat: gsplat needs an NVIDIA GPU"):
        get_backend("gsplat")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gsplat, "find_spec", lambda name: None)
    assert "pip install 'splatkit[gsplat]'" in str(gsplat.gsplat_obstacle())
