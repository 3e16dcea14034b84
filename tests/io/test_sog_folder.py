"""SOG in a folder, and SOG version 1: what older programs wrote."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Gaussians, SplatkitError
from splatkit.export import open_scene
from splatkit.io import info, read_gaussians, sog
from tests.io.format_cases import close, same_rotations, scene, survives


def save(path: Path, pixels: np.ndarray, width: int) -> None:
    rows = math.ceil(len(pixels) / width)
    whole = np.zeros((rows * width, pixels.shape[1]), np.uint8)
    whole[: len(pixels)] = pixels
    picture = Image.fromarray(whole.reshape(rows, width, -1))
    picture.save(path, "WEBP", lossless=True, exact=True)


def share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.round((values - low) / (high - low) * 255).astype(np.uint8)


def write_version_1(gaussians: Gaussians, folder: Path) -> Path:
    """As SuperSplat's programs wrote it in 2025: ranges instead of codebooks, no version."""
    count = len(gaussians)
    folder.mkdir()
    means = gaussians.means.numpy().astype(np.float64)
    logs = np.sign(means) * np.log1p(np.abs(means))
    words = np.round((logs - logs.min(0)) / np.ptp(logs, 0) * 65535).astype(np.int64)
    save(folder / "means_l.webp", words & 255, 8)
    save(folder / "means_u.webp", words >> 8, 8)
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1).numpy()
    place = np.abs(unit).argmax(1)
    unit = unit * np.sign(unit[np.arange(count), place])[:, None]
    others = np.stack([np.delete(q, p) for q, p in zip(unit, place, strict=True)])
    packed = np.round((others * math.sqrt(0.5) + 0.5) * 255)
    save(folder / "quats.webp", np.concatenate((packed, 252 + place[:, None]), 1), 8)
    scales = gaussians.log_scales.numpy()
    save(folder / "scales.webp", share(scales, scales.min(0), scales.max(0)), 8)
    base = torch.cat((gaussians.sh[:, 0], gaussians.logit_opacities[:, None]), 1).numpy()
    save(folder / "sh0.webp", share(base, base.min(0), base.max(0)), 8)
    rest = gaussians.sh[:, 1:].numpy()
    labels = np.arange(count)
    save(folder / "labels.webp", np.stack((labels & 255, labels >> 8, 0 * labels), 1), 8)
    places = share(rest, rest.min(), rest.max()).reshape(-1, 3)
    save(folder / "centroids.webp", places, 64 * rest.shape[1])

    def part(values: np.ndarray, *files: str) -> dict:
        ranges = {"mins": values.min(0).tolist(), "maxs": values.max(0).tolist()}
        return {"shape": list(values.shape), "dtype": "float32", "files": files} | ranges

    meta = {
        "means": part(logs, "means_l.webp", "means_u.webp"),
        "scales": part(scales, "scales.webp"),
        "quats": {"shape": [count, 4], "encoding": "quaternion_packed", "files": ["quats.webp"]},
        "sh0": part(base, "sh0.webp"),
        "shN": part(rest.reshape(-1), "centroids.webp", "labels.webp"),
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder / "meta.json"


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_version_1(tmp_path, degree):
    written = scene(50, degree)
    path = write_version_1(written, tmp_path / "scene")
    read = read_gaussians(path)
    close(read.means, written.means, 1e-3)
    same_rotations(read.quats, written.quats, 0.02)
    half_step = 0.5 / 255 * torch.ones(1)
    for name in ("log_scales", "logit_opacities", "sh"):
        values = getattr(written, name)
        span = float(values.amax() - values.amin())
        close(getattr(read, name), values, half_step * span)
    told = info(path)
    assert (told["version"], told["num_gaussians"]) == (1, 50)
    assert told["bytes"] == sum(file.stat().st_size for file in path.parent.iterdir())


def unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / "meta.json"


def test_a_folder_is_read_like_the_archive(tmp_path):
    sog.write(scene(40, 2, antialiased=True), tmp_path / "a.sog")
    whole = read_gaussians(tmp_path / "a.sog")
    path = unpacked(tmp_path / "a.sog", tmp_path / "folder")
    scenes = (read_gaussians(path), read_gaussians(path.parent), open_scene(path.parent).gaussians)
    for read in scenes:
        assert torch.equal(read.sh, whole.sh)
        assert torch.equal(read.means, whole.means)
        assert read.antialiased
    assert info(path.parent)["version"] == 2


@pytest.mark.parametrize("name", [
    "../quats.webp", "/etc/hostname", "folder/quats.webp", "link.webp", "C:\\a.webp", "",
])  # fmt: skip
def test_nothing_outside_the_folder_is_opened(tmp_path, name):
    sog.write(scene(9, 0), tmp_path / "a.sog")
    path = unpacked(tmp_path / "a.sog", tmp_path / "folder")
    (path.parent / "quats.webp").rename(tmp_path / "quats.webp")
    (path.parent / "link.webp").symlink_to(tmp_path / "quats.webp")
    meta = json.loads(path.read_text())
    meta["quats"]["files"] = [name]
    path.write_text(json.dumps(meta))
    with pytest.raises(SplatkitError, match="expected pictures in its own folder"):
        read_gaussians(path)


def test_missing_and_damaged_pictures(tmp_path):
    path = write_version_1(scene(20, 1), tmp_path / "scene")
    good = path.read_bytes()
    assert 20 < survives(sog.read, path, good, 150) < 150
    meta = json.loads(good)
    meta["scales"]["mins"] = [1, 2]
    path.write_text(json.dumps(meta))
    with pytest.raises(SplatkitError, match="scales has 2 ranges"):
        read_gaussians(path)
    path.write_bytes(good)
    (path.parent / "sh0.webp").unlink()
    with pytest.raises(SplatkitError, match=r"expected sh0\.webp beside it"):
        read_gaussians(path)
