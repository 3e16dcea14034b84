"""Which function reads, writes and describes which scene format: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.core.sh import MAX_DEGREE
from splatkit.io import compressed_ply, csv, gltf, html, ksplat, npz, ply, sog, splat, spz, usd


@dataclass(frozen=True)
class Format:
    """One file format of Gaussians."""

    name: str
    suffix: str
    """Of the files, with its dot, in lower case."""
    magic: bytes | tuple[bytes, ...]
    """What the files begin with; empty where nothing marks them but their suffix."""
    read: Callable[[Path], Gaussians]
    write: Callable[..., None] | None
    """None for formats that are only read."""
    info: Callable[[Path], dict[str, Any]]
    holds: bytes = b""
    """What stands in the first kilobyte too, where several formats share one magic."""
    max_degree: int = MAX_DEGREE
    """Of the harmonics that the format holds."""
    axes: str = "RDF"
    """Where the x, y and z axes of the numbers in the file point: three of R(ight) L(eft) U(p)
    D(own) F(orward) B(ack). Readers and writers turn between them and the world's RDF."""
    least_psnr: float = 60.0
    """Decibels that an export must keep."""
    options: tuple[str, ...] = ()
    """Keywords that ``write`` takes beside the scene and the path."""


FORMATS: tuple[Format, ...] = (
    Format(
        "compressed-ply",
        ".compressed.ply",
        ply.MAGIC,
        compressed_ply.read,
        compressed_ply.write,
        compressed_ply.info,
        holds=compressed_ply.MARK,
        max_degree=compressed_ply.MAX_DEGREE,
        least_psnr=38.0,
    ),
    Format("ply", ".ply", ply.MAGIC, ply.read, ply.write, ply.info),
    Format(
        "spz",
        ".spz",
        (spz.MAGIC, spz.GZIP_MAGIC),
        spz.read,
        spz.write,
        spz.info,
        axes="RUB",
        least_psnr=38.0,
        options=("version", "precision"),
    ),
    Format(
        "glb",
        ".glb",
        gltf.MAGIC,
        gltf.read,
        gltf.write,
        gltf.info,
        max_degree=gltf.MAX_DEGREE,
        axes="LUF",
    ),
    Format(
        "gltf",
        ".gltf",
        b"",
        gltf.read,
        gltf.write_text,
        gltf.info,
        max_degree=gltf.MAX_DEGREE,
        axes="LUF",
    ),
    Format(
        "html",
        ".html",
        html.MAGIC,
        html.read,
        html.write,
        html.info,
        holds=html.MARK,
        least_psnr=45.0,
        options=("tour", "precision"),
    ),
    Format(
        "npz",
        ".npz",
        npz.MAGIC,
        npz.read,
        npz.write,
        npz.info,
        holds=npz.MARK,
        options=("precision",),
    ),
    Format(
        "usdz",
        ".usdz",
        usd.ZIP_MAGIC,
        usd.read,
        usd.write,
        usd.info,
        holds=usd.ZIP_MARK,
        max_degree=usd.MAX_DEGREE,
        axes="RFU",
        options=("collision",),
    ),
    Format(
        "usda",
        ".usda",
        usd.TEXT_MAGIC,
        usd.read,
        usd.write,
        usd.info,
        max_degree=usd.MAX_DEGREE,
        axes="RFU",
        options=("collision",),
    ),
    Format(
        "usdc",
        ".usdc",
        usd.BINARY_MAGIC,
        usd.read,
        usd.write,
        usd.info,
        max_degree=usd.MAX_DEGREE,
        axes="RFU",
        options=("collision",),
    ),
    Format(
        "usd",
        ".usd",
        usd.BINARY_MAGIC,
        usd.read,
        usd.write,
        usd.info,
        max_degree=usd.MAX_DEGREE,
        axes="RFU",
        options=("collision",),
    ),
    Format(
        "sog",
        ".sog",
        sog.MAGIC,
        sog.read,
        sog.write,
        sog.info,
        max_degree=sog.MAX_DEGREE,
        least_psnr=38.0,
    ),
    Format(
        "sog-folder",
        sog.META_NAME,
        b"",
        sog.read,
        None,
        sog.info,
        max_degree=sog.MAX_DEGREE,
    ),
    Format("csv", ".csv", b"", csv.read, csv.write, csv.info),
    Format("ksplat", ".ksplat", b"", ksplat.read, None, ksplat.info),
    Format(
        "splat",
        ".splat",
        b"",
        splat.read,
        splat.write,
        splat.info,
        max_degree=0,
        least_psnr=40.0,
    ),
)


def read_gaussians(path: Path | str) -> Gaussians:
    """Read Gaussians from a file of any known format (broken rows are left out with a warning).

    Raises:
        SplatkitError: the file is missing, damaged or of another kind.
    """
    path = _file_of(Path(path))
    return _format_of(path).read(path)


def write_gaussians(gaussians: Gaussians, path: Path | str) -> None:
    """Write Gaussians atomically in the format that the suffix names.

    Raises:
        UsageError: no format that is written has this suffix.
    """
    path = Path(path)
    _, write = format_to_write(path)
    write(gaussians, path)


def format_to_write(path: Path) -> tuple[Format, Callable[..., None]]:
    """The format that the suffix of a file names, and its writer.

    Raises:
        UsageError: no format that is written has this suffix.
    """
    for known in FORMATS:
        if path.name.lower().endswith(known.suffix) and known.write is not None:
            return known, known.write
    suffixes = ", ".join(known.suffix for known in FORMATS if known.write is not None)
    raise UsageError(f"{path}: expected a file name ending in {suffixes}")


def info(path: Path | str) -> dict[str, Any]:
    """Describe a scene file in values that JSON can hold."""
    path = _file_of(Path(path))
    return _format_of(path).info(path)


def _file_of(path: Path) -> Path:
    """The file itself, or the one that describes the scene in a folder."""
    described = path / sog.META_NAME
    return described if described.is_file() else path


def _format_of(path: Path) -> Format:
    """The format by the first bytes, whatever the file is called, or else by the suffix."""
    try:
        with path.open("rb") as stream:
            start = stream.read(1024)
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror})") from error
    for known in FORMATS:
        if known.magic and start.startswith(known.magic) and known.holds in start:
            return known
    for known in FORMATS:
        if not known.magic and path.name.lower().endswith(known.suffix):
            return known
    if not start:
        raise SplatkitError(f"{path}: expected a scene file, but it is empty (0 bytes)")
    raise SplatkitError(f"{path}: expected a scene file ({_suffixes()}), got something else")


def _suffixes() -> str:
    return ", ".join(known.suffix for known in FORMATS)
