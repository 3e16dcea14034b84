"""Whether this machine can run the CUDA backend and, if not, the one line that says why."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from splatkit.core.errors import SplatkitError, UsageError
from splatkit.render.backends._cuda_compile import Compiler, nvrtc_architectures, nvrtc_version
from splatkit.render.backends._cuda_driver import CudaDriver
from splatkit.render.backends._cuda_later import capture_graph
from splatkit.render.backends.cuda import CudaBackend

LEAST_ARCHITECTURE = 75
"""Turing; older GPUs lack warp-wide operations that the kernels use."""
LEAST_DRIVER = 12000
"""CUDA version of the driver, 1000 major + 10 minor: kernels are loaded through its libraries."""
LEAST_CORE = 1
"""Major version of cuda-core; before it, its names were others."""
INSTALL_EXTRA = "install it with: pip install 'splatkit[cuda]'"


def nvidia_card() -> str | None:
    """Name of the first NVIDIA card that the driver knows, without asking torch."""
    tool = shutil.which("nvidia-smi")
    if tool:
        query = [tool, "--query-gpu=name", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            answer = None
        if answer is not None and answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.strip().splitlines()[0].strip()
    for described in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in described.read_text().splitlines():
            if line.startswith("Model:"):
                return line.split(":", 1)[1].strip()
    return None


def driver_version() -> int | None:
    """CUDA version that the installed driver supports, such as 12040; None without a driver."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    return version.value if library.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def has_nvidia() -> bool:
    """Whether there is an NVIDIA GPU, usable or not."""
    return torch.cuda.is_available() or nvidia_card() is not None


@cache
def obstacle() -> str | None:
    """Why the CUDA backend cannot be used here, in one line; None where it can."""
    return _torch_obstacle() or _architecture_obstacle() or _package_obstacle()


def _torch_obstacle() -> str | None:
    built = torch.version.cuda
    if not built:
        card = nvidia_card()
        if card is None:
            return "no NVIDIA GPU was found"
        line = (
            "pip install --force-reinstall torch"
            if sys.platform == "linux"
            else "pytorch.org/get-started tells the line that installs one for CUDA"
        )
        return f"{card} is here, but torch {torch.__version__} is a CPU build; {line}"
    if torch.cuda.is_available():
        version = driver_version()
        if version is not None and version < LEAST_DRIVER:
            return (
                f"the NVIDIA driver supports CUDA {_dotted(version)}, the kernels need "
                f"{_dotted(LEAST_DRIVER)}; install a newer driver"
            )
        return None
    version = driver_version()
    if version is None:
        card = nvidia_card()
        return (
            "no NVIDIA GPU was found"
            if card is None
            else f"{card} is here, but no NVIDIA driver that works; install one"
        )
    major, minor = (int(part) for part in built.split(".")[:2])
    if version < 1000 * major:
        return (
            f"the NVIDIA driver supports CUDA {_dotted(version)}, torch {torch.__version__} needs "
            f"{major}.{minor}; install a newer driver, or a torch built for CUDA "
            f"{_dotted(version)}"
        )
    return f"torch {torch.__version__}, built for CUDA {built}, finds no NVIDIA GPU that it can use"


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def architecture(device: torch.device | None = None) -> int:
    """Such as 90 for sm_90."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def _architecture_obstacle() -> str | None:
    found = architecture()
    if found < LEAST_ARCHITECTURE:
        return (
            f"{torch.cuda.get_device_name()} has compute capability {_capability(found)}, the "
            f"kernels need {_capability(LEAST_ARCHITECTURE)} (Turing, 2018) or newer"
        )
    return None


def _capability(found: int) -> str:
    return f"{found // 10}.{found % 10}"


def _package_obstacle() -> str | None:
    for module, package in (("cuda.core", "cuda-core"), ("cuda.bindings", "cuda-bindings")):
        if not _installed(module):
            return f"{package}, which compiles the CUDA kernels, is not installed; {INSTALL_EXTRA}"
    core = core_version()
    if int(core.split(".")[0]) < LEAST_CORE:
        return (
            f"cuda-core {core} is here, the kernels need {LEAST_CORE}.0 or newer; {INSTALL_EXTRA}"
        )
    try:
        version, known = nvrtc_version(), nvrtc_architectures()
    except SplatkitError as error:
        return str(error)
    compiler, supported = ".".join(map(str, version)), driver_version()
    if supported is not None and 1000 * version[0] > supported:
        # Within a major version drivers load what newer compilers made.
        return (
            f"NVRTC {compiler} compiles for drivers of CUDA {version[0]} or newer, the installed "
            f"one supports CUDA {_dotted(supported)}; install a newer driver, or: pip uninstall "
            "nvidia-cuda-nvrtc (a torch built for the driver brings its own)"
        )
    found = architecture()
    if found not in known:
        return (
            f"{torch.cuda.get_device_name()} has compute capability {_capability(found)}, which "
            f"NVRTC {compiler} does not compile for; install a newer torch"
        )
    return None


def core_version() -> str:
    """Of cuda-core; only where it is installed."""
    return metadata.version("cuda-core")


def _installed(module: str) -> bool:
    try:
        spec = find_spec(module)
    except ImportError:
        return False
    # A folder without code may be left of a package that is gone.
    return spec is not None and spec.origin is not None


def open_backend(device: torch.device) -> CudaBackend:
    """The CUDA backend on one GPU.

    Raises:
        UsageError: it cannot be used here; the message says why.
    """
    reason = obstacle()
    if reason is not None:
        raise UsageError(f"backend cuda: {reason}")
    if device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    driver = CudaDriver(device, Compiler(architecture(device)))
    return CudaBackend(driver, capture=capture_graph(device))
