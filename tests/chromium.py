"""A real browser for the tests that need one: the system's Chromium through Playwright.

``SPLATKIT_CHROMIUM`` names the program where it is not on the path under one of the usual names.
Playwright's own download of a browser is not used: the package alone is enough.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Containers have little of the memory that Chromium would share between its processes.
    "--disable-dev-shm-usage",
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MILLISECONDS = 120_000
"""That anything may take on a machine with other things to do."""


@contextmanager
def chromium_page(width: int = 1280, height: int = 720) -> Iterator[Any]:
    """A Playwright page; skips the test where Chromium or Playwright is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    program = os.environ.get("SPLATKIT_CHROMIUM") or next(
        filter(None, map(shutil.which, PROGRAMS)), ""
    )
    if not program:
        pytest.skip(
            "needs Chromium on the path (apt-get install chromium) or named by SPLATKIT_CHROMIUM"
        )
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=program, args=list(ARGUMENTS), timeout=MILLISECONDS
        )
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(MILLISECONDS)
            yield page
        finally:
            browser.close()
