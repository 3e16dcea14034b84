"""Half an hour of a viewer with clients that come and go while a scene trains: memory stays flat.

``python scripts/soak_viewer.py --minutes 30`` trains the sample, or ``--photos FOLDER``. It prints
a line a minute and ends with 1 where memory grew or a client was not answered.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from splatkit.train.config import TrainConfig  # noqa: E402
from splatkit.train.machine import resident_bytes  # noqa: E402
from splatkit.viewer import Library, Training, Viewer  # noqa: E402
from tests.scenes import ring  # noqa: E402
from tests.viewer.browsers import FakeBrowser  # noqa: E402

CLIENTS = 16
PATIENCE = 120.0
MOST_GROWTH = 0.08
"""Of the resident memory between the first and the last third of the time."""
WARM_SHARE = 0.2
"""Of the time: caches fill and the scene grows; not judged."""


@dataclass
class Told:
    """What the clients saw."""

    visits: int = 0
    pictures: int = 0
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def visit(port: int, scene: str, chance: random.Random, told: Told) -> None:
    """Come, look around for some seconds, and leave, sometimes without a word."""
    browser = FakeBrowser(port, chance.choice((160, 320, 640)), 180, scene)
    cameras, waits, at = ring(90), [], 0
    for _ in range(chance.randrange(2, 30)):
        # Another view each time: one that has not changed has no answer.
        at = (at + chance.randrange(1, 90)) % 90
        began = time.monotonic()
        browser.look(cameras[at : at + 1])
        browser.next_picture(PATIENCE)
        waits.append(time.monotonic() - began)
        time.sleep(chance.random() * 0.4)
    if chance.random() < 0.5:
        browser._socket.socket.close()
    else:
        browser.close()
    with told.lock:
        told.visits += 1
        told.pictures += len(waits)
        told.longest = max(told.longest, *waits)


def come_and_go(port: int, scene: str, seed: int, ended: threading.Event, told: Told) -> None:
    """One visit after the other."""
    chance = random.Random(seed)
    while not ended.is_set():
        try:
            visit(port, scene, chance, told)
        except Exception as error:
            with told.lock:
                told.failures.append(f"{type(error).__name__}: {error}")
                print(f"  {told.failures[-1]}", flush=True)
        time.sleep(chance.random() * 2)


def watch(minutes: float, training: Training, told: Told) -> list[tuple[float, int]]:
    """Resident bytes every five seconds, with the time."""
    start, rows, said = time.monotonic(), [], 0
    while (passed := time.monotonic() - start) < 60 * minutes:
        time.sleep(5)
        gc.collect()
        rows.append((passed, resident_bytes() or 0))
        if passed // 60 > said:
            said = int(passed // 60)
            step = (training.status()["training"] or {}).get("step", 0)
            print(
                f"{said:>3} min: {rows[-1][1] / 1e6:.0f} MB, {told.visits} visits, "
                f"{told.pictures} pictures, longest {told.longest:.1f} s, step {step}, "
                f"{threading.active_count()} threads, {len(told.failures)} failures",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--photos", type=Path, default=ROOT / "data" / "sample")
    parser.add_argument("--scene", type=Path, help="watch this and train nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        library = Library([options.scene] if options.scene else [])
        config = TrainConfig(iterations=2_000_000, max_gaussians=20_000)
        training = Training(options.photos, Path(work) / "run", config)
        if options.scene is None:
            scene = library.add_training(training)
            training.start()
            while not training.source.ready:
                if not training.busy:
                    sys.exit(f"training failed: {training.status()['message']}")
                time.sleep(1)
        else:
            scene = library.entries()[0].id
        told, ended = Told(), threading.Event()
        with Viewer(library, port=0) as viewer:
            clients = [
                threading.Thread(target=come_and_go, args=(viewer.port, scene, i, ended, told))
                for i in range(options.clients)
            ]
            for client in clients:
                client.start()
            rows = watch(options.minutes, training, told)
            ended.set()
            for client in clients:
                client.join(PATIENCE)
        training.stop()
        training.wait(60)
    judged = [size for passed, size in rows if passed > WARM_SHARE * 60 * options.minutes]
    third = max(1, len(judged) // 3)
    growth = float(np.median(judged[-third:]) / np.median(judged[:third]) - 1)
    print(f"memory grew by {growth:.1%} (at most {MOST_GROWTH:.0%}), {len(told.failures)} failures")
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.exit(0 if growth <= MOST_GROWTH and not told.failures else 1)


if __name__ == "__main__":
    main()
