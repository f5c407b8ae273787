"""The services of a demonstration, its files below `var/`, and the environment variables of its programs."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings

FOLDER = ROOT / "var" / "demo"
ASSEMBLY = FOLDER / "assembly"
XPORTER = FOLDER / "xporter"
ENDPOINT = FOLDER / "endpoint"
"""The settings and the key of the program that stands for the school's server."""
MIS = FOLDER / "mis"
"""What the fictional school's system (MIS) exports."""
INVITE_CODE = "WELCOME-TO-ASSEMBLY"
"""The code with which anybody can sign up at the partner's applications."""
COMMAND = FOLDER / "idp"
"""A script that runs `idp` with the settings of the running demonstration."""
SERVER_COMMAND = FOLDER / "school-server"
"""A script that runs the endpoint, as on the school's server."""
MIS_COMMAND = FOLDER / "school-mis"
"""A script that changes the fictional school, as its office would in the MIS."""


class InvalidPort(Exception):
    """A setting is not a valid port; the message names it."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program that listens on a port of this machine, and the setting that changes the port."""

    name: str
    port: int
    setting: str

    @property
    def url(self) -> str:
        """Its address in a browser."""
        return f"http://localhost:{self.port}"


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a demonstration."""

    idp: Service
    assembly: Service
    mailbox: Service
    xporter: Service
    schoolbooking: Service
    smtp: Service
    """The port on which the mailbox receives mail."""

    def __iter__(self) -> Iterator[Service]:
        return iter((self.idp, self.assembly, self.mailbox, self.xporter, self.schoolbooking, self.smtp))


def from_environment(environment: Mapping[str, str] = os.environ) -> Services:
    """The services with the ports that the environment sets, or the default ones. Raises `InvalidPort`."""
    return Services(
        Service("the identity provider", _port(environment, "IDP_SERVER__PORT", 5000), "IDP_SERVER__PORT"),
        Service("Assembly", _port(environment, "ASSEMBLY_PORT", 5001), "ASSEMBLY_PORT"),
        Service("the demo mailbox", _port(environment, "MAILBOX_PORT", 5002), "MAILBOX_PORT"),
        Service("XporterOnDemand", _port(environment, "XPORTER_PORT", 5003), "XPORTER_PORT"),
        Service("SchoolBooking", _port(environment, "SCHOOLBOOKING_PORT", 5004), "SCHOOLBOOKING_PORT"),
        Service("the demo mailbox's SMTP", _port(environment, "MAILBOX_SMTP_PORT", 5025), "MAILBOX_SMTP_PORT"),
    )


def _port(environment: Mapping[str, str], setting: str, default: int) -> int:
    text = environment.get(setting, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidPort(f"{setting}: must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def port_problems(services: Services) -> list[str]:
    """A message for each port that cannot be used: which, why, and what to do about it."""
    problems = []
    seen: dict[int, Service] = {}
    for service in services:
        other = seen.setdefault(service.port, service)
        if other is not service:
            problems.append(f"Port {service.port} is set twice, by {other.setting} and by {service.setting}.")
        elif is_taken(service.port):
            problems.append(
                f"Port {service.port} is in use: another program listens where {service.name} should. "
                f"Stop it, or choose another port: {service.setting}={service.port + 100} make demo"
            )
    return problems


def is_taken(port: int) -> bool:
    """Whether `port` of this machine is in use on either loopback address, or not permitted to us."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as client:
            client.settimeout(1)
            if client.connect_ex((address, port)) == 0:
                return True
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as our programs do, for a quick restart
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def provider_environment(services: Services, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of the identity provider; the issuer follows the port unless it is set."""
    defaults = {
        "IDP_CONFIG": "config/development.toml",
        "IDP_SERVER__PORT": str(services.idp.port),
        "IDP_SERVER__ISSUER": services.idp.url,
    }
    return defaults | {name: value for name, value in environment.items() if name.startswith("IDP_")}


def clients_environment(services: Services, settings: Settings) -> dict[str, str]:
    """The variables of the programs that are not ours: the partner's, XporterOnDemand and the mailbox."""
    variables = {
        "MAILBOX_PORT": str(services.mailbox.port),
        "MAILBOX_SMTP_PORT": str(services.smtp.port),
        "MAILBOX_DIR": str(settings.outbox.mailbox),
        "XPORTER_ISSUER": settings.server.issuer,
        "XPORTER_RESOURCE": services.xporter.url,
        "XPORTER_PORT": str(services.xporter.port),
        "XPORTER_DATA": str(XPORTER),
    }
    for prefix, service in (("ASSEMBLY", services.assembly), ("SCHOOLBOOKING", services.schoolbooking)):
        variables |= {
            f"{prefix}_ISSUER": settings.server.issuer,
            f"{prefix}_PORT": str(service.port),
            f"{prefix}_DATA": str(ASSEMBLY),
            f"{prefix}_RESOURCE": services.xporter.url,
            f"{prefix}_SMTP": f"localhost:{services.smtp.port}",
            f"{prefix}_INVITE_CODE": INVITE_CODE,
            f"{prefix}_POLL_SECONDS": "10",
        }
    return variables


def replace_prefix(value: object, new: str, *, old: str) -> object:
    """A manifest's value in which every address that begins with `old` begins with `new`."""
    if isinstance(value, str):
        return new + value.removeprefix(old) if value == old or value.startswith(f"{old}/") else value
    if isinstance(value, list):
        return [replace_prefix(item, new, old=old) for item in value]
    if isinstance(value, dict):
        return {name: replace_prefix(item, new, old=old) for name, item in value.items()}
    return value


def database_files(settings: Settings) -> list[Path]:
    """The files of the SQLite database; empty unless the database is below `var/`."""
    parts = urlsplit(settings.database.url)
    file = ROOT / parts.path.removeprefix("/")
    if parts.scheme != "sqlite" or not file.is_relative_to(ROOT / "var"):
        return []
    return [file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]
