"""Slow down a guesser who tries few passwords at many accounts: password spraying (decision 60).

Counters of one account do not notice such a guesser. So for each network the different names are counted at which a
browser not known to the name fails within an hour. Beyond a limit, unknown browsers of that network wait
until the hour is over; while many names fail over all networks together, the limit of each is a tenth. A known browser
is not counted and does not wait, so a stranger keeps no one from the computer that they always use (security.md S31).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import structlog
from sqlalchemy import select

from idp.audit import events, log
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import TooManyRequests
from idp.foundation.web import throttle
from idp.signin import guesses
from idp.signin.models import Guesses

WINDOW: Final = timedelta(hours=1)
IPV4_PREFIX, IPV6_PREFIX = 24, 48
"""Bits of an address that name its network. One customer of a hosting company easily gets that many addresses."""
WIDESPREAD_DIVISOR: Final = 10
"""A network's limit is divided by this while wrong passwords are spread over many networks."""

_ALL_NAMES: Final = guesses.key("spraying")
"""The counter of names over all networks."""
_BLOCKED_NETWORKS: Final = guesses.key("spraying", "networks")
"""The counter of networks that have reached their limit."""
logger = structlog.get_logger(__name__)


class NetworkBlocked(TooManyRequests):
    """Wrong passwords at too many different names from this network."""

    code, title = "many_names", "Too many wrong passwords"

    def __init__(self, until: datetime) -> None:
        wait = until - clock.now()
        minutes = max(1, ceil(wait / timedelta(minutes=1)))
        super().__init__(
            "Someone on your internet connection, or near it, has typed wrong passwords for many accounts. So a "
            "browser in which you have not signed in before has to wait for "
            f"{minutes} minute{'' if minutes == 1 else 's'}. A browser in which you have signed in before works now.",
            reason="wrong passwords at many names from this network",
            retry_after=max(1, ceil(wait.total_seconds())),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """Wrong passwords by unknown browsers in this hour: at how many names, and how many networks have to wait."""

    names: int
    networks: int
    is_widespread: bool


def check(address: str | None) -> None:
    """Raise `NetworkBlocked` if unknown browsers of this address's network have to wait."""
    count, until = _count(guesses.key("spraying", "network", _network(address)))
    if count >= _network_limit():
        raise NetworkBlocked(until)


def note_failure(address: str | None, name: str) -> None:
    """Count that a browser not known to `name` (folded) failed at it; a name counts once an hour for a network."""
    network = _network(address)
    times, _ = guesses.tally(guesses.key("spraying", "name", network, name), WINDOW)
    if times > 1:
        return
    count, _ = guesses.tally(guesses.key("spraying", "network", network), WINDOW)
    if count == _network_limit():
        guesses.tally(_BLOCKED_NETWORKS, WINDOW)
        log.record(events.SPRAYING_SEEN, by="system", count=count)
        logger.warning("wrong passwords at many names from one network", address=network, count=count)
    names, _ = guesses.tally(_ALL_NAMES, WINDOW)
    if names == _widespread_limit():
        log.record(events.SPRAYING_SEEN, by="system", count=names)
        logger.warning("wrong passwords at many names from many networks", count=names)


def figures() -> Figures:
    """The counts of this hour, for our staff."""
    names, networks = _count(_ALL_NAMES)[0], _count(_BLOCKED_NETWORKS)[0]
    return Figures(names, networks, is_widespread=names >= _widespread_limit())


def _network(address: str | None) -> str:
    """The network under which an address is counted."""
    return throttle.network_of(address or "", ipv4_prefix=IPV4_PREFIX, ipv6_prefix=IPV6_PREFIX)


def _count(counter: bytes) -> tuple[int, datetime]:
    """The count in the counter's current window, and the window's end."""
    now = clock.now()
    statement = select(Guesses.count, Guesses.expires_at).where(Guesses.key == counter, Guesses.expires_at > now)
    row = session().execute(statement).one_or_none()
    count, until = row if row is not None else (0, now)
    return count, until


def _network_limit() -> int:
    """At how many names a network may fail in an hour."""
    limits = runtime.settings().throttle
    divisor = WIDESPREAD_DIVISOR if _count(_ALL_NAMES)[0] >= _widespread_limit() else 1
    return max(1, limits.network_names * limits.factor // divisor)


def _widespread_limit() -> int:
    """At how many names, over all networks, failures count as widespread."""
    limits = runtime.settings().throttle
    return limits.widespread_names * limits.factor
