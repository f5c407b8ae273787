"""An application's settings, read from the environment once at start; all errors are reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from clients.assembly.applications import Application


class InvalidSettings(Exception):
    """Environment variables are missing or invalid; one argument for each."""

    def __init__(self, application_name: str, *problems: str) -> None:
        super().__init__(*problems)
        self._application_name = application_name

    def __str__(self) -> str:
        return "\n  ".join((f"{self._application_name} cannot start:", *self.args))


@dataclass(frozen=True, slots=True)
class Settings:
    """The provider and our client id there, our port, the folder of our data, and the mail server."""

    application: Application
    issuer: str
    client_id: str
    port: int
    data_folder: Path
    resource: str = ""
    """The URL of the API that has the schools' data; empty where there is none yet."""
    smtp_host: str = "localhost"
    smtp_port: int = 25
    invite_code: str = ""
    """A code that always works and that the sign-up page shows: for demonstrations."""
    poll_seconds: float = 30.0
    """How many seconds pass until the provider is asked what has changed, in addition to its events."""

    @property
    def url(self) -> str:
        """Our own URL; every link that leaves us is built from it, never from the Host header."""
        return f"http://localhost:{self.port}"

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.data_folder / f"{self.application.key}.sqlite3"

    @property
    def key_file(self) -> Path:
        """The file of the private keys."""
        return self.data_folder / f"{self.application.key}.keys.json"


def from_environment(application: Application, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read ASSEMBLY_ISSUER, _CLIENT_ID, _PORT, _DATA, _RESOURCE, _SMTP, _INVITE_CODE and _POLL_SECONDS.

    The names of SchoolBooking begin with SCHOOLBOOKING. Raises `InvalidSettings`.
    """
    problems: list[str] = []
    prefix = application.key.upper()

    def read(name: str, default: str) -> str:
        return environment.get(f"{prefix}_{name}", default)

    issuer, resource = read("ISSUER", "http://localhost:5000").rstrip("/"), read("RESOURCE", "").rstrip("/")
    for name, url in (("ISSUER", issuer), ("RESOURCE", resource)):
        if (url or name == "ISSUER") and not _is_http_url(url):
            problems.append(f"{prefix}_{name}: must be an http or https URL")
    port = read("PORT", "5001")
    if not _is_port(port):
        problems.append(f"{prefix}_PORT: must be a number from 1 to 65535")
    smtp_host, _, smtp_port = read("SMTP", "localhost:25").rpartition(":")
    if not smtp_host or not _is_port(smtp_port):
        problems.append(f"{prefix}_SMTP: must be a host and a port, such as localhost:25")
    seconds = read("POLL_SECONDS", "30")
    if not seconds.isascii() or not seconds.isdigit() or int(seconds) < 1:
        problems.append(f"{prefix}_POLL_SECONDS: must be a whole number of seconds, at least 1")
    if problems:
        raise InvalidSettings(application.name, *problems)
    return Settings(
        application=application, issuer=issuer, client_id=read("CLIENT_ID", application.key), port=int(port),
        data_folder=Path(read("DATA", "var/assembly")), resource=resource,
        smtp_host=smtp_host, smtp_port=int(smtp_port), invite_code=read("INVITE_CODE", ""), poll_seconds=float(seconds),
    )  # fmt: skip


def _is_http_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536
