"""Requests to the provider and the receiver, each with a DPoP proof.

This server's clock may be wrong. A proof is accepted only for about a minute by the provider's clock, so the `Date` of
each response is compared with our own clock, and proofs are dated by the provider's.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from . import __version__
from .dpop import Key
from .errors import InvalidSettings, RequestRefused, ServerUnreachable
from .http_session import new_session

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = (10, 60)
"""How long to wait for a connection, and for the next bytes."""
MIN_SKEW_SECONDS: Final = 3
"""A smaller difference between the clocks counts as none: `Date` has whole seconds, and a response takes time."""
MIN_WARNED_SKEW_SECONDS: Final = 60
"""From this difference on, the log asks to set the clock of this server."""
MAX_PROOFS: Final = 3
"""How many proofs are sent for one request, as the nonce and the time of a proof may both be refused."""
_CHALLENGE_ERROR: Final = re.compile(r'(?i:\berror)\s*=\s*"?(use_dpop_nonce|invalid_dpop_proof|invalid_token)(?![\w-])')
"""The error in a challenge, whose value is a token or a quoted string (RFC 9110 §11.2)."""
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection:
    """Sends requests. `now` is our clock, in seconds since 1970."""

    def __init__(self, key: Key, now: Callable[[], float] = time.time) -> None:
        self._key, self._now = key, now
        self._nonces: dict[str, str] = {}
        self._session = new_session()
        self._session.headers["User-Agent"] = f"xporter-endpoint/{__version__}"
        self.skew = 0
        """Seconds that the provider's clock is ahead of ours; 0 below `MIN_SKEW_SECONDS`."""

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self, method: str, url: str, *, access_token: str = "", with_dpop: bool = True, **options: Any
    ) -> dict[str, Any]:
        """The JSON object of a response, {} if it is empty. `options` are those of `requests.request`.

        Raises `ServerUnreachable`, `InvalidSettings` for a URL that is not https, and `RequestRefused` for an error of
        the server. If the proof is refused because of its nonce (RFC 9449 §8 and §9) or its time, another one is sent.
        """
        for _ in range(MAX_PROOFS):
            skew, nonce = self.skew, self._nonces.get(_origin(url), "")
            response = self._send_once(method, url, access_token, with_dpop, options)
            if response.status_code < 400:
                return _json(response)
            error = _to_error(response)
            wants_nonce = error.error == "use_dpop_nonce" and self._nonces.get(_origin(url), "") != nonce
            had_wrong_time = error.error == "invalid_dpop_proof" and self.skew != skew
            if not (wants_nonce or had_wrong_time):
                raise error
        raise error

    def _send_once(
        self, method: str, url: str, access_token: str, with_dpop: bool, options: Mapping[str, Any]
    ) -> requests.Response:
        require_https(url)
        headers: dict[str, str] = dict(options.get("headers") or {})
        if with_dpop:
            nonce = self._nonces.get(_origin(url), "")
            issued_at = self._now() + self.skew
            headers["DPoP"] = self._key.proof(method, url, issued_at, access_token=access_token, nonce=nonce)
        if access_token:
            headers["Authorization"] = f"DPoP {access_token}"
        began = self._now()
        try:
            response = self._session.request(
                method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **{**options, "headers": headers}
            )
        except requests.exceptions.SSLError as error:
            raise _untrusted(url, error) from error
        except requests.RequestException as error:
            raise ServerUnreachable(
                f"{_origin(url)} cannot be reached ({type(error).__name__}).",
                "Check the network, the firewall and the proxy. The agent will try again.",
            ) from error
        self._compare_clocks(response, began)
        if "DPoP-Nonce" in response.headers:
            self._nonces[_origin(url)] = response.headers["DPoP-Nonce"]
        if response.status_code == 429 or response.status_code >= 500:
            raise ServerUnreachable(
                f"{_origin(url)} is temporarily unavailable ({response.status_code}).",
                retry_after=_parse_retry_after(response.headers.get("Retry-After", "")),
            )
        if 300 <= response.status_code < 400:
            raise ServerUnreachable(f"{_origin(url)} responds with a redirect.", "Check the address, and the proxy.")
        return response

    def _compare_clocks(self, response: requests.Response, began: float) -> None:
        """Set `skew` if the `Date` of a response to a request that began at `began` contradicts it."""
        try:
            server_time = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            return
        ended = self._now()
        # The response was dated at some moment between `began` and `ended`, and `Date` is cut to a whole second.
        if server_time - ended <= self.skew <= server_time + 1 - began:
            return
        # It is dated when the request has been read, which after a long upload is near the end.
        skew = round(server_time + 0.5 - ended)
        skew = skew if abs(skew) >= MIN_SKEW_SECONDS else 0
        if abs(skew) >= MIN_WARNED_SKEW_SECONDS and abs(skew - self.skew) >= MIN_SKEW_SECONDS:
            log.warning(
                "This server's clock is %d seconds %s. Data is sent nevertheless; please set the clock (time service).",
                abs(skew), "slow" if skew > 0 else "fast",
            )  # fmt: skip
        self.skew = skew


def require_https(url: str) -> None:
    """Raise `InvalidSettings` unless the URL is https, or of this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS):
        raise InvalidSettings(f"The address {_origin(url)} is not secure.", "Use an address that begins with https://.")


def _to_error(response: requests.Response) -> RequestRefused:
    """The error in a response: OAuth's members (RFC 6749 §5.2), a problem's (RFC 9457), or its header (RFC 6750)."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    in_header = _CHALLENGE_ERROR.search(response.headers.get("WWW-Authenticate", ""))
    error = str(document.get("error") or document.get("code") or (in_header and in_header[1]) or response.status_code)
    detail = str(document.get("error_description") or document.get("detail") or document.get("title") or "")
    return RequestRefused(response.status_code, error, detail[:300], document, _origin(response.url))


def _json(response: requests.Response) -> dict[str, Any]:
    if not response.content:
        return {}
    try:
        document = response.json()
    except (ValueError, RecursionError) as error:
        raise ServerUnreachable(
            f"{_origin(response.url)} does not respond as expected.", "A proxy may have responded instead: check it."
        ) from error
    if not isinstance(document, dict):
        raise ServerUnreachable(f"{_origin(response.url)} does not respond as expected.")
    return document


def _untrusted(url: str, error: Exception) -> ServerUnreachable:
    text = str(error)
    if "not yet valid" in text or "has expired" in text:
        remedy = "Check this server's clock first: with a wrong date, every certificate looks wrong."
    else:
        remedy = "If a proxy inspects traffic, set REQUESTS_CA_BUNDLE to the file of its certificate."
    return ServerUnreachable(f"The certificate of {_origin(url)} is not trusted.", remedy)


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _parse_retry_after(value: str) -> float | None:
    """The seconds of a `Retry-After` header (RFC 9110 §10.2.3); None for a date or anything else."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None
