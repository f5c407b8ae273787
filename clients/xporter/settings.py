"""The settings, read from the environment once at start; all faults are reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class InvalidSettings(Exception):
    """The environment does not let the program start; one argument for each fault."""

    def __str__(self) -> str:
        return "\n  ".join(("XporterOnDemand cannot start:", *self.args))


@dataclass(frozen=True, slots=True)
class Settings:
    """The provider and our id there, our own URL, and where and how long data is kept."""

    issuer: str
    client_id: str
    resource: str
    """Our own URL, as it is registered: the `aud` of tokens for us, and the origin of `htu` in proofs."""
    port: int
    data: Path
    """The folder of our key, of what the provider published last, and of the database where no other is named."""
    database: str = ""
    """SQLAlchemy's URL of the database; empty for a SQLite file in `data`."""
    forget_days: int = 30
    """How long we remember that a record was deleted: partners that ask for changes less often begin anew."""
    unfinished_hours: int = 24
    """How long an extract may take to arrive."""
    cache_seconds: float = 1.0
    """How long a response of introspection is used, from its request: at most a second, as promised for withdrawals."""

    @property
    def database_url(self) -> str:
        """SQLAlchemy's URL of the database."""
        return self.database or f"sqlite:///{self.data / 'xporter.sqlite3'}"

    @property
    def key_file(self) -> Path:
        """The file of our private keys."""
        return self.data / "xporter.keys.json"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read XPORTER_ISSUER, _CLIENT_ID, _RESOURCE, _PORT, _DATA, _DATABASE and three numbers; README.md explains them.

    Raises `InvalidSettings`.
    """
    faults: list[str] = []

    def read(name: str, default: str) -> str:
        return environment.get(f"XPORTER_{name}", "") or default

    def number(name: str, default: int, maximum: int, minimum: int = 1) -> int:
        text = read(name, str(default))
        if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
            faults.append(f"XPORTER_{name}: must be a number from {minimum} to {maximum}")
            return default
        return int(text)

    port = number("PORT", 5003, 65535)
    issuer = read("ISSUER", "http://localhost:5000").rstrip("/")
    resource = read("RESOURCE", f"http://localhost:{port}").rstrip("/")
    for name, url in (("ISSUER", issuer), ("RESOURCE", resource)):
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            faults.append(f"XPORTER_{name}: must be an http or https URL")
    if any(urlsplit(resource)[2:]):  # RFC 9728 §3.1 would have our metadata at another URL than they are
        faults.append("XPORTER_RESOURCE: must have no path, query or fragment")
    database = read("DATABASE", "")
    if database and not database.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        faults.append("XPORTER_DATABASE: must begin with sqlite:/// or postgresql://")
    forget_days, unfinished_hours = number("FORGET_DAYS", 30, 3650), number("UNFINISHED_HOURS", 24, 720)
    cache_ms = number("CACHE_MS", 1000, 1000, minimum=0)
    if faults:
        raise InvalidSettings(*faults)
    return Settings(
        issuer=issuer, client_id=read("CLIENT_ID", "xporter"), resource=resource, port=port,
        data=Path(read("DATA", "var/xporter")), database=database, forget_days=forget_days,
        unfinished_hours=unfinished_hours, cache_seconds=cache_ms / 1000,
    )  # fmt: skip
