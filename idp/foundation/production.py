"""Errors in combinations of settings: in any environment, and in production; and warnings for `idp doctor`."""

import re
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from idp.foundation.setting_types import ROOT, key

if TYPE_CHECKING:
    from idp.foundation.settings import Settings, Sms

FILES_WITH_KEYS: Final = ("development.toml", "test.toml")
"""Settings files of the project that contain keys, which everybody can read."""
MIN_DISTINCT_BYTES: Final = 16
"""A key with fewer distinct bytes is not random; 32 random bytes have 30 on average."""

NOTIFY_KEY: Final = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" * 2 + "$")
"""The end of an API key of GOV.UK Notify: the ids of the service and the key."""
MIN_RECEIPT_TOKEN_LENGTH: Final = 24
"""Characters of the token by which a provider's receipts are recognised."""


def inconsistencies(settings: "Settings") -> list[str]:
    """Errors that prevent the service from working in any environment."""
    session, tokens = settings.session, settings.tokens
    checks = {
        "session.idle: must not be longer than session.absolute": session.idle > session.absolute,
        "session.operator_idle: must not be longer than session.absolute": session.operator_idle > session.absolute,
        "tokens.refresh_idle: must not be longer than tokens.refresh_absolute": tokens.refresh_idle
        > tokens.refresh_absolute,
        'mail.host: must be set for mail.channel = "smtp"': settings.mail.channel == "smtp" and not settings.mail.host,
        "throttle.storage: several workers need redis://": settings.server.workers > 1
        and settings.throttle.storage.startswith("memory"),
        "server.workers: SQLite is for one": settings.server.workers > 1 and settings.database.is_sqlite,
        f"database.pool_size: must be {settings.server.concurrent_requests} at least, a connection for each request "
        "that runs: two more than server.threads": settings.database.pool_size < settings.server.concurrent_requests
        and not settings.database.is_sqlite,
    }
    checks |= _incomplete_sms(settings.sms)
    return [problem for problem, applies in checks.items() if applies] + list(_incomplete_providers(settings))


def _incomplete_sms(sms: "Sms") -> dict[str, bool]:
    """Errors in the settings of the channel for text messages, each with whether it applies."""
    token, sent_by = sms.gateway_token.get_secret_value(), f'for sms.channel = "{sms.channel}"'
    return {
        f"sms.gateway_url: must be set {sent_by}": sms.channel == "http" and not sms.gateway_url,
        f"sms.account: must be set {sent_by}": sms.channel == "twilio" and not sms.account,
        f"sms.sender: must be set {sent_by}": sms.channel in {"twilio", "http"} and not sms.sender,
        f"sms.template: must be set {sent_by}": sms.channel == "notify" and not sms.template,
        f"sms.gateway_token: must be set {sent_by}": sms.channel == "twilio" and not token,
        f"sms.gateway_token: must be an API key of GOV.UK Notify {sent_by}":
            sms.channel == "notify" and not NOTIFY_KEY.search(token),
    }  # fmt: skip


def _incomplete_providers(settings: "Settings") -> Iterator[str]:
    """What is missing of the outside identity providers that are switched on."""
    switched_on = {name: provider for name, provider in settings.federation.providers.items() if provider.enabled}
    if not settings.federation.enabled:
        return
    if not switched_on:
        yield "federation.enabled: needs federation.microsoft.enabled, federation.google.enabled or both"
    for name, provider in switched_on.items():
        for setting, value in (
            ("client_id", provider.client_id), ("client_secret", provider.client_secret.get_secret_value())
        ):  # fmt: skip
            if not value:
                yield f"federation.{name}.{setting}: must be set for federation.{name}.enabled"


def production_problems(settings: "Settings") -> list[str]:
    """Settings that are not allowed in production (security.md S40)."""
    mail, sms = settings.mail, settings.sms
    checks = {
        "server.issuer: must be https": not settings.server.is_https,
        "mail.channel: must be smtp": mail.channel != "smtp",
        "mail.security: must be starttls or tls where there is a password, which would be sent in the open":
            mail.security == "none" and bool(mail.username or mail.password.get_secret_value()),
        "sms.channel: must be twilio, notify or http": sms.channel not in {"twilio", "notify", "http"},
        "sms.gateway_url: must be https": bool(sms.gateway_url) and not sms.gateway_url.startswith("https://"),
        f"sms.receipt_token: must be empty, or have {MIN_RECEIPT_TOKEN_LENGTH} characters or more":
            0 < len(sms.receipt_token.get_secret_value()) < MIN_RECEIPT_TOKEN_LENGTH,
        "schools.download_url: must be https": not settings.schools.download_url.startswith("https://"),
        "fetch.allow_loopback: is for tests": settings.fetch.allow_loopback,
        "fetch.extra_ca: is for tests": bool(settings.fetch.extra_ca),
        "throttle.factor: must be 1": settings.throttle.factor != 1,
        "keys.publish_before: must be longer than keys.reread, or a new key signs before processes know it":
            settings.keys.publish_before <= settings.keys.reread,
    }  # fmt: skip
    checks |= {
        f"federation.{name}.{setting}: must be https": not url.startswith("https://")
        for name, provider in settings.federation.providers.items()
        for setting, url in (("authority", provider.authority), ("issuer", provider.issuer))
    }
    return [problem for problem, applies in checks.items() if applies] + list(_bad_keys(settings))


def _bad_keys(settings: "Settings") -> Iterator[str]:
    secrets, shipped = settings.secrets, _shipped_keys()
    named = {"secrets.session": secrets.session, "secrets.tokens": secrets.tokens}
    named |= {f"secrets.sealing.{name}": value for name, value in secrets.sealing.items()}
    seen: dict[bytes, str] = {}
    for name, value in named.items():
        if value in shipped:
            yield f"{name}: is a key from {shipped[value]}, which everyone has"
        elif len(set(value)) < MIN_DISTINCT_BYTES or value.isascii():
            yield f"{name}: is not random; make one by `idp config generate-secrets`"
        if value in seen:
            yield f"{name}: is the same key as {seen[value]}; each needs its own"
        seen.setdefault(value, name)


def _shipped_keys() -> dict[bytes, str]:
    files: dict[bytes, str] = {}
    for name in FILES_WITH_KEYS:
        secrets = tomllib.loads((ROOT / "config" / name).read_text("utf-8"))["secrets"]
        for value in (secrets["session"], secrets["tokens"], *secrets["sealing"].values()):
            files[key(value)] = f"config/{name}"
    return files


def warnings(settings: "Settings") -> list[str]:
    """Settings that are allowed in production but rarely right; empty in other environments."""
    if settings.environment != "production":
        return []
    server, service = settings.server, settings.service
    checks = {
        "server.trusted_proxies is 0: behind a proxy, all callers would count as one IP address":
            server.trusted_proxies == 0,
        "server.log_level is DEBUG: it is for a short time": server.log_level == "DEBUG",
        "mail.security is none: mail can be read on its way": settings.mail.security == "none",
        "mail.sender is an example": settings.mail.sender.rstrip(">").endswith(".example"),
        "service.support_email is an example": service.support_email.endswith(".example"),
        "service.support_phone is an example": service.support_phone.startswith("020 7946 0"),
        "service.privacy_url is empty": not service.privacy_url,
        "service.accessibility_url is empty": not service.accessibility_url,
        "audit.checkpoints is empty: nothing outside the database shows that the log was cut off":
            not settings.audit.checkpoints,
        "fetch.partner_private_hosts is not empty: what partners register can reach into this network":
            bool(settings.fetch.partner_private_hosts),
        "database.url is SQLite: one process, one machine": settings.database.is_sqlite,
    }  # fmt: skip
    return [warning for warning, applies in checks.items() if applies]
