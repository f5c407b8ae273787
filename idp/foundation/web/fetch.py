"""The one way out: every outbound HTTP request of the service is made here (security.md rule 6).

https only; the name is resolved once, every address that is not public is refused, and the connection goes
to the very address that was checked; no redirects, no cookies, no credentials; size and total time capped. Within a
request it raises `Busy` where too many requests wait for other servers already.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from idp.foundation.settings import Fetch
from idp.foundation.web import admission

CHUNK: Final = 65_536
DOCUMENT: Final = 65_536
"""Bytes of the largest document (key set, sector identifier) that is read."""
GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 in which hosts of the internet are (RFC 4291 §2.4)."""
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a machine with IPv6 alone reaches them (RFC 6052 §2.1)."""


class FetchFailed(Exception):
    """Nothing usable came back, or we would not go there. The message is for our log and operators."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `status`, lower-case `headers`, and `body` where it was read into memory."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to go out, and which hosts may have a private address."""

    fetch: Fetch
    private_hosts: frozenset[str]


def for_operator(rules: Fetch) -> Rules:
    """For addresses that the settings or an operator name."""
    return Rules(rules, frozenset(rules.operator_private_hosts))


def for_partner(rules: Fetch) -> Rules:
    """For addresses that a partner's client registered."""
    return Rules(rules, frozenset(rules.partner_private_hosts))


def get(url: str, rules: Rules, *, accept: str = "application/json", most: int = DOCUMENT) -> Answer:
    """GET a small document. Raises `FetchFailed`; any status comes back as it is."""
    with _asked("GET", url, rules, headers={"Accept": accept}) as (response, until):
        return Answer(response.status, _lower(response), b"".join(_read(response, until, most)))


def post(url: str, rules: Rules, *, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Answer:
    """POST `body` and read a small answer. Raises `FetchFailed`."""
    sent = {"Content-Type": content_type, **(headers or {})}
    with _asked("POST", url, rules, headers=sent, body=body) as (response, until):
        return Answer(response.status, _lower(response), b"".join(_read(response, until, DOCUMENT)))


def download(url: str, rules: Rules, to: BinaryIO, *, most: int, seconds: float = 300.0) -> Answer:
    """GET something large into `to`, at most `most` bytes within `seconds`. Raises `FetchFailed`."""
    with _asked("GET", url, rules, headers={"Accept": "*/*"}, seconds=seconds) as (response, until):
        if response.status == 200:
            written = 0
            for chunk in _read(response, until, most):
                written += to.write(chunk)
            announced = response.headers.get("Content-Length")
            if announced is not None and announced.isdecimal() and int(announced) != written:
                raise FetchFailed(f"{url}: {announced} bytes were announced and {written} came")
        return Answer(response.status, _lower(response))


@contextmanager
def _asked(method: str, url: str, rules: Rules, **more: Any) -> Iterator[tuple[urllib3.BaseHTTPResponse, float]]:
    """The answer, and until when (monotonic seconds) it must be read. A request that waits for it steps aside."""
    with admission.aside(), _sent(method, url, rules, **more) as found:
        yield found


@contextmanager
def _sent(
    method: str, url: str, rules: Rules, *, headers: Mapping[str, str], body: bytes | None = None,
    seconds: float | None = None,
) -> Iterator[tuple[urllib3.BaseHTTPResponse, float]]:  # fmt: skip
    seconds = seconds or rules.fetch.timeout
    until = time.monotonic() + seconds
    address = _checked(url, rules)
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    timeout = urllib3.Timeout(total=rules.fetch.timeout)
    sent = {"Host": parts.netloc, "User-Agent": "IDaaS", **headers}
    try:
        with _Line(seconds) as line:
            pool: urllib3.HTTPConnectionPool
            if parts.scheme == "https":
                pool = _SecurePool(
                    address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host,
                    cert_reqs="CERT_REQUIRED", ca_certs=rules.fetch.extra_ca or None, line=line,
                )  # fmt: skip
            else:
                pool = _PlainPool(address, port, timeout=timeout, retries=False, line=line)
            with pool:
                response = pool.request(
                    method, target, headers=sent, body=body, redirect=False, preload_content=False, decode_content=True
                )
                with closing(response):  # it has the socket, once the server says that it will close it
                    yield response, until
    except (HTTPError, OSError) as fault:
        raise FetchFailed(f"{url}: {type(fault).__name__}") from fault


class _Line:
    """The line to a server, cut after so many seconds.

    A timeout is for one reading from it, and a server that sends a byte now and then never meets one: in its headers
    alone there is room for hours.
    """

    def __init__(self, seconds: float) -> None:
        self._held: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def hold(self, connected: socket.socket) -> None:
        """It is this one; TLS will take the socket itself away."""
        self._held = connected.dup()
        if self._timer.finished.is_set():
            self._cut()

    def _cut(self) -> None:
        if self._held is not None:
            with suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._held is not None:
            self._held.close()


class _Held(HTTPConnection):
    """A connection whose line is held."""

    def __init__(self, *args: Any, line: _Line, **more: Any) -> None:
        super().__init__(*args, **more)
        self._line = line

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._line.hold(connected)
        return connected


class _HeldSecurely(_Held, HTTPSConnection):
    """Likewise, with TLS."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Held


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HeldSecurely


def _checked(url: str, rules: Rules) -> str:
    """The address to connect to, or `FetchFailed` where we will not go."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise FetchFailed("the address cannot be read") from fault
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None or not host:
        raise FetchFailed(f"{url}: no host, or credentials in the address")
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        raise FetchFailed(f"{url}: the name is not known") from fault
    addresses = [str(entry[4][0]) for entry in found]
    loopback = rules.fetch.allow_loopback and all(ipaddress.ip_address(each).is_loopback for each in addresses)
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise FetchFailed(f"{url}: not https")
    if not (loopback or host.rstrip(".") in rules.private_hosts or all(_is_public(each) for each in addresses)):
        raise FetchFailed(f"{url}: leads to an address that is not public")
    return addresses[0]


def _is_public(text: str) -> bool:
    """Whether it is a public address: an IPv6 address that stands for an IPv4 one is judged by that."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(address.packed[12:]).is_global
        inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
        return address in GLOBAL_UNICAST and address.is_global and (inner is None or inner.is_global)
    return address.is_global and not address.is_multicast


def _read(response: urllib3.BaseHTTPResponse, until: float, most: int) -> Iterator[bytes]:
    """The body in pieces; stops with `FetchFailed` when it is too long or too slow."""
    total = 0
    while chunk := response.read1(CHUNK):
        total += len(chunk)
        if total > most:
            raise FetchFailed(f"more than {most} bytes came")
        if time.monotonic() > until:
            raise FetchFailed("it took too long")
        yield chunk
    if time.monotonic() > until:  # the line was cut, and this need not be all
        raise FetchFailed("it took too long")


def _lower(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
