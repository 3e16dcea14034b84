"""Going on with a run: its own options, what is changed on top of them, and what may not be.

A run folder keeps its options in ``config.json``. Nobody has to repeat them: a resumed run takes
them over, and only what is given anew replaces them, which is said. A run that is there is never
replaced by another one without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from splatkit.core import UsageError
from splatkit.io.files import read_json
from splatkit.train.config import TrainConfig, flattened, plain
from splatkit.train.run_folder import RunFolder
from splatkit.train.state import newest_checkpoint

FIXED = ("start", "sh_degree", "model", "split", "test_every")
"""Options on which the Gaussians or the held-out photos of a run stand from its first step."""
_ALIASES = {"-i": "iterations"}


def saved_options(folder: RunFolder) -> tuple[Path, TrainConfig] | None:
    """Photos and options of the run in a folder; None where there is no run.

    Raises:
        SplatkitError: the options are there and cannot be read.
    """
    if not folder.config.is_file():
        return None
    told = read_json(folder.config)
    return Path(told.get("source", "")), _filled(TrainConfig, told)


def taken_up(
    root: Path, changes: dict[str, Any], photos: Path | None = None
) -> tuple[Path, TrainConfig]:
    """Photos and options with which a run goes on.

    Args:
        root: the run folder.
        changes: option by name, dots before the parts of a group (``recipe.rates.means``).
        photos: where the photos are now; None where they were.

    Raises:
        UsageError: there is no run, and no photos to begin one with.
    """
    saved = saved_options(RunFolder(root))
    if saved is None:
        if photos is None:
            raise UsageError(
                f"{root}: expected a run to go on with, found none; "
                "begin one with: splatkit train PHOTOS -o RUN"
            )
        saved = photos, TrainConfig()
    source, config = saved
    if changes.get("preset", config.preset) != config.preset:
        config = replace(config, iterations=None, max_gaussians=None, resize="auto")
    if "iterations" in changes:
        config = replace(config, time_limit=None)
    for name, value in changes.items():
        config = _changed(config, name.split("."), value)
    return photos or source, replace(config, resume=True)


def given_options(words: Sequence[str], config: TrainConfig) -> dict[str, Any]:
    """The options that a command line names, with their values, dots between groups and parts.

    Args:
        words: as typed.
        config: what they were understood as.
    """
    given: dict[str, Any] = {}
    for word in words:
        if word == "--":
            break
        name = word.split("=")[0]
        name = _ALIASES.get(name, name.removeprefix("--").replace("-", "_"))
        *groups, last = name.split(".")
        place: Any = config
        for group in groups:
            place = getattr(place, group, None)
        for option in (last, last.removeprefix("no_")):
            if word.startswith("-") and _has(place, option) and option != "resume":
                given[".".join((*groups, option))] = getattr(place, option)
    return given


def changes_of(folder: RunFolder, config: TrainConfig) -> list[str]:
    """In words, how options differ from those of the run in a folder; empty where there is none.

    Raises:
        UsageError: one differs on which the run stands.
    """
    saved = saved_options(folder)
    if saved is None:
        return []
    before, now = flattened(plain(saved[1])), flattened(plain(config))
    told = []
    for name, value in now.items():
        if name == "resume" or value == before[name]:
            continue
        option = "--" + name.replace("_", "-")
        if name in FIXED and newest_checkpoint(folder.checkpoints) is not None:
            raise UsageError(
                f"{option}: expected {_said(before[name])} as this run began with, got "
                f"{_said(value)}; take another folder for a new run"
            )
        told.append(f"{option} {_said(value)} (was {_said(before[name])})")
    return told


def refuse_to_replace(folder: RunFolder) -> None:
    """Stop a new training where one has been.

    Raises:
        UsageError: there is a trained or half-trained scene, or something else than a folder.
    """
    root = folder.root
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root}: expected a folder for the run, got a file; choose another -o")
    newest = newest_checkpoint(folder.checkpoints)
    if folder.stats.is_file() or folder.ply.is_file():
        there = "a finished run"
    elif newest is not None:
        there = f"a training ({newest.stem})"
    else:
        return
    raise UsageError(
        f"{root}: {there} is there and is not replaced; go on with it: splatkit train --resume "
        f"-o {root}, or choose another folder with -o, or delete this one"
    )


def _said(value: Any) -> str:
    return "unset" if value in (None, "") else str(value)


def _has(place: Any, name: str) -> bool:
    return is_dataclass(place) and name in (field.name for field in fields(place))


def _changed(options: Any, path: list[str], value: Any) -> Any:
    """Frozen options with one of them, maybe deep inside, replaced."""
    if not _has(options, path[0]):
        known = ", ".join(sorted(field.name for field in fields(options)))
        raise UsageError(f"options: expected any of {known}; got {path[0]!r}")
    if len(path) > 1:
        value = _changed(getattr(options, path[0]), path[1:], value)
    return replace(options, **{path[0]: value})


def _filled(kind: type, told: dict[str, Any]) -> Any:
    """Options of a class as JSON holds them; what a file does not name has its default."""
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):
        if field.name not in told:
            continue
        value, hint = told[field.name], hints[field.name]
        kinds: Iterable[Any] = (hint, *get_args(hint))
        if isinstance(value, dict):
            group = next(k for k in kinds if isinstance(k, type) and _fits(k, value))
            value = _filled(group, value)
        elif isinstance(value, str) and Path in kinds:
            value = Path(value)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _fits(kind: type, told: dict[str, Any]) -> bool:
    """Whether it is a class of options that has at least one of the names."""
    return is_dataclass(kind) and (not told or any(field.name in told for field in fields(kind)))
