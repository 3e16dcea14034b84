"""Photos under the names by which other programs call them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from splatkit.io.images import list_images


class PhotoNames:
    """Finds photos of a folder by what another program calls them.

    Programs write whole paths of another machine, names with and without suffix, and either
    slash; the last part decides, the case of its letters does not.
    """

    def __init__(self, folder: Path) -> None:
        self._found: dict[str, Path] = {}
        for name in list_images(folder):
            path = PurePosixPath(name.lower())
            for key in (path.name, path.stem):
                # Of two that share a name the first by path.
                self._found.setdefault(key, folder / name)

    def __getitem__(self, name: str) -> Path | None:
        plain = PureWindowsPath(name).name.lower()
        return self._found.get(plain) or self._found.get(PurePosixPath(plain).stem)
