"""What the mapper's database holds, read without its library."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from splatkit.ingest.judge import Pair


def read_pairs(database: Path) -> list[Pair]:
    """The verified matches that the mapper worked from."""
    with closing(_opened(database)) as connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        points = {
            number: np.frombuffer(data, np.float32).reshape(rows, cols)[:, :2]
            for number, rows, cols, data in connection.execute(
                "SELECT image_id, rows, cols, data FROM keypoints WHERE rows > 0"
            )
        }
        pairs = []
        for number, rows, data in connection.execute(
            "SELECT pair_id, rows, data FROM two_view_geometries WHERE rows > 0"
        ):
            # COLMAP's numbering of pairs.
            first, second = divmod(number, 2147483647)
            matches = np.frombuffer(data, np.uint32).reshape(rows, 2)
            pairs.append(
                Pair(
                    names[first],
                    names[second],
                    points[first][matches[:, 0]],
                    points[second][matches[:, 1]],
                )
            )
    return pairs


def read_descriptors(database: Path, most: int) -> dict[str, np.ndarray]:
    """[M,128] uint8 descriptors of each photo by name, the ``most`` largest features of it.

    Photos without features are not among them.
    """
    with closing(_opened(database)) as connection:
        found = {}
        query = (
            "SELECT name, descriptors.rows, descriptors.cols, descriptors.data, keypoints.cols, "
            "keypoints.data FROM images JOIN descriptors USING (image_id) "
            "JOIN keypoints USING (image_id) WHERE descriptors.rows > 0"
        )
        for name, rows, cols, data, width, points in connection.execute(query):
            table = np.frombuffer(data, np.uint8).reshape(rows, cols)
            shapes = np.frombuffer(points, np.float32).reshape(rows, width)[:, 2:]
            # Four columns hold an affine shape, two a scale and an angle.
            size = np.abs(shapes).max(1, initial=0) if width == 6 else shapes[:, 0]
            found[name] = table[np.argsort(-size, kind="stable")[:most]]
    return found


def read_focals(database: Path) -> dict[str, float]:
    """Focal length in pixels that each photo's camera starts with, by photo name."""
    with closing(_opened(database)) as connection:
        query = "SELECT name, params FROM images JOIN cameras USING (camera_id)"
        return {n: float(np.frombuffer(p, np.float64)[0]) for n, p in connection.execute(query)}


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
