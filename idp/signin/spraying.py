"""Slow down a guesser who tries few passwords at many accounts: password spraying (decision 61).

Counters of one account do not see such a guesser. So it is also counted at how many different names each network
fails within an hour, by browsers that are not known to the name. Beyond a limit, unknown browsers of that network wait
until the hour is over; while many names fail over all networks together, the limit of each is a tenth. A known browser
is not counted and does not wait, so a stranger keeps no one from the computer that they always use (security.md S31).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Final

import structlog
from sqlalchemy import select

from idp.audit import events, log
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import TooManyRequests
from idp.signin import guesses
from idp.signin.models import Guesses

WINDOW: Final = timedelta(hours=1)
IPV4_PREFIX, IPV6_PREFIX = 24, 48
"""Bits of an address that are its network: what one customer of a hosting company is easily given."""
SHARE_WHILE_WIDESPREAD: Final = 10
"""A network's limit is divided by this while wrong passwords are spread over many networks."""

_EVERYWHERE: Final = guesses.key("spraying")
_HELD_BACK: Final = guesses.key("spraying", "networks")
logger = structlog.get_logger(__name__)


class ManyNames(TooManyRequests):
    """Wrong passwords at too many different names from this network."""

    code, title = "many_names", "Too many wrong passwords"

    def __init__(self, until: datetime) -> None:
        wait = until - clock.now()
        minutes = max(1, ceil(wait / timedelta(minutes=1)))
        super().__init__(
            "Somebody on your internet connection, or near it, has typed wrong passwords for many accounts. So a "
            "browser in which you have not signed in before has to wait for "
            f"{minutes} minute{'' if minutes == 1 else 's'}. One in which you have signed in before works now.",
            reason="wrong passwords at many names from this network",
            retry_after=max(1, ceil(wait.total_seconds())),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Wrong passwords by unknown browsers in this hour: at how many names, and how many networks have to wait."""

    names: int
    networks: int
    is_widespread: bool


def refuse(address: str | None) -> None:
    """Raise `ManyNames` if unknown browsers of this address's network have to wait."""
    count, until = _count(guesses.key("spraying", "network", network_of(address)))
    if count >= _limit():
        raise ManyNames(until)


def note_failure(address: str | None, name: str) -> None:
    """Count that a browser not known to `name` (folded) failed at it; a name counts once an hour for a network."""
    network = network_of(address)
    times, _ = guesses.tally(guesses.key("spraying", "name", network, name), WINDOW)
    if times > 1:
        return
    count, _ = guesses.tally(guesses.key("spraying", "network", network), WINDOW)
    if count == _limit():
        guesses.tally(_HELD_BACK, WINDOW)
        log.record(events.SPRAYING_SEEN, by="system", count=count)
        logger.warning("wrong passwords at many names from one network", address=network, count=count)
    everywhere, _ = guesses.tally(_EVERYWHERE, WINDOW)
    if everywhere == _widespread():
        log.record(events.SPRAYING_SEEN, by="system", count=everywhere)
        logger.warning("wrong passwords at many names from many networks", count=everywhere)


def current() -> Standing:
    """How things stand now, for our staff."""
    names, networks = _count(_EVERYWHERE)[0], _count(_HELD_BACK)[0]
    return Standing(names, networks, is_widespread=names >= _widespread())


def network_of(address: str | None) -> str:
    """The network that an address is counted with: /24, or /48 for IPv6."""
    try:
        parsed = ip_address(address or "")
    except ValueError:  # a Unix socket, for instance
        return address or ""
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    prefix = IPV6_PREFIX if isinstance(parsed, IPv6Address) else IPV4_PREFIX
    return str(ip_network((parsed, prefix), strict=False))


def _count(counter: bytes) -> tuple[int, datetime]:
    """The count in the counter's current window, and the window's end."""
    now = clock.now()
    counted = select(Guesses.count, Guesses.expires_at).where(Guesses.key == counter, Guesses.expires_at > now)
    row = session().execute(counted).one_or_none()
    count, until = row if row is not None else (0, now)
    return count, until


def _limit() -> int:
    """At how many names a network may fail in an hour."""
    limits = runtime.settings().throttle
    share = SHARE_WHILE_WIDESPREAD if _count(_EVERYWHERE)[0] >= _widespread() else 1
    return max(1, limits.network_names * limits.factor // share)


def _widespread() -> int:
    limits = runtime.settings().throttle
    return limits.widespread_names * limits.factor
