"""Every outbound HTTP request of the service is made here (security.md rule 6).

https only; the name is resolved once, every IP address that is not public is refused, and connections are made to the
address that was checked; no redirects, no cookies, no credentials; size and total time capped. Within a
request it raises `Busy` if too many requests wait for other servers already.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection as StandardHTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from idp.foundation.settings import Fetch
from idp.foundation.web import admission

USER_AGENT: Final = "IDaaS"
CHUNK_BYTES: Final = 65_536
MAX_DOCUMENT_BYTES: Final = 65_536
"""The largest document (key set, sector identifier) that is read."""
GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""The IPv6 addresses of public hosts (RFC 4291 §2.4)."""
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6-only hosts reach them (RFC 6052 §2.1)."""


class FetchFailed(Exception):
    """The request failed or was refused by our rules. The message is for our log and operators."""


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """A response: `status`, lower-case `headers`, and `body` unless it was written to a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings for a request, and the hosts that may have a private IP address."""

    fetch: Fetch
    private_hosts: frozenset[str]


def for_operator(settings: Fetch) -> Rules:
    """The rules for URLs that the settings or an operator name."""
    return Rules(settings, frozenset(settings.operator_private_hosts))


def for_partner(settings: Fetch) -> Rules:
    """The rules for URLs that a partner's client registered."""
    return Rules(settings, frozenset(settings.partner_private_hosts))


def get(
    url: str, rules: Rules, *, accept: str = "application/json", limit: int = MAX_DOCUMENT_BYTES,
    headers: Mapping[str, str] | None = None,
) -> FetchResponse:  # fmt: skip
    """GET a small document. Raises `FetchFailed`, but not for an error status."""
    with _request("GET", url, rules, headers={"Accept": accept, **(headers or {})}) as (response, until):
        return FetchResponse(response.status, _lower_case_headers(response), b"".join(_body(response, until, limit)))


def post(
    url: str, rules: Rules, *, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> FetchResponse:
    """POST `body` and read a small response. Raises `FetchFailed`."""
    all_headers = {"Content-Type": content_type, **(headers or {})}
    with _request("POST", url, rules, headers=all_headers, body=body) as (response, until):
        return FetchResponse(
            response.status, _lower_case_headers(response), b"".join(_body(response, until, MAX_DOCUMENT_BYTES))
        )


@contextmanager
def keep_open(url: str, rules: Rules) -> Iterator["Connection"]:
    """A connection over which several bodies are posted to one URL, for as long as the server keeps it open.

    The name is resolved, and its IP address checked, when the first body is posted. Only for background work: unlike
    `post`, it does not release the place of a request that waits for the response.
    """
    connection = Connection(url, rules)
    try:
        yield connection
    finally:
        connection.close()


class Connection:
    """A connection from `keep_open`."""

    def __init__(self, url: str, rules: Rules) -> None:
        self._url, self._rules = url, rules
        self._deadline = _Deadline()
        self._connection: _DeadlineHTTPConnection | None = None
        self._is_used = False

    def post(self, *, body: bytes, content_type: str, headers: Mapping[str, str]) -> FetchResponse:
        """POST `body` and read a small response. Raises `FetchFailed`.

        A body is posted once more if the server has closed the connection since the last response.
        """
        until = time.monotonic() + self._rules.fetch.timeout
        try:
            return self._post(body, {"Content-Type": content_type, **headers})
        except FetchFailed as error:
            if not self._is_used or not isinstance(error.__cause__, ConnectionError) or time.monotonic() > until:
                raise
            return self._post(body, {"Content-Type": content_type, **headers})

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._deadline.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> FetchResponse:
        target, host = _target(self._url)
        if self._connection is None:
            self._connection = _connection(self._url, self._rules, self._deadline)
        elif not self._connection.is_connected:
            self._connection.close()
        connection, self._is_used = self._connection, self._connection.sock is not None
        until = time.monotonic() + self._rules.fetch.timeout
        try:
            with self._deadline.running(self._rules.fetch.timeout):
                response = connection.post(target, {"Host": host, "User-Agent": USER_AGENT, **headers}, body)
                content = b"".join(_body(response, until, MAX_DOCUMENT_BYTES))
                if response.length:
                    raise IncompleteRead(content, response.length)  # noqa: TRY301  as where its length is not known
                response.close()
                return FetchResponse(response.status, _lower_case_headers(response), content)
        except (HTTPError, HTTPException, OSError) as error:
            connection.close()
            raise FetchFailed(f"{_origin(self._url)}: {type(error).__name__}") from error
        except BaseException:
            connection.close()  # the rest of the body is still unread
            raise


def download(url: str, rules: Rules, target: BinaryIO, *, limit: int, seconds: float = 300.0) -> FetchResponse:
    """GET a large file into `target`, at most `limit` bytes within `seconds`. Raises `FetchFailed`."""
    with _request("GET", url, rules, headers={"Accept": "*/*"}, seconds=seconds) as (response, until):
        if response.status == 200:
            bytes_written = 0
            for chunk in _body(response, until, limit):
                bytes_written += target.write(chunk)
            announced = response.headers.get("Content-Length")
            if announced is not None and announced.isdecimal() and int(announced) != bytes_written:
                raise FetchFailed(f"{_origin(url)}: {announced} bytes were announced and {bytes_written} came")
        return FetchResponse(response.status, _lower_case_headers(response))


@contextmanager
def _request(method: str, url: str, rules: Rules, **options: Any) -> Iterator[tuple[urllib3.BaseHTTPResponse, float]]:
    """The response, and the monotonic time by which it must be read. Releases the request's place meanwhile."""
    with admission.place_released(), _open(method, url, rules, **options) as response_and_deadline:
        yield response_and_deadline


@contextmanager
def _open(
    method: str, url: str, rules: Rules, *, headers: Mapping[str, str], body: bytes | None = None,
    seconds: float | None = None,
) -> Iterator[tuple[urllib3.BaseHTTPResponse, float]]:  # fmt: skip
    seconds = seconds or rules.fetch.timeout
    until = time.monotonic() + seconds
    target, host = _target(url)
    all_headers = {"Host": host, "User-Agent": USER_AGENT, **headers}
    try:
        with closing(_Deadline()) as deadline, deadline.running(seconds), _pool(url, rules, deadline) as pool:
            response = pool.request(
                method,
                target,
                headers=all_headers,
                body=body,
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            with closing(response):  # it has the socket, once the server has announced that it will close it
                yield response, until
    except (HTTPError, OSError) as error:
        raise FetchFailed(f"{_origin(url)}: {type(error).__name__}") from error


def _target(url: str) -> tuple[str, str]:
    """The target of a request to `url`, and its `Host`."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc


def _origin(url: str) -> str:
    """Scheme, host and port of `url`, for messages, which are logged: its path, query or user can be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _pool(url: str, rules: Rules, deadline: "_Deadline") -> urllib3.HTTPConnectionPool:
    """A pool that connects to the checked IP address of `url`. Raises `FetchFailed` if the rules forbid it."""
    address, parts = _checked_address(url, rules), urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    timeout = urllib3.Timeout(total=rules.fetch.timeout)
    if parts.scheme != "https":
        return _PlainPool(address, port, timeout=timeout, retries=False, deadline=deadline)
    return _SecurePool(
        address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host,
        cert_reqs="CERT_REQUIRED", ca_certs=rules.fetch.extra_ca or None, deadline=deadline,
    )  # fmt: skip


class _Deadline:
    """Closes a connection when what runs on it takes longer than it may.

    A socket's timeout is for one read, so a server that sends a byte now and then never exceeds it: with its headers
    alone it could take hours. One thread watches over all that runs on the connection, one after the other.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._changed = threading.Condition()
        self._until: float | None = None
        self._wakes_at: float | None = None
        """When the wait of the thread ends. To end it for each request would cost two more thread switches."""
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """The block may take at most this number of seconds in all."""
        with self._changed:
            self._until = time.monotonic() + seconds
            if self._wakes_at is None or self._wakes_at > self._until:
                self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._until = None

    def watch(self, connected: socket.socket) -> None:
        """Watch this socket; a duplicate, because TLS takes over the socket itself."""
        with self._changed:
            if self._socket is not None:
                self._socket.close()
            self._socket = connected.dup()
            if self._until is not None and time.monotonic() > self._until:
                self._cut()

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                left = None if self._until is None else self._until - time.monotonic()
                if left is not None and left <= 0:
                    self._cut()
                    left = None
                self._wakes_at = None if left is None else self._until
                self._changed.wait(left)

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _connection(url: str, rules: Rules, deadline: "_Deadline") -> "_DeadlineHTTPConnection":
    """A connection to the checked IP address of `url`. Raises `FetchFailed` if the rules forbid it."""
    address, parts = _checked_address(url, rules), urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme != "https":
        return _DeadlineHTTPConnection(address, port, timeout=rules.fetch.timeout, deadline=deadline)
    return _DeadlineHTTPSConnection(
        address, port, timeout=rules.fetch.timeout, server_hostname=host, assert_hostname=host,
        cert_reqs="CERT_REQUIRED", ca_certs=rules.fetch.extra_ca or None, deadline=deadline,
    )  # fmt: skip


class _DeadlineHTTPConnection(HTTPConnection):
    """An HTTP connection with a total deadline."""

    def __init__(self, *args: Any, deadline: _Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._deadline.watch(connected)
        return connected

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> HTTPResponse:
        """Send a request and read the head of its response by `http.client`; urllib3's pool takes thrice as long."""
        self.putrequest("POST", target, skip_host=True)
        for name, value in headers.items():
            self.putheader(name, value)
        self.putheader("Content-Length", str(len(body)))
        self.endheaders(body)
        return StandardHTTPConnection.getresponse(self)


class _DeadlineHTTPSConnection(_DeadlineHTTPConnection, HTTPSConnection):
    """An HTTPS connection with a total deadline."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _DeadlineHTTPConnection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _DeadlineHTTPSConnection


def _checked_address(url: str, rules: Rules) -> str:
    """The IP address to connect to. Raises `FetchFailed` if the rules forbid it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchFailed("the URL cannot be read") from error
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None or not host:
        raise FetchFailed(f"{_origin(url)}: no host, or credentials in the URL")
    try:
        entries = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"{_origin(url)}: the name is not known") from error
    addresses = [str(entry[4][0]) for entry in entries]
    loopback = rules.fetch.allow_loopback and all(ipaddress.ip_address(address).is_loopback for address in addresses)
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise FetchFailed(f"{_origin(url)}: not https")
    if not (loopback or host.rstrip(".") in rules.private_hosts or all(_is_public(address) for address in addresses)):
        raise FetchFailed(f"{_origin(url)}: leads to an IP address that is not public")
    return addresses[0]


def _is_public(text: str) -> bool:
    """Whether it is a public IP address: an IPv6 address that embeds an IPv4 address is judged by that."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(address.packed[12:]).is_global
        inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
        return address in GLOBAL_UNICAST and address.is_global and (inner is None or inner.is_global)
    return address.is_global and not address.is_multicast


def _body(response: urllib3.BaseHTTPResponse | HTTPResponse, until: float, limit: int) -> Iterator[bytes]:
    """The body in pieces; stops with `FetchFailed` when it is too long or too slow."""
    total = 0
    while chunk := response.read1(CHUNK_BYTES):
        total += len(chunk)
        if total > limit:
            raise FetchFailed(f"more than {limit} bytes came")
        if time.monotonic() > until:
            raise FetchFailed("it took too long")
        yield chunk
    if time.monotonic() > until:  # the connection was cut, so the body may be incomplete
        raise FetchFailed("it took too long")


def _lower_case_headers(response: urllib3.BaseHTTPResponse | HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
