"""Download the register from its public URL: today's file, or the newest of the three days before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from idp.foundation import clock, runtime
from idp.foundation.web import fetch
from idp.schools.files import MAX_FILE_BYTES
from idp.schools.gias import FileRefused

DAYS_BACK: Final = 3
"""How many days back a file is looked for: there is none on some days."""
TIMEOUT_SECONDS: Final = 600.0
"""How long the download of one file may take."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Downloaded files, which are deleted after the `with` block, and the URL that the register came from."""

    url: str
    register: Path
    links: Path | None


@contextmanager
def newest() -> Iterator[Downloaded]:
    """The newest register on the site, with its links file if there is one. Raises `FileRefused`."""
    base, today = runtime.settings().schools.download_url, clock.today()
    with TemporaryDirectory() as folder:
        for days in range(DAYS_BACK + 1):
            name = _name(today - timedelta(days=days))
            if register := _download(f"{base}/{name}", Path(folder) / name):
                links = _download(f"{base}/links_{name}", Path(folder) / f"links_{name}")
                yield Downloaded(f"{base}/{name}", register, links)
                return
    raise FileRefused(
        f"There is no register of the last {DAYS_BACK + 1} days at {base}. The site may be late, or the files may have "
        "moved: look there, and give the file's URL with --url, or download it and give it with --from."
    )


@contextmanager
def from_url(url: str) -> Iterator[Downloaded]:
    """The register at exactly this URL. Raises `FileRefused`."""
    with TemporaryDirectory() as folder:
        register = _download(url, Path(folder) / (Path(urlsplit(url).path).name or "register"))
        if register is None:
            raise FileRefused(f"There is nothing at {url}. Please check the URL.")
        yield Downloaded(url, register, None)


def _name(day: date) -> str:
    return f"edubasealldata{day:%Y%m%d}.csv"


def _download(url: str, path: Path) -> Path | None:
    """Download `url` to `path`; None if the site has no such file."""
    try:
        with path.open("wb") as file:
            rules = fetch.for_operator(runtime.settings().fetch)
            response = fetch.download(url, rules, file, limit=MAX_FILE_BYTES, seconds=TIMEOUT_SECONDS)
    except fetch.FetchFailed as error:
        raise FileRefused(
            "The register's site could not be reached, or what it sent did not arrive whole. Please try again later, "
            "or download the file yourself and give it with --from.",
            reason=str(error),
        ) from error
    if response.status in {403, 404}:  # the site's storage returns 403 for missing files
        return None
    if response.status != 200:
        raise FileRefused(f"The register's site returned {response.status} for {url}. Please try again later.")
    return path
