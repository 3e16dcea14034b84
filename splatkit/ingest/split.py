"""Which photos are held out for evaluation: decided before anything else is known of them."""

from __future__ import annotations

from pathlib import Path

from splatkit.core import SplatkitError, UsageError
from splatkit.ingest.config import IngestConfig


def choose_held_out(
    names: list[str], config: IngestConfig, own: frozenset[str] | None
) -> frozenset[str]:
    """The names of the photos to hold out.

    Args:
        names: all photos found, sorted by name.
        config: a split file wins over everything.
        own: the data set's own test split, which wins over ``config.test_every``.
    """
    if config.split is not None:
        return read_split(config.split, names)
    if own is not None:
        return own
    return frozenset(names[:: config.test_every]) if config.test_every else frozenset()


def read_split(path: Path, names: list[str]) -> frozenset[str]:
    """The photos that a split file names, one a line; lines that begin with # are passed over.

    Raises:
        UsageError: the file cannot be read.
        SplatkitError: it names a photo that is not in ``names``.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a text file of photo names ({error})") from error
    wanted = [line for line in lines if line and not line.startswith("#")]
    unknown = [name for name in wanted if name not in set(names)]
    if unknown:
        raise SplatkitError(
            f"{path}: expected names of photos as in {names[0]!r}, got {unknown[0]!r} "
            f"({len(unknown)} unknown)"
        )
    return frozenset(wanted)
