"""Fetch the register from its public address: today's, or the newest of the three days before."""

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
from idp.schools.files import MOST_BYTES
from idp.schools.gias import FileRefused

DAYS_BACK: Final = 3
SECONDS: Final = 600.0
"""For the whole of a file."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Files that last as long as the `with` block, and the address the register came from."""

    address: str
    register: Path
    links: Path | None


@contextmanager
def newest() -> Iterator[Downloaded]:
    """The newest register the site has, with its links file where there is one. Raises `FileRefused`."""
    base, today = runtime.settings().schools.download_url, clock.today()
    with TemporaryDirectory() as folder:
        for days in range(DAYS_BACK + 1):
            name = _name(today - timedelta(days=days))
            if register := _fetched(f"{base}/{name}", Path(folder) / name):
                links = _fetched(f"{base}/links_{name}", Path(folder) / f"links_{name}")
                yield Downloaded(f"{base}/{name}", register, links)
                return
    raise FileRefused(
        f"There is no register of the last {DAYS_BACK + 1} days at {base}. The site may be late, or the files may have "
        "moved: look there, and give the file's address with --url, or download it and give it with --from."
    )


@contextmanager
def at(url: str) -> Iterator[Downloaded]:
    """The register at exactly this address. Raises `FileRefused`."""
    with TemporaryDirectory() as folder:
        register = _fetched(url, Path(folder) / (Path(urlsplit(url).path).name or "register"))
        if register is None:
            raise FileRefused(f"There is nothing at {url}. Please check the address.")
        yield Downloaded(url, register, None)


def _name(day: date) -> str:
    return f"edubasealldata{day:%Y%m%d}.csv"


def _fetched(url: str, path: Path) -> Path | None:
    """The file at `url`, kept at `path`; None where the site says that there is none."""
    try:
        with path.open("wb") as file:
            rules = fetch.for_operator(runtime.settings().fetch)
            answer = fetch.download(url, rules, file, most=MOST_BYTES, seconds=SECONDS)
    except fetch.FetchFailed as fault:
        raise FileRefused(
            "The register's site could not be reached, or what it sent did not arrive whole. Please try again later, "
            "or download the file yourself and give it with --from.",
            because=str(fault),
        ) from fault
    if answer.status in {403, 404}:  # the site's storage says 403 for what is not there yet
        return None
    if answer.status != 200:
        raise FileRefused(f"The register's site answered {answer.status} for {url}. Please try again later.")
    return path
