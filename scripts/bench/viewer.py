"""How fast the viewer answers: from a camera move to the new picture at the other end.

``python scripts/bench/viewer.py`` starts a viewer in a process of its own and measures clients
that speak its protocol, alone and together, then over a line of 5 Mbit/s and 150 ms, then a real
browser where there is one. Without ``--scene`` it makes a scene of 100,000 Gaussians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import torch

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from slow_line import SlowLine  # noqa: E402

from splatkit.core import Cameras, Gaussians  # noqa: E402
from splatkit.core.sh import sh_from_rgb  # noqa: E402
from splatkit.core.transforms import look_at  # noqa: E402
from splatkit.io import write_gaussians  # noqa: E402
from tests.viewer.browsers import FakeBrowser  # noqa: E402

WIDTH, HEIGHT = 640, 360
COUNT = 100_000
CLIENTS = (1, 4, 16)
SECONDS = 8.0
"""Of movement that is measured, for each setting."""
ANSWERS, SILENCE = 15, 0.6
"""Moves after a rest, of which the answers are timed; no picture for so many seconds is a rest."""
SLOW_BITS, SLOW_TRIP = 5e6, 0.15
PATIENCE = 120.0


@dataclass(frozen=True)
class Measured:
    """What came out of one setting."""

    name: str
    clients: int
    median_ms: float
    """From a move after a rest to the first picture."""
    p95_ms: float
    frames_per_second: float
    """Of each client, while it moves."""
    bytes_per_second: float
    """Of each client, while it moves."""
    sharp_ms: float
    """Median time from such a move to the full-size picture."""
    cpu_ms: float
    """Processor time of the server for each picture, all cores together; NaN where the system
    does not tell. Unlike the others it means something on a machine that does other work, too."""


def synthetic(count: int = COUNT) -> Gaussians:
    """A ball of small Gaussians over a floor, of a size and opacity that trainings give."""
    chance = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=chance)

    half = count // 2
    ball = torch.nn.functional.normalize(normal(half, 3), dim=1) * (1 + 0.02 * normal(half, 1))
    floor = torch.rand(count - half, 3, generator=chance) * 8 - 4
    floor[:, 1] = 1.0 + 0.01 * normal(count - half)
    means = torch.cat((ball, floor))
    colors = 0.5 + 0.4 * torch.sin(means * torch.tensor([5.0, 7.0, 6.0]))
    sh = torch.cat((sh_from_rgb(colors)[:, None], 0.03 * normal(count, 15, 3)), 1)
    return Gaussians(
        means=means,
        quats=normal(count, 4),
        log_scales=math.log(0.012) + 0.5 * normal(count, 3),
        logit_opacities=1.0 + 1.5 * normal(count),
        sh=sh,
    )


def orbit(count: int, start: float = 0.0) -> Cameras:
    """Small steps around the scene, as a mouse makes them."""
    angle = start + torch.arange(count, dtype=torch.float64) * math.radians(1.5)
    eyes = torch.stack((4 * angle.sin(), torch.full_like(angle, -1.2), -4 * angle.cos()), -1)
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    viewmats = look_at(eyes, torch.zeros_like(eyes), up.expand_as(eyes))
    return Cameras(viewmats, torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), WIDTH, HEIGHT)


@contextlib.contextmanager
def serving(scene: Path) -> Iterator[tuple[int, str, int]]:
    """The port of a viewer in a process of its own, the scene's id, and the process's."""
    command = [sys.executable, "-m", "splatkit", "view", str(scene), "--no-open", "--port", "0"]
    with tempfile.TemporaryDirectory() as work:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=work)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r":(\d+)/s/([\w-]+)", line)
            if found is None:
                raise RuntimeError(f"the viewer did not start: {line!r}")
            yield int(found[1]), found[2], process.pid
        finally:
            process.terminate()
            process.wait(20)


class Walker:
    """One client that moves and waits for its pictures."""

    def __init__(self, port: int, scene: str, number: int) -> None:
        self.browser = FakeBrowser(port, WIDTH, HEIGHT, scene)
        self.views = orbit(4000, number * 0.37)
        self.index = 0
        self.waits: list[float] = []
        self.sharp: list[float] = []
        self.pictures = self.bytes = 0
        self.seconds = 1.0

    def run(self, seconds: float) -> None:
        """Move without a pause, each time as soon as a picture comes; then move and rest in turn.

        While it moves, a picture over a slow line may still be of a move before: only after a rest
        the first one is known to be the answer.
        """
        began = time.monotonic()
        while time.monotonic() < began + seconds or self.pictures < 5:
            self.step()
            self.bytes += self.browser.next_picture(PATIENCE)[1]
            self.pictures += 1
        self.seconds = time.monotonic() - began
        for _ in range(ANSWERS):
            self.rest()
            sent = time.monotonic()
            self.step()
            size = self.browser.next_picture(PATIENCE)[0]
            self.waits.append(time.monotonic() - sent)
            while size != (WIDTH, HEIGHT):
                size = self.browser.next_picture(PATIENCE)[0]
            self.sharp.append(time.monotonic() - sent)

    def step(self) -> None:
        """The next view of the way round."""
        self.index = (self.index + 1) % len(self.views)
        self.browser.look(self.views[self.index : self.index + 1])

    def rest(self) -> None:
        """Until no picture comes any more."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.browser.next_picture(SILENCE)


def cpu_seconds(process: int) -> float:
    """Processor time of a process so far; NaN where there is no /proc."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    name: str, port: int, scene: str, process: int, clients: int, seconds: float
) -> Measured:
    """Let so many clients move at once."""
    walkers = [Walker(port, scene, number) for number in range(clients)]
    threads = [threading.Thread(target=walker.run, args=(seconds,)) for walker in walkers]
    before = cpu_seconds(process)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = cpu_seconds(process) - before
    pictures = sum(walker.pictures + 2 * ANSWERS for walker in walkers)
    for walker in walkers:
        walker.browser.close()
    waits = np.concatenate([walker.waits for walker in walkers]) * 1000
    sharp = np.concatenate([walker.sharp for walker in walkers]) * 1000
    return Measured(
        name,
        clients,
        float(np.median(waits)),
        float(np.quantile(waits, 0.95)),
        float(np.mean([walker.pictures / walker.seconds for walker in walkers])),
        float(np.mean([walker.bytes / walker.seconds for walker in walkers])),
        float(np.median(sharp)),
        1000 * spent / pictures,
    )


def first_load(port: int, scene: str) -> tuple[float, int]:
    """Seconds and bytes until a new client has all pages and its first picture."""
    start, size = time.monotonic(), 0
    pages = (f"/s/{scene}", "/static/style.css", "/static/scene.js", "/static/common.js",
             "/static/icons.svg", f"/api/scenes/{scene}", "/viser")  # fmt: skip
    for path in pages:
        request = Request(f"http://127.0.0.1:{port}{path}", headers={"Accept-Encoding": "gzip"})
        with urlopen(request, timeout=PATIENCE) as answer:
            size += len(answer.read())
    FakeBrowser(port, WIDTH, HEIGHT, scene).close()
    return time.monotonic() - start, size


def browser_figures(port: int, scene: str, seconds: float) -> dict[str, float]:
    """First load and latency in Chromium: from a mouse move to the next picture's arrival."""
    from tests.chromium import chromium_page

    with chromium_page(WIDTH + 320, HEIGHT + 52) as page:
        came: list[float] = []

        def heard(frame: bytes | str) -> None:
            if isinstance(frame, bytes) and len(frame) > 3000:
                came.append(time.monotonic())

        page.on("websocket", lambda socket: socket.on("framereceived", heard))
        start = time.monotonic()
        page.goto(f"http://localhost:{port}/s/{scene}?fixedDpr=1")
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Reset view", exact=True).wait_for(timeout=300_000)
        loaded = time.monotonic() - start
        page.wait_for_timeout(2000)
        page.mouse.move(200, 200)
        page.mouse.down()
        waits, index, end = [], 0, time.monotonic() + seconds
        while time.monotonic() < end or len(waits) < 3:
            index += 1
            seen, sent = len(came), time.monotonic()
            page.mouse.move(200 + 3 * (index % 60), 200)
            while len(came) == seen and time.monotonic() - sent < 10:
                page.wait_for_timeout(2)
            waits.append((came[-1] if len(came) > seen else time.monotonic()) - sent)
        page.mouse.up()
    milliseconds = 1000 * np.array(waits)
    return {
        "first_load_s": loaded,
        "median_ms": float(np.median(milliseconds)),
        "p95_ms": float(np.quantile(milliseconds, 0.95)),
        "frames_per_second": len(waits) / float(np.sum(waits)),
    }


def measure_all(scene: Path | None, seconds: float, with_browser: bool) -> dict:
    """Everything, as one document."""
    with tempfile.TemporaryDirectory() as folder:
        if scene is None:
            scene = Path(folder) / "bench.ply"
            write_gaussians(synthetic(), scene)
        with serving(scene) as (port, name, process):
            load_seconds, load_bytes = first_load(port, name)
            rows = [measure("local", port, name, process, n, seconds) for n in CLIENTS]
            with SlowLine(port, SLOW_BITS, SLOW_TRIP) as line:
                slow_load, _ = first_load(line.port, name)
                rows.append(measure("5 Mbit/s, 150 ms", line.port, name, process, 1, seconds))
            document = {
                "rows": [asdict(row) for row in rows],
                "first_load_s": load_seconds,
                "first_load_bytes": load_bytes,
                "first_load_slow_s": slow_load,
            }
            if with_browser:
                document["browser"] = browser_figures(port, name, seconds)
    return document


def viewer_figures(scene: Path | None = None) -> list[dict]:
    """The lines of the scorecard."""
    from figure import figure

    found = measure_all(scene, SECONDS, with_browser=False)
    how = "python scripts/bench/viewer.py, 100k Gaussians, 640x360"
    figures = []
    for row in found["rows"]:
        alone = row["name"] == "local" and row["clients"] == 1
        label = f"{row['name']}, {row['clients']} clients"
        figures += [
            figure(f"{label}: median", row["median_ms"], "ms", 100 if alone else None, how, -1),
            figure(f"{label}: p95", row["p95_ms"], "ms", None, how, -1),
            figure(f"{label}: rate", row["frames_per_second"], "1/s", 12 if alone else None, how),
            figure(f"{label}: bytes", row["bytes_per_second"] / 1e3, "kB/s", None, how, -1),
            figure(f"{label}: sharp", row["sharp_ms"], "ms", 300 if alone else None, how, -1),
            figure(f"{label}: processor", row["cpu_ms"], "ms a picture", None, how, -1),
        ]
    figures.append(figure("first load", found["first_load_s"], "s", None, how, -1))
    figures.append(figure("first load, slow line", found["first_load_slow_s"], "s", None, how, -1))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path, help="a run folder or a scene file")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--browser", action="store_true", help="a real one, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure_all(options.scene, options.seconds, options.browser)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"first load {found['first_load_s']:.2f} s, {found['first_load_bytes'] / 1e6:.2f} MB; "
          f"over the slow line {found['first_load_slow_s']:.2f} s")  # fmt: skip
    print(f"{'':<18} clients  median ms   p95 ms  frames/s    kB/s  sharp ms  cpu ms")
    for row in found["rows"]:
        print(
            f"{row['name']:<18} {row['clients']:>7} {row['median_ms']:>10.0f} "
            f"{row['p95_ms']:>8.0f} {row['frames_per_second']:>9.1f} "
            f"{row['bytes_per_second'] / 1e3:>7.0f} "
            f"{row['sharp_ms']:>9.0f} {row['cpu_ms']:>7.0f}"
        )
    if "browser" in found:
        print("Chromium: " + ", ".join(f"{k} {v:.2f}" for k, v in found["browser"].items()))


if __name__ == "__main__":
    main()
