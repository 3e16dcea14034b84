"""Checkpoints: named tensors and a JSON document in one .npz file.

Written atomically and never pickled, so that a file from anywhere can be read without running
code. The zip's checksums tell a damaged file from a good one.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import SplatkitError
from splatkit.io.files import atomic_path

_DOCUMENT = "document.json"


def write_checkpoint(path: Path | str, tensors: dict[str, Tensor], document: Any) -> None:
    """Write tensors and a JSON document, all or nothing."""
    text = json.dumps(document, allow_nan=False).encode()
    arrays: dict[str, Any] = {name: t.detach().cpu().numpy() for name, t in tensors.items()}
    arrays[_DOCUMENT] = np.frombuffer(text, dtype=np.uint8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], Any]:
    """Tensors by name, and the document.

    Raises:
        SplatkitError: the file is missing, damaged or something else.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            tensors = {name: torch.from_numpy(archive[name]) for name in archive.files}
        return tensors, json.loads(tensors.pop(_DOCUMENT).numpy().tobytes())
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as e:
        raise SplatkitError(f"{path}: expected a checkpoint, got a damaged file ({e})") from e
