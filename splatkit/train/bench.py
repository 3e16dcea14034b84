"""Scene after scene of a data set with its standard splits, and the table that papers print."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from splatkit.core import Event, Note, UsageError
from splatkit.io.files import read_json, write_json, write_text
from splatkit.train import pipeline
from splatkit.train.config import TrainConfig, plain
from splatkit.train.presets import sized
from splatkit.train.published import PUBLISHED
from splatkit.train.run_folder import RunFolder

DATA = "SPLATKIT_DATA"
_OUTDOOR = ("bicycle", "flowers", "garden", "stump", "treehill")
_INDOOR = ("room", "counter", "kitchen", "bonsai")
_NOT_ASKED_AGAIN = ("resume", "tensorboard", "threads", "backend", "version", "source")
"""Settings that do not make a finished run another one."""


@dataclass(frozen=True)
class BenchScene:
    """One training of a benchmark."""

    name: str
    photos: Path
    config: TrainConfig


def bench_scenes(dataset: str, data: Path | None, config: TrainConfig) -> list[BenchScene]:
    """The scenes of a data set with its customs: picture sizes and held-out photos.

    Args:
        dataset: a key of ``PUBLISHED``, or a folder whose subfolders are scenes.
        data: where the data set lies; ``$SPLATKIT_DATA/dataset`` when None.
        config: the options that all scenes share.

    Raises:
        UsageError: there is no such data set, or none of its scenes is there.
    """
    if dataset not in PUBLISHED:
        folder = Path(dataset)
        if not folder.is_dir():
            raise UsageError(
                f"--dataset: expected {', '.join(PUBLISHED)} or a folder of scenes, got {dataset!r}"
            )
        names = sorted(place.name for place in folder.iterdir() if place.is_dir())
        scenes = [BenchScene(name, folder / name, config) for name in names if name[0] != "."]
        if not scenes:
            raise UsageError(f"{folder}: expected a folder for each scene, found none")
        return scenes
    folder = data or Path(os.environ.get(DATA, "."), dataset)
    names = [name for row in PUBLISHED[dataset] for name in row.psnr]
    found = [name for name in dict.fromkeys(names) if (folder / name).is_dir()]
    if not found:
        raise UsageError(
            f"{folder}: expected the scenes {', '.join(names)}, found none; name their folder "
            "with --data"
        )
    return [_customary(dataset, folder / name, config) for name in found]


def _customary(dataset: str, photos: Path, config: TrainConfig) -> BenchScene:
    """A scene at the size, and with the held-out photos, that papers use."""
    name = photos.name
    config = replace(config, test_every=8, resize=1)
    if dataset == "mipnerf360":
        divisor = 4 if name in _OUTDOOR else 2
        small = photos / f"images_{divisor}"
        if small.is_dir():
            model = next(
                (m for m in (photos / "sparse" / "0", photos / "sparse") if m.is_dir()), None
            )
            return BenchScene(name, small, replace(config, model=model))
        config = replace(config, resize=divisor)
    return BenchScene(name, photos, config)


def bench(
    dataset: str,
    out: Path,
    config: TrainConfig,
    data: Path | None = None,
    only: tuple[str, ...] = (),
) -> Generator[Event, None, dict[str, Any]]:
    """Train every scene and write ``out/table.md`` and ``out/table.json`` after each.

    A scene that an earlier call with the same options finished is not trained again; one that was
    stopped goes on.

    Args:
        dataset: see ``bench_scenes``.
        out: a run folder for each scene goes here.
        config: the options that all scenes share.
        data: see ``bench_scenes``.
        only: names of the scenes to train; all when empty.

    Returns:
        The contents of ``table.json``.
    """
    scenes = bench_scenes(dataset, data, config)
    unknown = sorted(set(only) - {scene.name for scene in scenes})
    if unknown:
        raise UsageError(
            f"--scenes: expected any of {', '.join(s.name for s in scenes)}; got {unknown[0]!r}"
        )
    rows: list[dict[str, Any]] = []
    document: dict[str, Any] = {}
    for scene in scenes:
        if only and scene.name not in only:
            continue
        folder = RunFolder(out / scene.name)
        if is_finished(folder, scene.config):
            yield Note(f"{scene.name}: finished before")
        else:
            yield Note(f"{scene.name}: training")
            started = _settings(folder) == _wanted(scene.config)
            scene_config = replace(scene.config, resume=started)
            yield from pipeline.run(scene.photos, folder.root, scene_config)
        rows.append({"scene": scene.name, **read_json(folder.stats)})
        document = {"dataset": dataset, "rows": [_row(row) for row in rows]}
        write_json(out / "table.json", document)
        write_text(out / "table.md", table(document) + "\n")
    return document


def is_finished(folder: RunFolder, config: TrainConfig) -> bool:
    """Whether a run with these options stands there, complete."""
    return folder.stats.is_file() and _settings(folder) == _wanted(config)


def _settings(folder: RunFolder) -> dict[str, Any] | None:
    if not folder.config.is_file():
        return None
    told = read_json(folder.config)
    return {name: value for name, value in told.items() if name not in _NOT_ASKED_AGAIN}


def _wanted(config: TrainConfig) -> dict[str, Any]:
    told = json.loads(json.dumps(plain(sized(config))))
    return {name: value for name, value in told.items() if name not in _NOT_ASKED_AGAIN}


def _row(stats: dict[str, Any]) -> dict[str, Any]:
    return {
        "scene": stats["scene"],
        **{figure: stats["mean"][figure] for figure in ("psnr", "ssim", "lpips")},
        "num_gaussians": stats["num_gaussians"],
        "seconds_train": stats["seconds_train"],
    }


def table(document: dict[str, Any]) -> str:
    """The results as a table in Markdown, published rows below."""
    rows = document["rows"]
    names = [row["scene"] for row in rows]
    lines = [
        f"| {document['dataset']} | {' | '.join(names)} | mean |",
        "|---" * (len(names) + 2) + "|",
    ]

    def line(label: str, values: list[float | None], text: str) -> str:
        known = [value for value in values if value is not None]
        # A mean over some of the scenes would look like one over all.
        mean = text.format(fmean(known)) if known and len(known) == len(values) else "-"
        cells = ["-" if value is None else text.format(value) for value in values]
        return f"| {label} | {' | '.join(cells)} | {mean} |"

    for label, key, text in (
        ("PSNR, dB", "psnr", "{:.2f}"),
        ("SSIM", "ssim", "{:.3f}"),
        ("LPIPS", "lpips", "{:.3f}"),
        ("Gaussians", "num_gaussians", "{:,.0f}"),
        ("training, s", "seconds_train", "{:.0f}"),
    ):
        if any(row[key] is not None for row in rows):
            lines.append(line(label, [row[key] for row in rows], text))
    published = PUBLISHED.get(document["dataset"], ())
    for row in published:
        values = [row.psnr.get(name) for name in names]
        lines.append(line(f"{row.method}: PSNR, dB", values, "{:.2f}"))
    lines += ["", *(f"{row.method}: {row.source}." for row in published)]
    return "\n".join(lines).rstrip()
