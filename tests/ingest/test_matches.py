"""What is read of the mapper's database."""

import sqlite3
from contextlib import closing

import numpy as np

from splatkit.ingest.matches import read_descriptors

TABLES = """
CREATE TABLE images (image_id INTEGER PRIMARY KEY, name TEXT, camera_id INTEGER);
CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY, rows INTEGER, cols INTEGER, data BLOB);
CREATE TABLE descriptors (image_id INTEGER PRIMARY KEY, rows INTEGER, cols INTEGER, data BLOB);
"""
"""Those columns of COLMAP's that are read."""


def test_the_largest_features_come_first_and_a_blank_photo_has_none(tmp_path):
    features = np.arange(3 * 128, dtype=np.uint8).reshape(3, 128)
    points = np.array([[5, 5, 2, 0], [6, 6, 9, 0], [7, 7, 4, 0]], np.float32)
    with closing(sqlite3.connect(tmp_path / "database.db")) as connection:
        connection.executescript(TABLES)
        for number, name in ((1, "wall.jpg"), (2, "house.jpg")):
            connection.execute("INSERT INTO images VALUES (?, ?, 1)", (number, name))
        # COLMAP writes no data at all for a photo in which it finds nothing.
        connection.execute("INSERT INTO keypoints VALUES (1, 0, 4, NULL)")
        connection.execute("INSERT INTO descriptors VALUES (1, 0, 128, NULL)")
        connection.execute("INSERT INTO keypoints VALUES (2, 3, 4, ?)", (points.tobytes(),))
        connection.execute("INSERT INTO descriptors VALUES (2, 3, 128, ?)", (features.tobytes(),))
        connection.commit()
    found = read_descriptors(tmp_path / "database.db", most=2)
    assert list(found) == ["house.jpg"]
    assert np.array_equal(found["house.jpg"], features[[1, 2]])
