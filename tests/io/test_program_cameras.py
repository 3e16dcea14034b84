"""Cameras that RealityCapture and Metashape export, and those that we write for others."""

import math

import numpy as np
import pytest
from PIL import Image

from splatkit.core import SplatkitError
from splatkit.io.camera_files import write_cameras
from splatkit.io.colmap import read_model
from splatkit.io.metashape import is_metashape, read_metashape
from splatkit.io.realitycapture import is_realitycapture, read_realitycapture
from splatkit.io.scene import load_scene
from splatkit.io.transforms import read_frames
from tests.scenes import write_run

HEAD = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n"
SIZE = (400, 300)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("IMG_1.JPG", "sub/IMG_2.jpg"):
        Image.new("RGB", SIZE).save(tmp_path / "images" / name)
    return tmp_path / "images"


def test_realitycapture(tmp_path, photos):
    """North is y, up is z: level looking north, straight down, and level looking east."""
    file = tmp_path / "cameras.csv"
    file.write_text(
        HEAD + "C:\\photos\\IMG_1.jpg,10,20,5,0,90,0,36,0.01,-0.02,0.1,0.02,0.003,0,0.001,0.002\n"
        "IMG_2.jpg,0,0,9,0,0,0,24,0,0,0,0,0,0,0,0\nnone.jpg,0,0,0,0,0,0,24,0,0,0,0,0,0,0,0\n"
    )
    assert is_realitycapture(file)
    frames, missing = read_realitycapture(file, photos)
    assert [frame.name for frame in frames] == ["IMG_1.JPG", "sub/IMG_2.jpg"]
    assert missing == ["none.jpg"]
    north, down = (frame.camera_from_world for frame in frames)
    assert np.allclose(north[2, :3], (0, 1, 0), atol=1e-12)  # forward
    assert np.allclose(north[1, :3], (0, 0, -1), atol=1e-12)  # down
    assert np.allclose(np.linalg.inv(north)[:3, 3], (10, 20, 5))
    assert np.allclose(down[2, :3], (0, 0, -1), atol=1e-12)
    lens = frames[0].lens
    assert lens.focal_and_center == pytest.approx((400, 400, 204, 142))
    assert [lens[k] for k in ("k1", "k2", "k3", "p1", "p2")] == [0.1, 0.02, 0.003, 0.001, 0.002]
    file.write_text(HEAD + "IMG_1.jpg,0,0,0,90,90,0,36,0,0,0,0,0,0,0,0\n")
    east = read_realitycapture(file, photos)[0][0].camera_from_world
    assert np.allclose(east[2, :3], (1, 0, 0), atol=1e-12)


def metashape(transform, calibration="<f>380</f><cx>4</cx><cy>-3</cy><k1>0.1</k1><p1>0.01</p1>"):
    return (
        '<?xml version="1.0"?><document version="1.5"><chunk><sensors><sensor id="0" type="frame">'
        '<resolution width="400" height="300"/><calibration type="frame" class="adjusted">'
        f"{calibration}</calibration></sensor></sensors><cameras>"
        f'<group><camera id="0" sensor_id="0" label="IMG_1"><transform>{transform}</transform>'
        '</camera></group><camera id="1" sensor_id="0" label="IMG_2"/>'
        f'<camera id="2" sensor_id="0" label="none.jpg"><transform>{transform}</transform></camera>'
        "</cameras></chunk></document>"
    )


def test_metashape(tmp_path, photos):
    file = tmp_path / "cameras.xml"
    angle = 0.3
    turn = np.eye(4)
    turn[:3, :3] = [
        [math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)],
    ]  # fmt: skip
    turn[:3, 3] = 1, 2, 3
    file.write_text(metashape(" ".join(map(str, turn.ravel()))))
    assert is_metashape(file)
    assert not is_realitycapture(file)
    frames, missing = read_metashape(file, photos)
    assert [frame.name for frame in frames] == ["IMG_1.JPG"]
    assert missing == ["none.jpg"]
    assert np.allclose(np.linalg.inv(frames[0].camera_from_world), turn)
    lens = frames[0].lens
    assert lens.focal_and_center == pytest.approx((380, 380, 204, 147))
    # Metashape's P1 belongs to x (r^2 + 2 x^2), which is OpenCV's second one.
    assert (lens["p1"], lens["p2"], lens["k1"]) == (0, 0.01, 0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (metashape("1 2 3"), "16 numbers"),
        (metashape("2 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"), "not a rotation"),
        (metashape("x"), "Metashape as XML"),
        ("<document><chunk>", "Metashape as XML"),
        (metashape(" ".join(map(str, np.eye(4).ravel())), "<f>9</f><k4>1</k4>"), "k4 is 1"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><document/>', "entities"),
        (HEAD + "IMG_1.jpg,a,0,0,0,0,0,36,0,0,0,0,0,0,0,0\n", "line 2: expected numbers"),
        (HEAD + "IMG_1.jpg,0,0,0,0,0,0,,0,0,0,0,0,0,0,0\n", "line 2: expected numbers"),
        (HEAD + "no.jpg,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n", "none of its 1 photos"),
    ],
)
def test_damage_is_one_line(tmp_path, photos, text, words):
    file = tmp_path / ("a.csv" if text.startswith("#") else "a.xml")
    file.write_text(text)
    read = read_realitycapture if text.startswith("#") else read_metashape
    with pytest.raises(SplatkitError, match=words) as caught:
        read(file, photos)
    assert "\n" not in str(caught.value)


def test_what_we_write_reads_back(tmp_path):
    folder = write_run(tmp_path / "run") / "scene"
    scene = load_scene(folder)
    scene.photos[0].K[0, 0] *= 1.1
    written = write_cameras(scene, folder, ("tum", "colmap", "transforms", "tum"))
    assert [path.name for path in written] == ["cameras.tum.txt", "0", "transforms.json"]
    model = read_model(folder / "sparse" / "0")
    assert len(model.cameras) == 2
    assert len(model.points) == len(scene.points)
    frames, missing = read_frames(folder)
    assert missing == []
    table = np.loadtxt(folder / "cameras.tum.txt")
    for i, photo in enumerate(scene.photos):
        image, frame = model.images[i], frames[i]
        assert (folder / "images" / image.name) == photo.path
        assert np.abs(image.camera_from_world - photo.viewmat.numpy()).max() < 1e-9
        assert np.abs(frame.camera_from_world - photo.viewmat.numpy()).max() < 1e-9
        assert frame.lens.focal_and_center[0] == pytest.approx(float(photo.K[0, 0]))
        assert frame.split == ("test" if photo.held_out else "train")
        center = np.linalg.inv(photo.viewmat.numpy())[:3, 3]
        assert np.abs(table[i, 1:4] - center).max() < 1e-8
        x, y, z, w = table[i, 4:]
        forward = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
        assert np.abs(photo.viewmat[2, :3].numpy() - forward).max() < 1e-7
