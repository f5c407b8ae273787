"""A real browser: headless Chromium, at a desk's width and at a phone's, with axe-core looking too."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright

from idp.foundation.web.transactions import work as a_request
from tests.databases import Place
from tests.mail import Outbox
from tests.serving import a_provider

WIDTHS = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 800}}
PICTURES = Path(__file__).resolve().parents[2] / "var" / "pictures"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("Chromium is not installed (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def provider(place: Place) -> Iterator[tuple[Flask, str]]:
    """The identity provider, served, with the fictional school register."""
    from idp.schools import refresh

    with a_provider(place) as (app, issuer):
        with a_request(app):
            refresh.run(app.extensions["idp"].settings.schools.sample)
        yield app, issuer


@pytest.fixture
def letters(provider: tuple[Flask, str]) -> Outbox:
    """What the served provider has written to be sent."""
    return Outbox(lambda: _session(provider[0]))


def _session(app: Flask) -> Any:
    from contextlib import contextmanager

    from idp.foundation import database

    @contextmanager
    def one() -> Iterator[Any]:
        with a_request(app):
            yield database.session()

    return one()


@pytest.fixture(params=sorted(WIDTHS))
def width(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def a_window(chromium: Browser, width: str) -> Iterator[Callable[[], Page]]:
    """`a_window()` is another browser, with cookies of its own; nothing it shows may log an error."""
    contexts, faults = [], []

    def open_one(**differs: Any) -> Page:
        context = chromium.new_context(viewport=WIDTHS[width], **differs)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        return page

    yield open_one
    for context in contexts:
        context.close()
    strange = [fault for fault in faults if "status of 4" not in fault]
    assert strange == [], "the browser's console complains"


@pytest.fixture
def page(a_window: Callable[[], Page]) -> Page:
    return a_window()


@pytest.fixture
def looks_right(width: str) -> Callable[[Page, str], None]:
    """`looks_right(page, "sign-in")`: axe finds nothing, nothing is wider than the window; keeps a picture."""

    def check(page: Page, name: str) -> None:
        if os.environ.get("PICTURES"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(PICTURES / f"{name}-{width}.png"), full_page=True)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        assert found.violations_count == 0, found.generate_report()
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than a {width}"
        assert re.search(r"\S", page.title())

    return check
