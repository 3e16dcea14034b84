"""The sample photo set: its budget, and that its cameras, depth, mesh and photos tell one story."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from plyfile import PlyData

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
PHOTOS = sorted((SAMPLE / "photos").iterdir())
TRUTH = json.loads((SAMPLE / "truth" / "cameras.json").read_text())
VIEWMATS = np.array([frame["viewmat"] for frame in TRUTH["frames"]])
CHECKED = (0, 13, 26, len(VIEWMATS) - 1)


def project(points: np.ndarray, viewmat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel coordinates [N, 2] of the photo and camera z [N] of world points [N, 3]."""
    local = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    focal = np.array([TRUTH["fx"], TRUTH["fy"]])
    return local[:, :2] / local[:, 2:] * focal + (TRUTH["cx"], TRUTH["cy"]), local[:, 2]


def load_photo(index: int) -> np.ndarray:
    """Return a photo as float64 [H, W, 3] in 0..1."""
    return np.asarray(Image.open(PHOTOS[index]).convert("RGB")) / 255.0


def load_depth(index: int) -> np.ndarray:
    """Return the stored camera z in metres [H / divisor, W / divisor]."""
    path = SAMPLE / "truth" / "depth" / PHOTOS[index].with_suffix(".png").name
    return np.asarray(Image.open(path)).astype(float) * TRUTH["depth"]["unit_metres"]


@pytest.fixture(scope="module")
def surface_points() -> np.ndarray:
    """Points [N, 3] spread evenly over the mesh, about 10 mm apart and closer."""
    ply = PlyData.read(SAMPLE / "truth" / "mesh.ply")
    vertices = np.stack([ply["vertex"][axis] for axis in "xyz"], -1).astype(float)
    corners = vertices[np.stack(ply["face"]["vertex_indices"])]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(a, b), axis=1) / 2
    rng = np.random.default_rng(0)
    triangle = rng.choice(len(area), 2_000_000, p=area / area.sum())
    s, t = rng.uniform(size=(2, len(triangle), 1))
    s, t = np.where(s + t > 1, (1 - s, 1 - t), (s, t))
    return corners[triangle, 0] + s * a[triangle] + t * b[triangle]


def test_photos_keep_the_budget():
    assert [p.name for p in PHOTOS] == [frame["name"] for frame in TRUTH["frames"]]
    assert 32 <= len(PHOTOS) <= 40
    assert sum(p.stat().st_size for p in PHOTOS) <= 6e6
    assert sum(p.stat().st_size for p in (SAMPLE / "truth").rglob("*.*")) <= 7e6


def test_exif_focal_length_is_the_true_one():
    for path in PHOTOS:
        photo = Image.open(path)
        details = photo.getexif().get_ifd(0x8769)
        assert photo.size == (TRUTH["width"], TRUTH["height"])
        assert (photo.getexif()[0x010F], photo.getexif()[0x0110]) == ("splatkit", "virtual camera")
        assert details[0x920A] == details[0xA405] == 35
        assert details[0xA405] / 36 * photo.width == pytest.approx(TRUTH["fx"])


def test_cameras_are_rigid_upright_and_look_at_the_table():
    rotations = VIEWMATS[:, :3, :3]
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-7)
    assert np.allclose(np.linalg.det(rotations), 1)
    assert np.allclose(VIEWMATS[:, 3], (0, 0, 0, 1))
    assert np.allclose(rotations[:, 0, 1], 0, atol=1e-7), "a camera is not level"
    assert (rotations[:, 1, 1] > 0.6).all(), "image down is not world down (y)"
    centres = -np.einsum("cji,cj->ci", rotations, VIEWMATS[:, :3, 3])
    assert (centres[:, 1] < -0.2).all(), "a camera is not above the table (up is -y)"
    for viewmat in VIEWMATS:
        pixel, z = project(np.zeros((1, 3)), viewmat)
        assert z > 1
        assert np.abs(pixel - (TRUTH["cx"], TRUTH["cy"])).max() < 150


@pytest.mark.parametrize("index", CHECKED)
def test_mesh_seen_by_the_camera_is_the_stored_depth(index, surface_points):
    """The nearest mesh point in each depth pixel (a z-buffer of points) has the stored depth."""
    depth = load_depth(index)
    height, width = depth.shape
    divisor = TRUTH["depth"]["divisor"]
    assert (width * divisor, height * divisor) == (TRUTH["width"], TRUTH["height"])
    pixel, z = project(surface_points, VIEWMATS[index])
    column, row = np.floor(pixel / divisor).astype(int).T
    seen = (z > 0.05) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    nearest = np.full(depth.shape, np.inf)
    np.minimum.at(nearest, (row[seen], column[seen]), z[seen])
    hit = np.isfinite(nearest)
    error = np.abs(nearest[hit] / depth[hit] - 1)
    assert hit.mean() > 0.5
    assert np.median(error) < 0.01
    assert np.mean(error < 0.03) > 0.7
    mirrored = np.abs(nearest[:, ::-1][hit[:, ::-1]] / depth[hit[:, ::-1]] - 1)
    assert np.median(mirrored) > 3 * np.median(error), "the test would not see a mirrored camera"


@pytest.mark.parametrize("index", CHECKED[:-1])
def test_photos_agree_with_the_depth_and_cameras(index):
    """A photo warped into its neighbour by depth and cameras shows the same picture."""
    depth, divisor = load_depth(index), TRUTH["depth"]["divisor"]
    height, width = depth.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    first = np.stack([x, y], -1).reshape(-1, 2) * divisor + divisor / 2
    z = depth.reshape(-1, 1)
    local = np.hstack([(first - (TRUTH["cx"], TRUTH["cy"])) / (TRUTH["fx"], TRUTH["fy"]) * z, z])
    here, there = VIEWMATS[index], VIEWMATS[index + 1]
    second, expected = project((local - here[:3, 3]) @ here[:3, :3], there)
    column, row = np.floor(second).astype(int).T
    inside = (column >= 0) & (column < TRUTH["width"]) & (row >= 0) & (row < TRUTH["height"])
    stored = load_depth(index + 1)[row[inside] // divisor, column[inside] // divisor]
    visible = np.abs(stored / expected[inside] - 1) < 0.01
    assert visible.mean() > 0.6
    a = load_photo(index).reshape(height, divisor, width, divisor, 3).mean((1, 3)).reshape(-1, 3)
    b = load_photo(index + 1)
    b = b.reshape(height, divisor, width, divisor, 3).mean((1, 3))
    picked = b[row[inside] // divisor, column[inside] // divisor][visible]
    correlation = np.corrcoef(a[inside][visible].ravel(), picked.ravel())[0, 1]
    assert correlation > 0.9
    unmoved = np.corrcoef(a.ravel(), b.reshape(-1, 3).ravel())[0, 1]
    assert unmoved < correlation - 0.2, "the test would not see wrong cameras"


def test_the_sign_reads_from_left_to_right():
    """The sign cut out of a photo by its true corners matches the text, not the mirrored text."""
    index = len(PHOTOS) // 2
    corners, _ = project(np.array(TRUTH["sign_corners"]), VIEWMATS[index])
    size = (300, 134)
    target = np.array([(0, 0), (size[0], 0), size, (0, size[1])], float)
    rows = []
    for (u, v), (x, y) in zip(target, corners, strict=True):
        rows += [(u, v, 1, 0, 0, 0, -u * x, -v * x), (0, 0, 0, u, v, 1, -u * y, -v * y)]
    homography = np.linalg.solve(np.array(rows), corners.ravel())
    photo = Image.open(PHOTOS[index]).convert("L")
    cut = photo.transform(size, Image.Transform.PERSPECTIVE, tuple(homography))
    text = Image.new("L", size)
    font = ImageFont.load_default(52)
    ImageDraw.Draw(text).text((150, 56), "SPLATKIT", 255, font, anchor="mm", stroke_width=2)
    a, b = np.asarray(cut, float)[30:82], np.asarray(text, float)[30:82]
    upright = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    mirrored = np.corrcoef(a[:, ::-1].ravel(), b.ravel())[0, 1]
    assert upright > 0.6
    assert upright > mirrored + 0.3
