"""A driver that runs no kernel but holds every launch against what ``params.h`` says of it."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from splatkit.render.backends._cuda_compile import Options
from splatkit.render.backends._cuda_driver import fill
from splatkit.render.backends._cuda_params import interface, source_root
from splatkit.render.backends._cuda_project import HALF_RECORD_FLOATS

NUMBERS = {
    "count": "N",
    "num_cameras": "C",
    "width": "W",
    "height": "H",
    "tiles": "T",
    "num_channels": "num_channels",
    "record_capacity": "record_capacity",
    "instance_capacity": "instance_capacity",
    "blocks": "loss_blocks",
    "passes": "passes",
}
"""Fields that bind a name of the header's vocabulary."""


@dataclass(frozen=True)
class Launch:
    """One call that reached the driver."""

    kernel: str
    options: Options
    blocks: int
    threads: int
    arguments: bytes


@cache
def header() -> str:
    return (source_root() / "gpu" / "params.h").read_text(encoding="utf-8")


@cache
def geometry() -> dict[str, tuple[str, str]]:
    """Threads and blocks of every kernel, as the header's table writes them."""
    rows = re.findall(r"^//   (\w+) +\w+\.cu +\w+ +(\w+) +(.+)$", header(), re.MULTILINE)
    return {name: (threads, blocks.split(",  ")[0]) for name, threads, blocks in rows}


@cache
def shapes(struct: str) -> dict[str, list[str]]:
    """Shapes in brackets at the beginning of each field's comment."""
    body = re.search(rf"struct {struct} \{{\n(.*?)\n\}};", header(), re.DOTALL)
    assert body
    found = {}
    for name, comment in re.findall(r"(\w+)(?:\[\d+\])?;\s*// ?(.*)", body[1]):
        groups = re.match(r"(?:\w+: )?((?:\[[^\]]*\]\s*)+)", comment)
        found[name] = re.findall(r"\[([^\]]*)\]", groups[1]) if groups else []
    return found


def evaluate(expression: str, names: Mapping[str, int]) -> int | None:
    """The value of ``C * ceil(N / 256)`` and the like; None where a name is not known."""
    text = re.sub(r"ceil\(([^()]*|\([^()]*\)) / (\w+)\)", r"(-(-(\1) // (\2)))", expression)
    text = text.replace(" / ", " // ")
    try:
        return int(eval(text, {"__builtins__": {}, "min": min}, dict(names)))
    except (NameError, SyntaxError, TypeError, ZeroDivisionError):
        return None


class FakeDriver:
    """A ``Driver`` whose kernels only count; its device is the CPU, or pretends not to be.

    ``project`` finds ``visible`` records and ``emit`` finds ``instances`` pairs, as far as there is
    room for them.
    """

    def __init__(
        self,
        visible: int = 7,
        instances: int = 100,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        self.device = device
        self.visible = visible
        self.instances = instances
        self.launches: list[Launch] = []
        self.checked: set[tuple[str, str]] = set()
        """Tensors whose size was held against the header, as (kernel, field)."""
        self.recording: list[Callable[[], None]] | None = None
        self.prepared: set[tuple[str, Options]] = set()
        """Files and macros whose compilation was begun."""
        self._known: dict[str, int] = {}

    def prepare(self, wanted: Iterable[tuple[str, Options]]) -> None:
        self.prepared.update(wanted)

    def launch(
        self, kernel: str, options: Options, blocks: int, threads: int, values: Mapping[str, Any]
    ) -> None:
        name = interface().kernels[kernel].arguments
        arguments = fill(name, values, self.device)
        names = self._names(dict(options), values)
        self._check_geometry(kernel, blocks, threads, names)
        self._check_sizes(kernel, name, values, names)
        launch = Launch(kernel, options, blocks, threads, bytes(arguments))
        counters = values.get("counters")

        def run() -> None:
            self.launches.append(launch)
            if blocks and counters is not None:
                self._count(kernel, counters, values)

        if self.recording is None:
            run()
        else:
            self.recording.append(run)

    def of(self, kernel: str) -> list[Launch]:
        """Launches of one kernel."""
        return [launch for launch in self.launches if launch.kernel == kernel]

    def read(self, launch: Launch) -> ctypes.Structure:
        """The struct that a launch was given."""
        struct = interface().structs[interface().kernels[launch.kernel].arguments]
        return struct.layout.from_buffer_copy(launch.arguments)

    def _names(self, options: Mapping[str, int], values: Mapping[str, Any]) -> dict[str, int]:
        bound = {w: values[f] for f, w in NUMBERS.items() if isinstance(values.get(f), int)}
        self._known |= bound
        names = {**interface().constants, **self._known, **options}
        names["K"] = options.get("SK_BASES", self._known.get("K", 0))
        names["D"] = options.get("SK_VALUES", 3)
        if isinstance(values.get("order"), Tensor) and "counters" in values:
            names["record_capacity"] = len(values["order"])
        if isinstance(values.get("records"), Tensor):
            names["M"] = len(values["records"])
        names["I"] = names.get("instance_capacity", 0)
        if isinstance(values.get("keys_in"), Tensor):
            names["capacity"] = len(values["keys_in"])
        if "SK_BLEND_PIXELS" in options:
            pixels = options["SK_TILE_WIDTH"] * options["SK_TILE_HEIGHT"]
            names["BLEND_THREADS"] = pixels // options["SK_BLEND_PIXELS"]
        if "SK_ADJ_FORM" in options and options["SK_ADJ_FORM"] == 0:
            pixels = options["SK_TILE_WIDTH"] * options["SK_TILE_HEIGHT"]
            names["parts"] = pixels // (32 * options["SK_ADJ_PIXELS"])
        elif "SK_ADJ_FORM" in options:
            names["parts"] = 1
        if "SK_ADJ_FORM" in options and "T" in names:
            bucket = options["SK_BUCKET"]
            buckets = names["I"] // bucket + 1 if bucket else 0
            names["adj_items"] = (names["T"] + buckets) * names["parts"]
        return names

    def _check_geometry(
        self, kernel: str, blocks: int, threads: int, names: Mapping[str, int]
    ) -> None:
        told_threads, told_blocks = geometry()[kernel]
        assert threads == evaluate(told_threads, names), f"{kernel}: {threads} threads"
        wanted = evaluate(told_blocks.split(", see")[0], names)
        assert wanted is not None, f"{kernel}: cannot read {told_blocks!r}"
        assert blocks == wanted, f"{kernel}: {blocks} blocks, expected {told_blocks} = {wanted}"

    def _check_sizes(
        self, kernel: str, struct: str, values: Mapping[str, Any], names: Mapping[str, int]
    ) -> None:
        for field, groups in shapes(struct).items():
            given = values[field] if isinstance(values[field], list) else [values[field]]
            for tensor, group in zip(given, groups, strict=False):
                if field == "records" and names.get("SK_HALF_RECORDS"):
                    group = group.replace("12", str(HALF_RECORD_FLOATS))
                sizes = [evaluate(size, names) for size in group.split(",")]
                if isinstance(tensor, Tensor) and None not in sizes:
                    least = math.prod(size for size in sizes if size is not None)
                    assert tensor.numel() >= least, (
                        f"{kernel}.{field}: {tensor.numel()} values, expected [{group}] = {least}"
                    )
                    self.checked.add((kernel, field))

    def _count(self, kernel: str, counters: Tensor, values: Mapping[str, Any]) -> None:
        places = interface().constants
        if kernel == "project":
            counters[places["COUNTER_RECORDS"]] = min(self.visible, values["record_capacity"])
            counters[places["COUNTER_RECORDS_WANTED"]] = self.visible
            values["gaussian_ids"].zero_()
            values["records"].zero_()
            if values["camera_ids"] is not None:
                values["camera_ids"].zero_()
        if kernel == "emit":
            found = min(self.instances, values["instance_capacity"])
            counters[places["COUNTER_INSTANCES"]] = found
            counters[places["COUNTER_INSTANCES_WANTED"]] = self.instances


class _Recording(TorchDispatchMode):
    """Records torch's writes in place instead of doing them; refuses to allocate."""

    def __init__(self, into: list[Callable[[], None]]) -> None:
        super().__init__()
        self._into = into

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert not name.startswith(("empty", "zeros", "ones", "new_")), f"{name} while capturing"
        if name in ("zero_", "fill_", "copy_"):
            self._into.append(lambda: func(*args, **(kwargs or {})))
            return args[0]
        return func(*args, **(kwargs or {}))


def capture_with(
    driver: FakeDriver,
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """What ``capture_graph`` is on a GPU: work is recorded, and done when it is replayed."""

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        recorded: list[Callable[[], None]] = []
        driver.recording = recorded
        try:
            with _Recording(recorded):
                work()
        finally:
            driver.recording = None

        def replay() -> None:
            for action in recorded:
                action()

        return replay

    return capture
