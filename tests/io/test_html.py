"""Scenes as web pages: what comes back, what the file holds, and what it must never hold."""

from __future__ import annotations

import json
import re
import warnings

import pytest
import torch

from splatkit.core import Cameras, Gaussians, SplatkitError, UsageError, intrinsics
from splatkit.io import html, info, read_gaussians, write_gaussians
from splatkit.io.html import NamedView, Tour
from tests.io.format_cases import close, order_of, same_rotations, scene, survives

MOST_SCRIPT_BYTES = 60_000
"""That a page may have beside its scene."""


def camera(name: str = "front") -> NamedView:
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, 3] = torch.tensor([0.5, -0.25, 3.0])
    return NamedView(name, Cameras(viewmat[None], intrinsics(90, 95, 50, 40)[None], 100, 80))


def described(path) -> dict:
    """The JSON that the page finds."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("antialiased", [False, True])
def test_what_is_written_comes_back(tmp_path, degree, antialiased):
    before = scene(600, degree, antialiased=antialiased)
    write_gaussians(before, tmp_path / "a.html")
    after = read_gaussians(tmp_path / "a.html")
    assert (len(after), after.sh_degree, after.antialiased) == (600, degree, antialiased)
    before = before[order_of(before, after)]
    smallest = float(before.scales.amax(1).median())
    close(after.means, before.means, smallest / 512)
    same_rotations(after.quats, before.quats, 0.006)
    close(after.log_scales, before.log_scales, 0.5 / 64)
    close(after.opacities, before.opacities, 0.5 / 255 + 1e-6)
    close(after.sh[:, :1], before.sh[:, :1], 0.5 / 255 / 0.282)
    close(after.sh[:, 1:], before.sh[:, 1:], 0.5 / 64)


def test_one_glowing_gaussian_does_not_coarsen_the_others(tmp_path):
    before = scene(2000, 1)
    before.sh[7, 1:] = 9.0
    write_gaussians(before, tmp_path / "a.html")
    after = read_gaussians(tmp_path / "a.html")
    difference = (after.sh - before.sh[order_of(before, after)]).abs().flatten(1).amax(1)
    assert float(difference.max()) <= 9.0 / 127
    assert int((difference > 0.01).sum()) <= 256


def test_far_floaters_do_not_coarsen_the_centers(tmp_path):
    before = scene(500, 0)
    before.means[3] = torch.tensor([4e4, -3e4, 2e4])
    write_gaussians(before, tmp_path / "a.html")
    after = read_gaussians(tmp_path / "a.html")
    near = after.means.abs().amax(1) < 1e3
    distances = torch.cdist(after.means[near].double(), before.means.double()).amin(1)
    assert float(distances.max()) < 1e-3


@pytest.mark.parametrize("count", [0, 1, 256, 257])
def test_every_number_of_gaussians(tmp_path, count):
    write_gaussians(scene(count, 2), tmp_path / "a.html")
    assert len(read_gaussians(tmp_path / "a.html")) == count


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_gaussians(scene(), tmp_path / name / "scene.html")
    first, second = ((tmp_path / name / "scene.html").read_bytes() for name in "ab")
    assert first == second


def test_info(tmp_path):
    html.write(scene(40, 2), tmp_path / "a.html", tour=Tour(title="A room", views=[camera()]))
    told = info(tmp_path / "a.html")
    assert (told["format"], told["title"], told["views"]) == ("HTML", "A room", 1)
    assert (told["num_gaussians"], told["sh_degree"]) == (40, 2)


def test_the_page_is_told_where_to_look_from(tmp_path):
    path = Cameras(
        torch.eye(4, dtype=torch.float64).repeat(3, 1, 1),
        intrinsics(9, 9, 5, 4).repeat(3, 1, 1), 10, 8,
    )  # fmt: skip
    tour = Tour(views=[camera()], path=path, seconds=7.0, closed=True, background=(1.0, 0.5, 0.0))
    html.write(scene(), tmp_path / "a.html", tour=tour)
    told = described(tmp_path / "a.html")
    (view,) = told["views"]
    assert view["name"] == "front"
    assert view["position"] == pytest.approx([-0.5, 0.25, -3.0])
    assert view["rotation"] == pytest.approx([1, 0, 0, 0])
    assert view["lens"] == [90, 95, 50, 40, 100, 80]
    assert (len(told["path"]["cameras"]), told["path"]["seconds"], told["path"]["closed"]) == (
        3, 7.0, True,
    )  # fmt: skip
    assert told["background"] == [1.0, 0.5, 0.0]


def test_without_a_tour_the_middle_of_the_scene_is_told(tmp_path):
    before = scene(2000, 0)
    before.means[:20] += 1e4
    write_gaussians(before, tmp_path / "room.html")
    told = described(tmp_path / "room.html")
    assert told["title"] == "room"
    assert told["focus"] == pytest.approx([1, -2, 4], abs=0.5)
    assert 1 < told["radius"] < 6


NASTY = '</script><script>alert("x")</script><!--<b>&amp;\u2028{{script}}{{splats}}'


def test_names_cannot_break_out_of_the_page(tmp_path):
    write_gaussians(scene(5, 0), tmp_path / "plain.html")
    html.write(scene(5, 0), tmp_path / "a.html", tour=Tour(title=NASTY, views=[camera(NASTY)]))
    plain, text = ((tmp_path / n).read_text("utf-8") for n in ("plain.html", "a.html"))
    for tag in ("<script", "</script>", "<!--", "<b>", "<title>"):
        assert text.count(tag) == plain.count(tag), tag
    told = described(tmp_path / "a.html")
    assert told["title"] == told["views"][0]["name"] == NASTY
    assert len(read_gaussians(tmp_path / "a.html")) == 5


def test_script_is_small_and_reaches_for_nothing(tmp_path):
    write_gaussians(scene(0, 0), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    code = sum(len(body.encode()) for kind, body in scripts if "splats-" not in kind)
    print(f"{code} bytes of script, {len(text.encode())} bytes of page without a scene")
    assert 10_000 < code <= MOST_SCRIPT_BYTES
    assert not re.search(r"https?:|\bsrc=|import\s*\(|\bimport .* from|fetch\(", text)
    assert "default-src 'none'" in text


def test_modules_can_stand_in_one_script():
    files = html.sources()
    names: list[str] = []
    for module in html.MODULES:
        text = files[f"{module}.js"]
        own = re.sub(r"`.*?`", "", text, flags=re.DOTALL)  # shaders have names of their own
        names += re.findall(
            r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", own, re.M
        )
        for line in re.findall(r"^import .*", text, re.MULTILINE):
            # What is imported stands before; no name is changed on the way.
            imported = re.search(r'from "\./(\w+)\.js";$', line)
            assert imported, line
            assert html.MODULES.index(imported[1]) < html.MODULES.index(module)
            assert " as " not in line
    assert len(names) > 40
    assert len(names) == len(set(names)), "two modules use one name at their top"
    script = html.joined(files[f"{name}.js"] for name in html.MODULES)
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda page: page[: page.index(b"splats-colors") + 40], "damaged or cut short"),
        (lambda page: page.replace(b"splatkit-scene", b"other-scene"), "expected a scene file"),
        (lambda page: page.replace(b'"count":60', b'"count":61'), "expected"),
        (lambda page: page.replace(b'"count":60', b'"count":4000000000'), "hostile"),
        (lambda page: page.replace(b'"degree":1', b'"degree":7'), "impossible degree 7"),
        (lambda page: page.replace(b'"step":', b'"step":-'), "impossible count 60 or step -"),
        (lambda page: page.replace(b"splats-scales", b"splats-scaled"), "splats-scales"),
    ],
)
def test_damaged_pages_are_refused(tmp_path, damage, message):
    path = tmp_path / "a.html"
    write_gaussians(scene(60, 1), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SplatkitError, match=message):
        read_gaussians(path)


def test_random_damage_gives_a_scene_or_one_line(tmp_path):
    path = tmp_path / "a.html"
    write_gaussians(scene(30, 2), path)
    good = path.read_bytes()
    # The page's own text takes most of a small file: only what stands for the scene is of interest.
    start, end = good.index(b'id="scene"'), good.index(b'id="worker"')
    head, middle = good[: good.index(b"<style>")], good[start - 40 : end]
    assert 0 < survives(html.read, path, head + middle, 300) <= 300


def test_what_cannot_be_held_is_named(tmp_path):
    before = scene(10, 0)
    before = Gaussians(**before.parameters(), extra={"material": torch.zeros(10)})
    with pytest.warns(UserWarning, match="HTML does not hold the columns material"):
        html.write(before, tmp_path / "a.html")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html.write(scene(10, 4), tmp_path / "b.html")


def test_precision_of_the_harmonics(tmp_path):
    written = scene(300, 3)
    written.sh[:, 1:] *= 0.1
    errors = []
    for precision in ("low", "normal", "high"):
        html.write(written, tmp_path / "a.html", precision=precision)
        read = html.read(tmp_path / "a.html")
        order = order_of(written, read)
        errors.append(float((read.sh[:, 1:] - written.sh[order, 1:]).abs().max()))
    assert errors == pytest.approx([1 / 64, 1 / 128, 1 / 2048], rel=0.05)
    with pytest.raises(UsageError, match="precision: expected low, normal, high; got 'best'"):
        html.write(written, tmp_path / "a.html", precision="best")
