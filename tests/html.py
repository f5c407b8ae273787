"""Parse pages."""

from functools import lru_cache
from typing import Any

from bs4 import BeautifulSoup


@lru_cache(maxsize=64)
def parse(html: str) -> Any:
    """The parsed page, or part of one. It is cached, because tests parse a page several times: do not change it."""
    return BeautifulSoup(html, "html.parser")
