"""Feed damaged files to every reader and count what must not happen: crashes, hangs, memory.

    python scripts/fuzz.py --count 20000

Each input is a good file (splats of every format, COLMAP text and binary, transforms.json, camera
lists of RealityCapture and Metashape, a video, photos of several formats) with some of its bytes or
numbers changed. A reader may return or raise SplatkitError in one line; anything else is a finding
and is kept in --keep.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import multiprocessing.connection
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import Gaussians, SplatkitError
from splatkit.ingest.undistort import Undistortion
from splatkit.io import FORMATS, info, read_gaussians, write_gaussians
from splatkit.io.colmap import read_model
from splatkit.io.images import read_image, read_info
from splatkit.io.metashape import read_metashape
from splatkit.io.realitycapture import read_realitycapture
from splatkit.io.transforms import read_frames
from splatkit.io.video import write_video
from splatkit.io.video_frames import read_video, read_video_info

SECONDS_EACH = 10.0
MEMORY_BYTES = 3 << 30
EXTREMES = ("nan", "inf", "-1", "0", "1e308", "-1e-320", "9" * 30, "4294967296", "-2147483649", "")


def main(arguments: list[str] | None = None) -> int:
    """Run and report; the exit status is 0 when there were no findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "splatkit-fuzz"))
    parser.add_argument("--without", default=None, help="leave out kinds that begin so: splat")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        originals = Path(folder, "good")
        with warnings.catch_warnings():
            # What a format cannot hold is no news here.
            warnings.simplefilter("ignore")
            make_originals(originals)
        for kind in list(originals.iterdir()):
            if options.without and kind.name.startswith(options.without):
                shutil.rmtree(kind)
        result = run_all(options, originals, Path(folder))
    result["seconds"] = round(time.monotonic() - start, 1)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(
            f"{result['inputs']} inputs in {result['seconds']} s: {result['refused']} refused, "
            f"{result['accepted']} read, {len(result['findings'])} findings"
        )
        for finding in result["findings"][:20]:
            print(f"  {finding['what']}: {finding['case']} {finding['detail']}")
    return 1 if result["findings"] else 0


def make_originals(folder: Path) -> None:
    """One small good file (or folder) of every kind."""
    generator = torch.Generator().manual_seed(0)
    for degree, name in ((1, "splat"), (3, "splat3")):
        k = (degree + 1) ** 2
        shapes = ((20, 3), (20, 4), (20, 3), (20,), (20, k, 3))
        means, quats, scales, opacities, sh = (torch.randn(s, generator=generator) for s in shapes)
        scene = Gaussians(means, quats, scales, opacities, sh)
        for known in FORMATS:
            # OpenUSD is read by a process of its own each time: tests/io/test_format_fuzz.py.
            if known.write is not None and not known.name.startswith("usd"):
                known.write(scene, folder / f"{name} {known.name}" / f"a{known.suffix}")
        scene.extra["label"] = torch.arange(20)
        write_gaussians(scene, folder / f"{name} labels" / "a.ply")
    _make_text_ply(folder / "splat text" / "a.ply")
    photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image = Image.fromarray(photo).resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769).update({0xA405: 35, 0x829A: 0.01, 0x829D: 4.0, 0x8827: 100})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 36.0)})
    for suffix in ("jpg", "png", "webp", "tif", "heic", "avif", "bmp"):
        (folder / suffix).mkdir(parents=True)
        # BMP has no place for EXIF.
        more = {} if suffix == "bmp" else {"exif": exif.tobytes()}
        image.save(folder / suffix / f"a.{suffix}", format=None, **more)
    _make_colmap(folder)
    _make_transforms(folder / "transforms", image)
    _make_lists(folder, image)
    (folder / "video").mkdir()
    with write_video(folder / "video" / "a.mp4", 64, 48, 10) as add:
        for shift in range(4):
            add(np.roll(np.asarray(image), shift, 1))


def _make_text_ply(path: Path) -> None:
    names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3"
    head = "ply\nformat ascii 1.0\ncomment antialiased 1\nelement vertex 5\n"
    head += "".join(f"property float {name}\n" for name in names.split()) + "end_header\n"
    rows = "\n".join(" ".join(str(i + j / 8) for j in range(14)) for i in range(5))
    path.parent.mkdir(parents=True)
    path.write_text(f"{head}{rows}\n")


def _make_colmap(folder: Path) -> None:
    text, binary = folder / "colmap_txt", folder / "colmap_bin"
    text.mkdir()
    binary.mkdir()
    (text / "cameras.txt").write_text(
        "# cameras\n1 SIMPLE_RADIAL 64 48 60.5 32 24 -0.1\n2 OPENCV 64 48 60 61 32 24 .1 .01 0 0\n"
    )
    (text / "images.txt").write_text(
        "1 0.9 0.1 0.2 0.3 1 2 3 1 a.jpg\n10 20 1 30 40 -1\n2 1 0 0 0 0 0 1 2 sub/b c.jpg\n\n"
    )
    (text / "points3D.txt").write_text("1 0.1 0.2 0.3 10 20 30 0.5 1 0 2 0\n2 1 1 1 9 9 9 1 1 1\n")
    camera = struct.pack("<QIiQQ4d", 1, 1, 2, 64, 48, 60.5, 32, 24, -0.1)
    (binary / "cameras.bin").write_bytes(camera)
    seen = struct.pack("<Q2dq2dq", 2, 10, 20, 1, 30, 40, -1)
    images = b"".join(
        struct.pack("<I7dI", i, 0.9, 0.1, 0.2, 0.3, 1, 2, 3, 1) + f"{i}.jpg\0".encode() + seen
        for i in (1, 2)
    )
    (binary / "images.bin").write_bytes(struct.pack("<Q", 2) + images)
    point = struct.pack("<q3d3BdQ4I", 1, 0.1, 0.2, 0.3, 1, 2, 3, 0.5, 2, 1, 0, 2, 0)
    (binary / "points3D.bin").write_bytes(struct.pack("<Q", 1) + point)


def _make_transforms(folder: Path, image: Image.Image) -> None:
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        image.save(folder / name)
    matrix = np.eye(4).round(3).tolist()
    frames = [{"file_path": f"./{name}", "transform_matrix": matrix} for name in ("a.jpg", "b")]
    told = {"fl_x": 60.5, "fl_y": 61, "cx": 32, "cy": 24, "w": 64, "h": 48, "k1": 0.01, "k2": 0.0,
            "p1": 0.001, "p2": 0.0, "camera_model": "OPENCV", "test_filenames": ["./a.jpg"],
            "camera_angle_x": 0.7, "frames": frames}  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(told))


def _make_lists(folder: Path, image: Image.Image) -> None:
    """Camera lists of RealityCapture and Metashape with a photo each."""
    rows = {
        "realitycapture": (
            "a.csv",
            "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n"
            "a.jpg,1,2,3,45,80,5,30,0.01,0.02,0.1,0.01,0.001,0,0.001,0.002\n",
        ),
        "metashape": (
            "a.xml",
            '<document version="1.5"><chunk><sensors><sensor id="0" type="frame"><resolution '
            'width="64" height="48"/><calibration class="adjusted"><f>60</f><cx>1</cx><k1>0.1</k1>'
            '</calibration></sensor></sensors><cameras><camera id="0" sensor_id="0" label="a">'
            "<transform>1 0 0 1 0 1 0 2 0 0 1 3 0 0 0 1</transform></camera></cameras></chunk>"
            "</document>",
        ),
    }
    for kind, (name, text) in rows.items():
        (folder / kind).mkdir()
        (folder / kind / name).write_text(text)
        image.save(folder / kind / "a.jpg")


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, cut, insert, repeat, or put extreme numbers in."""
    buffer = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        kind = chance.randrange(8)
        at = chance.randrange(len(buffer) + 1)
        if kind == 0 and buffer:
            buffer[at % len(buffer)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            buffer = buffer[:at]
        elif kind == 2:
            buffer[at:at] = chance.randbytes(chance.randrange(1, 40))
        elif kind == 3:
            length = chance.randrange(1, 200)
            buffer[at:at] = buffer[at : at + length]
        elif kind == 4:
            del buffer[at : at + chance.randrange(1, 100)]
        elif kind == 5:
            size = chance.choice((1, 2, 4, 8))
            value = chance.choice((0, 1, -1, 1 << (8 * size - 1), (1 << (8 * size - 1)) - 1))
            value &= (1 << 8 * size) - 1
            buffer[at : at + size] = value.to_bytes(size, chance.choice(("little", "big")))
        elif kind == 6:
            number = chance.choice((math.nan, math.inf, -math.inf, 1e300, 1e-320, -0.0))
            buffer[at : at + 8] = struct.pack("<d", number)
        else:
            _replace_word(buffer, chance)
    return bytes(buffer)


def _replace_word(buffer: bytearray, chance: random.Random) -> None:
    """Put an extreme number in the place of one that is written in digits."""
    if not buffer:
        return
    at = chance.randrange(len(buffer))
    digits = b"0123456789.-+e"
    while at < len(buffer) and buffer[at] not in digits:
        at += 1
    end = at
    while end < len(buffer) and buffer[end] in digits:
        end += 1
    if end > at:
        buffer[at:end] = chance.choice(EXTREMES).encode()


def _read_colmap(folder: Path) -> None:
    model = read_model(folder)
    for lens in model.cameras.values():
        if max(lens.width, lens.height) <= 256:
            Undistortion(lens)


def _read_transforms(folder: Path) -> None:
    for frame in read_frames(folder)[0]:
        if max(frame.lens.width, frame.lens.height) <= 256:
            Undistortion(frame.lens)


def _read_list(folder: Path) -> None:
    for read, suffix in ((read_realitycapture, "*.csv"), (read_metashape, "*.xml")):
        for path in folder.glob(suffix):
            for frame in read(path, folder)[0]:
                if max(frame.lens.width, frame.lens.height) <= 256:
                    Undistortion(frame.lens)


def _read_video(folder: Path) -> None:
    for path in folder.iterdir():
        read_video_info(path)
        for _ in zip(range(50), read_video(path, long_side=64), strict=False):
            pass


def _read_photo(folder: Path) -> None:
    for path in folder.iterdir():
        read_info(path)
        read_image(path)


def _read_splat(folder: Path) -> None:
    for path in folder.iterdir():
        # The data of a .gltf are read with it.
        if path.suffix != ".bin":
            info(path)
            read_gaussians(path)


def reader_of(kind: str) -> Callable[[Path], None]:
    """The function that reads a folder of one kind."""
    if kind.startswith("splat"):
        return _read_splat
    return {
        "colmap_txt": _read_colmap, "colmap_bin": _read_colmap, "transforms": _read_transforms,
        "realitycapture": _read_list, "metashape": _read_list, "video": _read_video,
    }.get(kind, _read_photo)  # fmt: skip


def one_case(originals: Path, place: Path, seed: int) -> tuple[str, str, str]:
    """Make input number ``seed`` in ``place`` and read it: (what came, its kind, details)."""
    chance = random.Random(seed)
    kind = chance.choice(sorted(folder.name for folder in originals.iterdir()))
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(originals / kind, place)
    files = sorted(path for path in place.iterdir() if path.suffix != ".jpg" or kind == "jpg")
    victim = chance.choice(files)
    victim.write_bytes(mutate(victim.read_bytes(), chance))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader_of(kind)(place)
    except SplatkitError as error:
        if "\n" in str(error):
            return "more than one line", kind, str(error)
        return "refused", kind, ""
    except Exception:
        return "exception", kind, traceback.format_exc(limit=-4)
    return "accepted", kind, ""


def _work(link: multiprocessing.connection.Connection, originals: Path, place: Path) -> None:
    """A worker: takes the numbers of inputs, answers with results."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        # Libraries print about damage; only the result is of interest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        seed = link.recv()
        if seed is None:
            return
        link.send(one_case(originals, place, seed))


class _Worker:
    def __init__(self, originals: Path, place: Path) -> None:
        # A fresh interpreter: a fork would inherit the threads of the numeric libraries.
        context = multiprocessing.get_context("spawn")
        self.place = place
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, originals, place), daemon=True)
        self.process.start()
        theirs.close()
        self.seed = -1
        self.since = math.inf
        self.grace = 60.0
        """Seconds that the first input may take longer, while the interpreter starts."""

    def give(self, seed: int) -> None:
        self.seed, self.since = seed, time.monotonic()
        self.link.send(seed)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.link.close()


def run_all(options: argparse.Namespace, originals: Path, folder: Path) -> dict:
    """Keep all workers busy; a worker that dies or hangs is a finding and is replaced."""
    seeds = iter(range(options.seed, options.seed + options.count))
    workers = [_Worker(originals, folder / f"w{i}") for i in range(options.workers)]
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    findings: list[dict[str, str]] = []
    told = time.monotonic()

    def finding(worker: _Worker, what: str, kind: str, detail: str) -> None:
        kept = options.keep / f"{what.replace(' ', '-')}-{worker.seed}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(worker.place, kept)
        findings.append({"what": what, "case": f"{kind} {worker.seed}", "detail": detail[-1500:]})

    def next_seed(worker: _Worker) -> bool:
        seed = next(seeds, None)
        if seed is None:
            worker.end()
            return False
        worker.give(seed)
        return True

    busy = [worker for worker in workers if next_seed(worker)]
    while busy:
        ready = multiprocessing.connection.wait([worker.link for worker in busy], timeout=0.2)
        done: list[_Worker] = []
        for i, worker in enumerate(list(busy)):
            what = ""
            if worker.link in ready:
                try:
                    outcome, kind, detail = worker.link.recv()
                except EOFError:
                    what = "crash"
                else:
                    worker.grace = 0.0
                    counts[outcome] += 1
                    kinds[kind] += 1
                    if outcome not in ("refused", "accepted"):
                        finding(worker, outcome, kind, detail)
                    if not next_seed(worker):
                        done.append(worker)
            elif time.monotonic() - worker.since > SECONDS_EACH + worker.grace:
                what = "hang"
            if what:
                counts[what] += 1
                finding(worker, what, "?", f"exit code {worker.process.exitcode}")
                worker.end()
                busy[i] = _Worker(originals, worker.place)
                if not next_seed(busy[i]):
                    done.append(busy[i])
        busy = [worker for worker in busy if worker not in done]
        if time.monotonic() - told > 10 and not options.json:
            told = time.monotonic()
            print(f"{counts.total()} of {options.count}, {len(findings)} findings", flush=True)
    return {
        "inputs": counts.total(),
        "refused": counts["refused"],
        "accepted": counts["accepted"],
        "kinds": dict(sorted(kinds.items())),
        "findings": findings,
    }


if __name__ == "__main__":
    sys.exit(main())
