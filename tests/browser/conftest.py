"""A real browser (headless Chromium), and a provider and a partner that are served over HTTP.

There is one provider and one partner for the whole run; every test takes schools that no other test has used. Pages
are checked by axe-core in the light scheme at a computer's width and in the dark scheme at a phone's. `PICTURES=1`
keeps screenshots of all four combinations in var/pictures.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, ViewportSize, expect, sync_playwright
from sqlalchemy import select
from sqlalchemy.orm import Session

from idp.estabs import accounts
from idp.foundation import database, runtime
from idp.foundation.web import transactions
from idp.schools import files, refresh, status
from idp.schools.models import School
from tests import chromium as installed_chromium
from tests.actors import Operator, Partner, RegisterEntry, SchoolAdmin
from tests.browser.assembly import receive_mail, serve_partner, serve_xporter
from tests.conftest import TransactionFactory
from tests.databases import Databases
from tests.mail import Outbox
from tests.serving import ServedProvider, a_provider

TIMEOUT_MS = 60_000
"""Milliseconds until a wait fails. Generous, because a busy machine is slow; a wait ends as soon as its condition
holds.
"""

expect.set_options(timeout=TIMEOUT_MS)

WIDTHS = {"desktop": ViewportSize(width=1280, height=900), "phone": ViewportSize(width=375, height=800)}
ZOOMED_WINDOW = ViewportSize(width=320, height=256)
"""A computer's window at a zoom of 400 %, in which a page may not scroll in two directions (WCAG 1.4.10)."""

SCHEMES = ("light", "dark")
PICTURES_WANTED = bool(os.environ.get("PICTURES"))
PICTURES = Path(__file__).resolve().parents[2] / "var" / "pictures"
BROWSER_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--in-process-gpu",
]  # fmt: skip
"""One process less, for drawing, takes a twentieth of the processor time."""
AXE = Axe().axe_script
OPTIONS = {"resultTypes": ["violations"], "preload": False}
"""No preloading: axe would fetch our @import from a wrong URL."""
ALL_RULES = {**OPTIONS, "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_VISUAL_RULES = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
VISUAL_RULES = {**OPTIONS, "runOnly": {"type": "rule", "values": _VISUAL_RULES}}
"""The rules whose outcome depends on the colour scheme or on the width; running all again would double the time."""
AXE_RULES = {("desktop", "light"): ALL_RULES, ("phone", "dark"): VISUAL_RULES}

IGNORE_OPEN_FILES = "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
"""Werkzeug's server leaves a static file open for the garbage collector when a browser is closed while it fetches it.
"""

CUT_CELLS = """() => [...document.querySelectorAll('td, th')].filter(cell => {
  if (getComputedStyle(cell.closest('thead') ?? cell).position === 'absolute') return false; // for screen readers
  const section = cell.closest('table').parentElement.closest('section, article, main');
  const { paddingRight, borderRightWidth } = getComputedStyle(section);
  const end = section.getBoundingClientRect().right - parseFloat(paddingRight) - parseFloat(borderRightWidth);
  const text = document.createRange();
  text.selectNodeContents(cell);
  return [cell, text].some(box => box.getBoundingClientRect().right > end + 1);
}).map(cell => cell.textContent.trim())"""
"""The cells of tables that reach beyond the card that contains them, so that their text is cut off."""

DIVIDED_CELLS = """() => [...document.querySelectorAll('td')].filter(cell =>
  getComputedStyle(cell).display === 'flex'
  && [...cell.childNodes].filter(node => node.nodeType === Node.ELEMENT_NODE || node.textContent.trim()).length > 1
).map(cell => cell.textContent.trim())"""
"""The cells of tables in which a text and a badge or link become columns on a phone. A `span` keeps them together."""

PAGE_READY = """() => document.readyState !== "loading"
    && [...document.querySelectorAll("link[rel=stylesheet]")].every(link => link.sheet)"""
"""True when the document is parsed, title included, and its stylesheets are loaded. A click returns when the next one
has begun, which may still be empty. The load event is no help: a page that redirects by itself never has one."""

NewWindow = Callable[..., Page]
CheckPage = Callable[[Page, str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.filterwarnings(IGNORE_OPEN_FILES))


@pytest.fixture(scope="session", autouse=True)
def _collect_open_files() -> Iterator[None]:
    """Collect files that were left open (`IGNORE_OPEN_FILES`) after the last test, so that none is blamed for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = installed_chromium.program()
    if program is None:
        pytest.fail(f"Chromium is not installed (Debian: {installed_chromium.HEADLESS_SHELL})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=BROWSER_OPTIONS, timeout=3 * TIMEOUT_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def provider(databases: Databases) -> Iterator[ServedProvider]:
    """The identity provider, served, with the fictional school register."""
    with a_provider(databases) as (app, issuer):
        schools = runtime.for_app(app).settings.schools
        with transactions.transaction(app), files.open_sources(schools.sample, schools.sample_links) as sample:
            refresh.run(sample)
        yield ServedProvider(app, issuer)


@pytest.fixture
def issuer(provider: ServedProvider) -> str:
    return provider.issuer


@pytest.fixture(scope="session")
def transaction(provider: ServedProvider) -> TransactionFactory:
    """`with transaction() as session:` is a transaction on the served provider's database."""

    @contextmanager
    def open_transaction() -> Iterator[Session]:
        with transactions.transaction(provider.app):
            yield database.session()

    return open_transaction


@pytest.fixture(scope="session")
def outbox(transaction: TransactionFactory) -> Outbox:
    """What the served provider has written to be sent."""
    return Outbox(transaction)


class ReceivedMail(NamedTuple):
    """The Maildir in which mail arrives, and the port of its SMTP server."""

    folder: Path
    port: int


@pytest.fixture(scope="session")
def partner_mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedMail]:
    """A server for the mail of partners' applications."""
    folder = tmp_path_factory.mktemp("mail") / "maildir"
    with receive_mail(folder) as port:
        yield ReceivedMail(folder, port)


@pytest.fixture(scope="session")
def partner_resource(
    provider: ServedProvider, transaction: TransactionFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the API that has schools' data."""
    with serve_xporter(provider.issuer, transaction, tmp_path_factory.mktemp("xporter")) as url:
        yield url


@pytest.fixture(scope="session")
def partner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Assembly's database and keys."""
    return tmp_path_factory.mktemp("assembly")


@pytest.fixture(scope="session")
def partner(
    provider: ServedProvider,
    transaction: TransactionFactory,
    partner_folder: Path,
    partner_mail: ReceivedMail,
    partner_resource: str,
) -> Iterator[Partner]:
    """Assembly as it is run, registered here by its own manifest."""
    port = partner_mail.port
    with serve_partner(provider.issuer, transaction, partner_folder, smtp_port=port, resource=partner_resource) as url:
        yield Partner("Assembly", url)


@pytest.fixture(scope="session")
def operator(transaction: TransactionFactory) -> Operator:
    return Operator(transaction)


@pytest.fixture(scope="session")
def schools(transaction: TransactionFactory) -> Iterator[RegisterEntry]:
    """Open schools without an account, from the end of the register: tests use those at its beginning by name."""
    with transaction() as session:
        last_first = session.scalars(select(School).order_by(School.id.desc())).all()
        entries = [
            RegisterEntry.from_school(school)
            for school in last_first
            if school.dfe_number and not status.reason_not_to_register(school)
        ]

    def is_free(entry: RegisterEntry) -> bool:
        with transaction():
            return accounts.find_by_school(entry.id) is None

    return filter(is_free, entries)


@pytest.fixture
def new_window(chromium: Browser) -> Iterator[NewWindow]:
    """`new_window("phone")` is another browser, with cookies of its own; nothing it shows may log an error."""
    contexts, errors = [], []

    def record_response(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            errors.append(f"{response.status} for {response.url}")

    def record_console_error(message: ConsoleMessage) -> None:
        if (
            message.type == "error" and "Failed to load resource" not in message.text
        ):  # `record_response` decides which of those matter
            errors.append(message.text)

    def open_window(width: str = "desktop", **overrides: Any) -> Page:
        context = chromium.new_context(viewport=WIDTHS[width], reduced_motion="reduce", **overrides)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("response", record_response)
        context.on("console", record_console_error)
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert errors == [], "errors in the browser's console"


@pytest.fixture
def stop_page_clock() -> Callable[[Page], None]:
    """`stop_page_clock(page)` stops the page's clock until `page.clock.run_for(…)`."""

    def stop(page: Page) -> None:
        page.clock.install()
        page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))  # the clock can only be set forward

    return stop


@pytest.fixture
def page(new_window: NewWindow) -> Page:
    return new_window()


@pytest.fixture
def an_admin(
    new_window: NewWindow, issuer: str, outbox: Outbox, schools: Iterator[RegisterEntry]
) -> Callable[..., SchoolAdmin]:
    """`an_admin()` is a person at a school that has not registered, with a browser of their own."""

    def make(school: RegisterEntry | None = None, *, width: str = "desktop", **overrides: Any) -> SchoolAdmin:
        window = overrides.pop("page", None) or new_window(width)
        return SchoolAdmin(page=window, issuer=issuer, outbox=outbox, school=school or next(schools), **overrides)

    return make


@pytest.fixture
def a_member(an_admin: Callable[..., SchoolAdmin], transaction: TransactionFactory) -> Callable[..., SchoolAdmin]:
    """`a_member()` is a person who has an account, by default as the owner of a verified school."""

    def make(*, state: str = "verified", role: str = "owner", **overrides: Any) -> SchoolAdmin:
        admin = an_admin(**overrides)
        with transaction():
            admin.create_account(state=state, role=role)
        return admin

    return make


@pytest.fixture
def check_page() -> CheckPage:
    """`check_page(page, "sign-in")` checks that axe reports no violation and that nothing is wider than the window."""

    def check(page: Page, name: str) -> None:
        _wait_until(page, PAGE_READY)
        page.evaluate("document.fonts.ready.then(() => true)")
        assert page.title().strip()
        original_size = page.viewport_size or WIDTHS["desktop"]
        page.evaluate(AXE)
        for width, scheme in product(WIDTHS, SCHEMES) if PICTURES_WANTED else AXE_RULES:
            _resize(page, WIDTHS[width])
            page.emulate_media(color_scheme=scheme)
            _check(page, name, width, scheme)
            if width == "phone":
                assert page.evaluate(CUT_CELLS) == [], f"{name}: cells of a table are cut off"
                assert page.evaluate(DIVIDED_CELLS) == [], f"{name}: cells of a table are divided into columns"
        _resize(page, ZOOMED_WINDOW)
        _assert_fits_window(page, name)
        _resize(page, original_size)
        page.emulate_media(color_scheme="light")

    return check


def _resize(page: Page, size: ViewportSize) -> None:
    if page.viewport_size == size:  # most pages begin as a computer's, and a resize takes as long as a click
        return
    page.set_viewport_size(size)
    _wait_until(page, "width => window.innerWidth === width", size["width"])


def _wait_until(page: Page, condition: str, argument: object = None) -> None:
    """Wait for a condition that usually holds already: it is polled only where it does not."""
    if not page.evaluate(condition, argument):
        page.wait_for_function(condition, arg=argument)


def _assert_fits_window(page: Page, name: str) -> None:
    excess_width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert excess_width <= 0, f"{name} is {excess_width} pixels wider than a window of {page.viewport_size}"


def _check(page: Page, name: str, width: str, scheme: str) -> None:
    if PICTURES_WANTED:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(PICTURES / f"{name}-{width}-{scheme}.png"), full_page=True)
    _assert_fits_window(page, name)
    if rules := AXE_RULES.get((width, scheme)):
        violations = page.evaluate("rules => axe.run(document, rules).then(({violations}) => violations)", rules)
        errors = [
            f"{error['id']}: {error['help']}\n  {node['html']}" for error in violations for node in error["nodes"]
        ]
        assert not errors, "\n".join([f"axe, {name}, {width}, {scheme}", *errors])
