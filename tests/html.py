"""Pages as tests read them."""

from functools import lru_cache
from typing import Any

from bs4 import BeautifulSoup


@lru_cache(maxsize=64)
def parse(html: str) -> Any:
    """A page or a part of one. A test asks the same page several times: it is parsed once, and is not to be changed."""
    return BeautifulSoup(html, "html.parser")
