"""Checks of `idp doctor` in production: what arrives when the public URL is requested, as people and partners do."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from idp.foundation import clock, runtime
from idp.foundation.doctor import Check, Finding
from idp.foundation.web import fetch

MIN_CERTIFICATE_DAYS: Final = 14
"""Certificates are usually renewed 30 days before they end: with fewer days left, the renewal has failed."""
FORGED_ADDRESS: Final = "192.0.2.1"
"""An address that no caller has (RFC 5737)."""
FORGED_HEADERS: Final = {
    "X-Forwarded-For": FORGED_ADDRESS, "X_Forwarded_For": FORGED_ADDRESS, "Forwarded": f"for={FORGED_ADDRESS}",
}  # fmt: skip
"""Headers with which a caller pretends to have this address. WSGI gives the first two the same name."""


def public_url() -> Iterator[Finding]:
    """Check that the public URL leads to this service."""
    if not _is_production():
        return
    issuer = runtime.settings().server.issuer
    try:
        response = fetch.get(f"{issuer}/.well-known/openid-configuration", _rules())
    except fetch.FetchFailed as error:
        do = "see whether people reach it; DNS, the proxy or a firewall may stop this machine alone"
        yield Finding("public URL", "warning", f"cannot be reached from here: {error}", do)
        return
    if response.status == 200 and _member(response.body, "issuer") == issuer:
        yield Finding("public URL", "ok", f"{issuer} leads here")
    else:
        message = f"{issuer} leads to something else, which responds with {response.status}"
        yield Finding("public URL", "fault", message, "let the proxy pass on every path unchanged")


def certificate() -> Iterator[Finding]:
    """Check that the certificate of the public URL is valid, and for how long."""
    if not _is_production():
        return
    try:
        days = _certificate_days()
    except ssl.SSLCertVerificationError as error:
        message = f"is refused by browsers and partners: {error.verify_message}"
        yield Finding("certificate", "fault", message, "install one for the host name of server.issuer, with its chain")
    except OSError as error:
        yield Finding("certificate", "warning", f"cannot be checked: {error.strerror or type(error).__name__}")
    else:
        if days < MIN_CERTIFICATE_DAYS:
            yield Finding("certificate", "warning", f"ends in {days} days", "renew it, and see why nothing else does")
        else:
            yield Finding("certificate", "ok", f"ends in {days} days")


def forged_address() -> Iterator[Finding]:
    """Check that a caller cannot pretend to have another IP address, and so evade every limit (security.md S26)."""
    if not _is_production():
        return
    for name, value in FORGED_HEADERS.items():
        try:
            response = fetch.get(f"{runtime.settings().server.issuer}/healthz", _rules(), headers={name: value})
        except fetch.FetchFailed:  # `public_url` reports it
            return
        if response.status != 200:
            message = f"/healthz responds with {response.status}, so nothing is known about forged addresses"
            yield Finding("callers", "warning", message, "let the proxy pass on /healthz, at least from this machine")
            return
        if _member(response.body, "address") == FORGED_ADDRESS:
            message = f"can pretend to have any IP address by the header {name}: limits do not hold"
            do = "let the proxy drop it, or add the caller's address to it; see server.trusted_proxies and proxy_header"
            yield Finding("callers", "fault", message, do)
            return
    yield Finding("callers", "ok", "cannot pretend to have another IP address")


def _is_production() -> bool:
    return runtime.settings().environment == "production"


def _rules() -> fetch.Rules:
    """Our own host may have a private address: the machine may reach the proxy without leaving its network."""
    return fetch.Rules(runtime.settings().fetch, frozenset({_host()}))


def _host() -> str:
    return urlsplit(runtime.settings().server.issuer).hostname or ""


def _member(body: bytes, name: str) -> object:
    """The member of a JSON object; None if it is not one."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document.get(name) if isinstance(document, dict) else None


def _certificate_days() -> int:
    """The whole days for which the certificate is still valid. Raises `OSError`, which errors of TLS are too."""
    rules, port = runtime.settings().fetch, urlsplit(runtime.settings().server.issuer).port or 443
    context = ssl.create_default_context(cafile=rules.extra_ca or None)
    with (
        socket.create_connection((_host(), port), timeout=rules.timeout) as connection,
        closing(context.wrap_socket(connection, server_hostname=_host())) as secured,
    ):
        certificate = secured.getpeercert() or {}
    ends_at = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return int(ends_at - clock.now().timestamp()) // 86_400


CHECKS: Final[tuple[Check, ...]] = (public_url, certificate, forged_address)
