"""Metres by GPS, by a measured distance, by markers; the floor; GPS that is not passed on."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from splatkit.core import SplatkitError, UsageError, camera_of, drain
from splatkit.ingest import IngestConfig, ingest
from splatkit.ingest.alignment import moved_pose
from splatkit.ingest.floor import floor_normal
from splatkit.ingest.metres import georeference, parse_marker
from splatkit.io.images import read_image, read_info
from splatkit.io.scene import load_scene
from tests.ingest.corner import FOCAL, SIZE, cameras, photograph, write_photos
from tests.ingest.test_posed import opengl, write_colmap

UNIT = 3.0
"""Source units of a metre in these tests."""
LAT, LON = 48.137, 11.575


def places(meters):
    """WGS84 of metres east and north of a place, near enough for some hundred metres."""
    lat = LAT + meters[:, 1] / 111_200
    lon = LON + meters[:, 0] / (111_320 * np.cos(np.radians(LAT)))
    return [(a, o, 500 + h) for a, o, h in zip(lat, lon, meters[:, 2], strict=True)]


def flight(noise=0.0, size=60.0):
    """Cameras of a flight over level ground in units that are no metres, and their GPS."""
    chance = np.random.default_rng(0)
    meters = chance.uniform(-size, size, (30, 3)) * (1, 1, 0.1)
    poses = np.tile(np.diag([1.0, -1, -1, 1]), (30, 1, 1))  # looking down
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", poses[:, :3, :3], meters)
    turn = np.eye(4)
    turn[:3, :3] = UNIT * np.linalg.qr(chance.normal(size=(3, 3)))[0]
    turn[:3, :3] *= np.sign(np.linalg.det(turn[:3, :3]))
    return np.stack([moved_pose(turn, pose) for pose in poses]), places(
        meters + chance.normal(0, noise, meters.shape)
    ), turn  # fmt: skip


def test_gps_gives_metres_and_up():
    poses, told, turn = flight(noise=1.0)
    found = georeference(poses, told)
    assert found is not None
    linear = found.enu_from_source[:3, :3]
    assert np.cbrt(np.linalg.det(linear)) == pytest.approx(1 / UNIT, rel=0.03)
    up = linear[2] / np.linalg.norm(linear[2])
    assert up @ (turn[:3, 2] / UNIT) > np.cos(np.radians(5))
    assert found.level
    assert 0.3 < found.error < 3


def test_gps_that_says_nothing_is_not_believed():
    poses, told, _ = flight(size=2.0, noise=4.0)
    assert georeference(poses, told) is None
    poses, told, _ = flight()
    shuffled = [told[i] for i in np.random.default_rng(1).permutation(30)]
    assert georeference(poses, shuffled) is None
    assert georeference(poses, [None] * 30) is None


def test_the_floor_makes_up_exact():
    chance = np.random.default_rng(0)
    tilt = np.radians(6)
    normal = np.array([np.sin(tilt), 0, np.cos(tilt)])
    flat = chance.uniform(-1, 1, (400, 3))
    flat -= np.outer(flat @ normal, normal)
    clutter = chance.uniform(-1, 1, (300, 3))
    found = floor_normal(np.concatenate((flat, clutter)), np.array([0, 0, 1.0]))
    assert found is not None
    assert found @ normal > np.cos(np.radians(1))
    assert floor_normal(clutter, np.array([0, 0, 1.0])) is None
    assert floor_normal(np.zeros((0, 3)), np.array([0, 0, 1.0])) is None


def write_posed(folder, photos, poses):
    """Photos with cameras in a frame whose unit is a third of a metre."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for i, (image, pose) in enumerate(zip(photos, poses, strict=True)):
        Image.fromarray(image).save(folder / f"{i}.png")
        scaled = pose.copy()
        scaled[:3, 3] *= UNIT
        frames.append({"file_path": f"{i}.png", "transform_matrix": opengl(scaled)})
    width, height = SIZE
    (folder / "transforms.json").write_text(
        json.dumps(
            {"fl_x": FOCAL, "fl_y": FOCAL, "cx": width / 2, "cy": height / 2, "w": width,
             "h": height, "frames": frames}
        )
    )  # fmt: skip


def distance_in_world(scene, first, second):
    centers = [camera_of(scene.photos[i]).positions[0].numpy() for i in (first, second)]
    return float(np.linalg.norm(centers[0] - centers[1]))


def seen_at(pose, point):
    here = pose[:3, :3] @ point + pose[:3, 3]
    return here[0] / here[2] * FOCAL + SIZE[0] / 2, here[1] / here[2] * FOCAL + SIZE[1] / 2


def test_a_measured_distance_gives_metres(tmp_path):
    poses = cameras(4)
    write_posed(tmp_path / "p", [photograph(pose) for pose in poses], poses)
    ends = np.array([0.2, 0.6, 0.0]), np.array([0.0, 0.4, 0.9])
    named = [
        "+".join(f"{i}.png:{u:.3f},{v:.3f}" for i in (0, 3) for u, v in [seen_at(poses[i], end)])
        for end in ends
    ]
    metres = float(np.linalg.norm(ends[0] - ends[1]))
    config = IngestConfig(scale_distance=(*named, metres))
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out", config)))
    assert scene.metric
    truth = np.linalg.norm(np.linalg.inv(poses[0])[:3, 3] - np.linalg.inv(poses[3])[:3, 3])
    assert distance_in_world(scene, 0, 3) == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"scale_distance": ("0.png", "1.png:3,4", 2.0)}, "expected PHOTO:X,Y such as"),
        ({"scale_distance": ("none.png:1,2", "1.png:3,4", 2.0)}, "expected a photo such as 0.png"),
        ({"scale_distance": ("0.png:1,2", "1.png:3,4", -2.0)}, "expected a distance in metres"),
        ({"scale_distance": ("0.png:1,2+1.png:9999,4", "1.png:3,4", 2.0)}, "expected a pixel of"),
        ({"marker": "tag36h11"}, "expected FAMILY:METRES such as tag36h11:0.16"),
        ({"marker": "qr:0.2"}, "expected FAMILY:METRES"),
        ({"marker": "tag36h11:0.16"}, "expected a marker of this family in at least two"),
    ],
)
def test_what_cannot_be_measured_is_one_line(tmp_path, option, words):
    poses = cameras(3)
    write_posed(tmp_path / "p", [photograph(pose) for pose in poses], poses)
    with pytest.raises(SplatkitError, match=words) as caught:
        drain(ingest(tmp_path / "p", tmp_path / "out", IngestConfig(**option)))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError) or "marker" in words


def test_a_marker_gives_metres(tmp_path):
    """A tag of 0.4 m lies on the floor of the corner."""
    side = 0.4
    number, size = parse_marker("tag36h11:0.4")
    assert size == side
    dictionary = cv2.aruco.getPredefinedDictionary(number)
    tag = cv2.aruco.generateImageMarker(dictionary, 5, 200)
    corners = np.array([(0.4, 0.5, 0), (0.8, 0.5, 0), (0.8, 0.9, 0), (0.4, 0.9, 0)])
    poses = cameras(4)
    photos = []
    for pose in poses:
        image = photograph(pose)
        at = np.array([seen_at(pose, corner) for corner in corners], np.float32)
        border = np.array([(0, 0), (200, 0), (200, 200), (0, 200)], np.float32)
        # A sheet of white paper around the tag.
        paper = corners + (corners - corners.mean(0)) * 0.35
        sheet = np.array([seen_at(pose, corner) for corner in paper], np.int32)
        cv2.fillPoly(image, [sheet[::-1]], (255, 255, 255))
        # Corners are named clockwise as the camera sees them.
        (a, b), (c, d) = at[1] - at[0], at[2] - at[1]
        order = [0, 3, 2, 1] if a * d < b * c else [0, 1, 2, 3]
        warp = cv2.getPerspectiveTransform(border, at[order])
        drawn = cv2.warpPerspective(tag, warp, SIZE, flags=cv2.INTER_AREA)
        covered = cv2.warpPerspective(np.full_like(tag, 255), warp, SIZE)
        image[covered > 127] = drawn[covered > 127][:, None]
        photos.append(image)
    write_posed(tmp_path / "p", photos, poses)
    config = IngestConfig(marker="tag36h11:0.4")
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out", config)))
    assert scene.metric
    truth = np.linalg.norm(np.linalg.inv(poses[0])[:3, 3] - np.linalg.inv(poses[3])[:3, 3])
    assert distance_in_world(scene, 0, 3) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("keep", [False, True])
def test_gps_gives_metres_and_goes_no_further_unless_asked(tmp_path, keep):
    poses = cameras(6)
    centers = np.stack([np.linalg.inv(pose)[:3, 3] for pose in poses])
    write_photos(tmp_path / "p" / "images", 6)
    for i, (a, o, h) in enumerate(places(centers * 12)):  # a large room: 12 metres a unit
        path = tmp_path / "p" / "images" / f"{i:02d}.jpg"
        exif = Image.Exif()
        exif.get_ifd(0x8825).update(
            {1: "N", 2: (a, 0.0, 0.0), 3: "E", 4: (o, 0.0, 0.0), 5: b"\0", 6: h}
        )
        image = Image.open(path).copy()
        image.save(path, exif=exif, quality=97)
    write_colmap(tmp_path / "p" / "sparse" / "0", poses)
    config = IngestConfig(keep_gps=keep)
    scene = load_scene(drain(ingest(tmp_path / "p", tmp_path / "out", config)))
    assert scene.metric
    apart = 12 * np.linalg.norm(centers[0] - centers[5])
    assert distance_in_world(scene, 0, 5) == pytest.approx(apart, rel=0.03)
    for photo in scene.photos:
        assert (read_info(photo.path).gps is not None) == keep
        assert (photo.gps is not None) == keep
        original = tmp_path / "p" / "images" / photo.name
        assert np.array_equal(read_image(photo.path), read_image(original))
    assert (scene.enu_from_world is not None) == keep
    if keep:
        matrix = scene.enu_from_world.numpy()
        assert np.cbrt(np.linalg.det(matrix[:3, :3])) == pytest.approx(1, abs=1e-9)
        assert scene.enu_origin[0] == pytest.approx(LAT, abs=0.01)


def test_a_scene_is_a_source_and_keeps_its_frame(tmp_path):
    poses = cameras(6)
    write_posed(tmp_path / "p", [photograph(pose) for pose in poses], poses)
    named = ("0.png:100,100+5.png:100,100", "0.png:300,200+5.png:300,200", 1.7)
    first = load_scene(
        drain(ingest(tmp_path / "p", tmp_path / "a", IngestConfig(scale_distance=named)))
    )
    again = load_scene(drain(ingest(tmp_path / "a", tmp_path / "b")))
    assert again.metric
    assert [p.held_out for p in again.photos] == [p.held_out for p in first.photos]
    for one, other in zip(first.photos, again.photos, strict=True):
        assert np.abs(one.viewmat.numpy() - other.viewmat.numpy()).max() < 1e-9
        assert np.abs(one.K.numpy() - other.K.numpy()).max() < 1e-9
