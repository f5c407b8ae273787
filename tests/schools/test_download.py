"""Downloading the register's files."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple

import pytest

from idp.foundation import clock as clocks
from idp.schools import download, files
from tests.schools.conftest import SAMPLE, SAMPLE_LINKS, refused


class Site:
    """A fake of the register's site: its files, and the requests that it received."""

    def __init__(self):
        self.files: dict[str, tuple[int, bytes]] = {}
        self.requests: list[str] = []
        self.cuts_off = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rsplit("/", 1)[1]
                site.requests.append(name)
                status, content = site.files.get(name, (404, b"<Error/>"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if site.cuts_off else content)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/public"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(change_settings):
    """Use a server on this machine in place of the register's site."""
    site = Site()
    change_settings(schools={"download_url": site.url})
    yield site
    site.close()


class FetchedRegister(NamedTuple):
    """The URL and the size of a register, and whether its links were fetched with it."""

    url: str
    size: int
    has_links: bool


@pytest.fixture
def fetch_register(app, site, clock):
    """`fetch_register()` downloads the newest register."""

    def fetch():
        with (
            app.app_context(),
            download.newest() as downloaded,
            files.open_sources(downloaded.register, downloaded.links) as sources,
        ):
            return FetchedRegister(downloaded.url, sources.schools.size, sources.links is not None)

    return fetch


def test_todays_file_is_downloaded_with_its_links(site, fetch_register):
    site.files["edubasealldata20260302.csv"] = 200, SAMPLE.read_bytes()
    site.files["links_edubasealldata20260302.csv"] = 200, SAMPLE_LINKS.read_bytes()

    assert fetch_register() == (f"{site.url}/edubasealldata20260302.csv", SAMPLE.stat().st_size, True)


@pytest.mark.parametrize("missing", [403, 404])
def test_the_file_of_an_earlier_day_is_downloaded_if_todays_is_missing(site, fetch_register, missing):
    site.files["edubasealldata20260302.csv"] = missing, b""
    site.files["edubasealldata20260227.csv"] = 200, SAMPLE.read_bytes()

    register = fetch_register()

    assert register.url.endswith("/edubasealldata20260227.csv")
    assert not register.has_links
    assert len(site.requests) == 5


def test_the_date_of_todays_file_is_the_day_in_london(site, fetch_register):
    site.files["edubasealldata20260702.csv"] = 200, SAMPLE.read_bytes()

    with clocks.fixed(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)):
        assert fetch_register().url.endswith("20260702.csv")


def test_without_a_file_for_four_days_the_error_says_what_to_do(site, fetch_register):
    with refused("no register of the last 4 days.*--url.*--from"):
        fetch_register()


def test_an_error_of_the_site_is_reported_with_its_status(site, fetch_register):
    site.files["edubasealldata20260302.csv"] = 503, b"busy"

    with refused("returned 503"):
        fetch_register()


def test_a_file_shorter_than_announced_is_refused(site, fetch_register):
    site.files["edubasealldata20260302.csv"] = 200, SAMPLE.read_bytes()
    site.cuts_off = True

    with refused("did not arrive whole"):
        fetch_register()


def test_a_url_without_a_file_is_refused(app, site):
    with refused("nothing at .*/other.csv"), app.app_context(), download.from_url(f"{site.url}/other.csv"):
        pass


def test_a_url_inside_our_network_is_not_fetched(app):
    with (
        refused("could not be reached"),
        app.app_context(),
        download.from_url("http://169.254.169.254/latest/meta-data"),
    ):
        pass


def test_downloaded_files_are_deleted_afterwards(app, site):
    site.files["register.csv"] = 200, SAMPLE.read_bytes()

    with app.app_context(), download.from_url(f"{site.url}/register.csv") as sources:
        assert sources.register.exists()
    assert not sources.register.exists()
