from __future__ import annotations

import cv2
import numpy as np
import pytest
import segno

from splatkit.viewer import Library, Viewer
from splatkit.viewer import phone as phone_module
from splatkit.viewer.phone import Phone, code, own_address
from splatkit.viewer.recent import MOST, recent, remember
from tests.viewer.test_front import ask


def test_only_a_viewer_that_listens_in_the_network_has_an_address_for_phones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phone_module, "own_address", lambda: "192.168.1.20")
    assert Phone("127.0.0.1", 80, None).url() is None
    assert Phone("localhost", 80, "word").url() is None
    assert Phone("0.0.0.0", 8080, "word").url() == "http://192.168.1.20:8080/?token=word"
    assert Phone("192.168.1.7", 8080, None).url() == "http://192.168.1.7:8080/"
    monkeypatch.setattr(phone_module, "own_address", lambda: None)
    assert Phone("0.0.0.0", 8080, "word").url() is None
    assert own_address() is None or own_address().count(".") == 3  # type: ignore[union-attr]


def test_the_code_says_the_address() -> None:
    url = "http://192.168.1.20:8080/?token=Zm9vYmFy"
    assert code(url).startswith(b"<svg")
    # The same code as pixels, read by another library.
    modules = np.array([list(row) for row in segno.make(url, error="m").matrix], np.uint8)
    picture = np.pad(255 * (1 - modules), 4, constant_values=255).repeat(8, 0).repeat(8, 1)
    found, *_ = cv2.QRCodeDetector().detectAndDecode(picture)
    assert found == url


def test_the_page_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Viewer(Library([]), port=0) as viewer:
        assert ask(viewer, "/api/phone").json == {"url": None}
        assert "--host 0.0.0.0" in ask(viewer, "/api/phone.svg").json["error"]
    monkeypatch.setattr(phone_module, "own_address", lambda: "192.168.1.20")
    with Viewer(Library([]), host="0.0.0.0", port=0, token="a-word") as viewer:
        assert ask(viewer, "/api/phone").status == 401
        headers = {"Cookie": "splatkit_token=a-word"}
        told = ask(viewer, "/api/phone", **headers).json["url"]
        assert told == f"http://192.168.1.20:{viewer.port}/", "the token is in the picture alone"
        assert ask(viewer, "/api/phone.svg", **headers).body.startswith(b"<svg")


def test_what_was_looked_at_last_comes_first(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATKIT_CACHE", str(tmp_path / "cache"))
    assert recent() == []
    folders = [tmp_path / f"{index}" for index in range(MOST + 2)]
    for folder in folders:
        folder.mkdir()
        remember([folder])
    assert recent() == folders[:1:-1]
    remember([folders[5]])
    assert recent()[0] == folders[5]
    assert recent().count(folders[5]) == 1
    folders[5].rmdir()
    assert recent()[0] == folders[-1]
    (tmp_path / "cache" / "recent.json").write_text("{broken")
    assert recent() == []
    remember([folders[0]])
    assert recent() == [folders[0]]
