"""``splatkit doctor``: what this machine has, what is installed, and whether it works."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

GIB = 1 << 30
LEAST_FREE_GIB = 5
SELF_TEST_TOLERANCE = 1e-4
"""Mean absolute difference of two renders, colours 0..1."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    value: str
    ok: bool = True
    hint: str = ""
    """What to do where ``ok`` is False, or good to know."""


@dataclass(frozen=True)
class Command:
    """Check this machine and this installation; exit code 1 when something is broken."""

    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print one line a finding."""
        findings = list(examine())
        if self.json:
            print(json.dumps([asdict(finding) for finding in findings], indent=1))
        else:
            width = max(len(finding.name) for finding in findings)
            for finding in findings:
                mark = "ok " if finding.ok else "BAD"
                print(f"{mark}  {finding.name:<{width}}  {finding.value}")
                if finding.hint:
                    print(f"{'':{width + 7}}{finding.hint}")
        return 0 if all(finding.ok for finding in findings) else 1


def examine() -> Iterator[Finding]:
    """All findings; a check that raises becomes a finding itself."""
    checks: tuple[Callable[[], Finding], ...] = (
        splatkit_version,
        python,
        system,
        processor,
        memory,
        disk,
        torch_build,
        nvidia,
        cuda_kernels,
        rasterizer,
        self_test,
        structure_from_motion,
        video_encoder,
        viewer,
    )
    for check in checks:
        try:
            yield check()
        except Exception as error:
            name = check.__name__.replace("_", " ")
            reason = " ".join(str(error).split()) or type(error).__name__
            yield Finding(name, reason, False, "reinstall with: pip install --force-reinstall .")


def splatkit_version() -> Finding:
    """The installed version."""
    return Finding("splatkit", version("splatkit"))


def python() -> Finding:
    """Python and where it lives."""
    return Finding("Python", f"{platform.python_version()} in {sys.prefix}")


def system() -> Finding:
    """Operating system and architecture."""
    return Finding("system", f"{platform.platform()} ({platform.machine()})")


def processor() -> Finding:
    """CPU name and the cores this process may use."""
    name = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        models = [line for line in described.read_text().splitlines() if "model name" in line]
        name = models[0].split(":")[1].strip() if models else name
    return Finding("processor", f"{name}, {usable_cores()} cores")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> Finding:
    """Physical memory, or the container's limit where that is lower."""
    size = _physical_memory()
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        size = min(size, int(text))
    enough = size >= 4 * GIB
    hint = "" if enough else "4 GiB are the least for a small scene: train with --preset draft"
    return Finding("memory", f"{size / GIB:.1f} GiB", enough, hint)


def _physical_memory() -> int:
    if sys.platform != "win32":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.total)


def disk() -> Finding:
    """Free space where runs are written by default."""
    free = shutil.disk_usage(Path.cwd()).free / GIB
    enough = free >= LEAST_FREE_GIB
    hint = "" if enough else "a run may need some GiB: free space, or write elsewhere with -o"
    return Finding("free disk", f"{free:.1f} GiB in {Path.cwd()}", enough, hint)


def torch_build() -> Finding:
    """torch, what it was built for, and its threads."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return Finding(
        "torch", f"{torch.__version__}, built for {build}, {torch.get_num_threads()} threads"
    )


def nvidia() -> Finding:
    """The NVIDIA GPU, and why the CUDA backend cannot use it where that is so."""
    import torch

    from splatkit.render.backends._cuda_device import architecture, has_nvidia, obstacle

    if not has_nvidia():
        return Finding("NVIDIA GPU", "none found")
    reason = obstacle()
    if reason is not None:
        # Not broken: everything works on the CPU.
        return Finding("NVIDIA GPU", reason, hint="until then rendering and training use the CPU")
    memory = torch.cuda.get_device_properties(0).total_memory / GIB
    name = torch.cuda.get_device_name(0)
    return Finding("NVIDIA GPU", f"{name}, {memory:.0f} GiB, sm_{architecture()}")


def cuda_kernels() -> Finding:
    """Compiler of the CUDA kernels and where they are kept."""
    from splatkit.render.backends._cuda_compile import cache_folder, nvrtc_version
    from splatkit.render.backends._cuda_device import obstacle

    if obstacle() is not None:
        return Finding("CUDA kernels", "not used here")
    version = ".".join(map(str, nvrtc_version()))
    return Finding("CUDA kernels", f"compiled by NVRTC {version}, kept in {cache_folder()}")


def rasterizer() -> Finding:
    """The backend that ``auto`` takes, its instruction set and threads."""
    from splatkit import _native
    from splatkit.render import get_backend

    native = f"{_native.isa()}, {_native.num_threads()} threads"
    return Finding("rasterizer", f"{get_backend().name}; on the CPU {native}")


def self_test() -> Finding:
    """Render a tiny scene natively and with the reference, and compare."""
    import torch

    from splatkit.core import Cameras, Gaussians, intrinsics
    from splatkit.render import get_backend, render

    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    count = 200
    gaussians = Gaussians(
        means=normal(count, 3) * 0.5 + torch.tensor([0.0, 0.0, 3.0]),
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.3 - 2.5,
        logit_opacities=normal(count),
        sh=normal(count, 4, 3) * 0.3,
    )
    camera = Cameras(torch.eye(4)[None], intrinsics(60, 60, 32, 24).float()[None], 64, 48)
    reference = render(gaussians, camera, backend="torch_ref").rgb
    worst = {}
    for name in dict.fromkeys(("cpu", get_backend().name)):
        picture = render(gaussians, camera, backend=name).rgb
        worst[name] = float((picture - reference).abs().mean())
    wrong = [name for name, difference in worst.items() if not difference < SELF_TEST_TOLERANCE]
    told = ", ".join(f"{name} {difference:.1e}" for name, difference in worst.items())
    hint = f"{wrong[0]} is wrong on this machine: please report it" if wrong else ""
    return Finding("self test", f"mean difference to the reference: {told}", not wrong, hint)


def structure_from_motion() -> Finding:
    """pycolmap, which finds the cameras of photos."""
    try:
        return Finding("pycolmap", version("pycolmap"))
    except PackageNotFoundError:
        return Finding("pycolmap", "not installed", False, "pip install pycolmap")


def video_encoder() -> Finding:
    """The encoder that videos are written with."""
    from splatkit.io.video import find_encoder

    return Finding("video encoder", f"{find_encoder()} (PyAV {version('av')})")


def viewer() -> Finding:
    """viser, which shows scenes in the browser."""
    return Finding("viewer", f"viser {version('viser')}")
