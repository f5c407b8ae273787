"""The clock. Every module reads the time here, so that tests can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

LONDON: Final = ZoneInfo("Europe/London")
"""Schools use British time; the service uses UTC."""

_frozen: datetime | None = None


def now() -> datetime:
    """The time, always aware and in UTC."""
    return _frozen or datetime.now(UTC)


def today() -> date:
    """Today's date in Britain."""
    return now().astimezone(LONDON).date()


def timestamp() -> int:
    """Whole seconds since 1970, as JWTs count them (RFC 7519 §2, NumericDate)."""
    return int(now().timestamp())


@contextmanager
def fixed(at: datetime) -> Iterator[None]:
    """Fix the time at `at`, for the whole process, until the block ends. For tests."""
    global _frozen  # noqa: PLW0603  the one clock
    before, _frozen = _frozen, at.astimezone(UTC)
    try:
        yield
    finally:
        _frozen = before


def move(by: timedelta) -> None:
    """Move a fixed clock forward, for tests. Raises `RuntimeError` if the clock is not fixed."""
    global _frozen  # noqa: PLW0603  the one clock
    if _frozen is None:
        raise RuntimeError("the clock is not fixed")
    _frozen += by
