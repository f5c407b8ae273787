"""Where everything is: three addresses, the files below `var/`, and the environment of what is started."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings

FOLDER = ROOT / "var" / "demo"
SECRET = FOLDER / "assembly.secret"
ASSEMBLY = FOLDER / "assembly"
COMMAND = FOLDER / "idp"
"""A script that runs `idp` with the demonstration's settings, whatever they are this time."""


class WrongPort(Exception):
    """A setting that should be a port is not; the message names it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A port of this machine, what listens there, and the setting that moves it."""

    name: str
    port: int
    setting: str

    @property
    def url(self) -> str:
        """Its address in a browser."""
        return f"http://localhost:{self.port}"


@dataclass(frozen=True, slots=True)
class Places:
    """The three addresses of a demonstration."""

    idp: Place
    assembly: Place
    mailbox: Place

    def __iter__(self) -> Iterator[Place]:
        return iter((self.idp, self.assembly, self.mailbox))


def chosen(environment: Mapping[str, str] = os.environ) -> Places:
    """The ports that the environment asks for, or ours. Raises `WrongPort`."""
    return Places(
        Place("the identity provider", _port(environment, "IDP_SERVER__PORT", 5000), "IDP_SERVER__PORT"),
        Place("Assembly", _port(environment, "ASSEMBLY_PORT", 5001), "ASSEMBLY_PORT"),
        Place("the demo mailbox", _port(environment, "MAILBOX_PORT", 5002), "MAILBOX_PORT"),
    )


def _port(environment: Mapping[str, str], setting: str, otherwise: int) -> int:
    text = environment.get(setting, str(otherwise))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise WrongPort(f"{setting}: must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def busy(places: Places) -> list[str]:
    """For each port that cannot be had: which, why, and what to do about it."""
    faults = []
    seen: dict[int, Place] = {}
    for place in places:
        other = seen.setdefault(place.port, place)
        if other is not place:
            faults.append(f"Port {place.port} is wanted twice, by {other.setting} and by {place.setting}.")
        elif is_taken(place.port):
            faults.append(
                f"Port {place.port} is in use: another program listens where {place.name} should. "
                f"Stop it, or choose another port: {place.setting}={place.port + 100} make demo"
            )
    return faults


def is_taken(port: int) -> bool:
    """Whether `port` of this machine is in use on either loopback address, or not allowed to us."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as asking:
            asking.settimeout(1)
            if asking.connect_ex((address, port)) == 0:
                return True
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ours from a minute ago does no harm
        try:
            trying.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def provider_environment(places: Places, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the identity provider is told; the issuer follows the port unless it is set by itself."""
    ours = {
        "IDP_CONFIG": "config/development.toml",
        "IDP_SERVER__PORT": str(places.idp.port),
        "IDP_SERVER__ISSUER": places.idp.url,
    }
    return ours | {name: value for name, value in environment.items() if name.startswith("IDP_")}


def clients_environment(places: Places, settings: Settings) -> dict[str, str]:
    """What the partner and the mailbox are told."""
    return {
        "ASSEMBLY_ISSUER": settings.server.issuer,
        "ASSEMBLY_CLIENT_SECRET_FILE": str(SECRET),
        "ASSEMBLY_PORT": str(places.assembly.port),
        "ASSEMBLY_DATA": str(ASSEMBLY),
        "MAILBOX_PORT": str(places.mailbox.port),
        "MAILBOX_DIR": str(settings.outbox.mailbox),
    }


def moved(value: object, to: str, *, by: str) -> object:
    """A manifest's value with every address that begins with `by` begun with `to` instead."""
    if isinstance(value, str):
        return to + value.removeprefix(by) if value == by or value.startswith(f"{by}/") else value
    if isinstance(value, list):
        return [moved(each, to, by=by) for each in value]
    if isinstance(value, dict):
        return {name: moved(each, to, by=by) for name, each in value.items()}
    return value


def database_files(settings: Settings) -> list[Path]:
    """The SQLite database with its companions, below `var/`; none where the database is elsewhere."""
    parts = urlsplit(settings.database.url)
    file = ROOT / parts.path.removeprefix("/")
    if parts.scheme != "sqlite" or not file.is_relative_to(ROOT / "var"):
        return []
    return [file.with_name(file.name + end) for end in ("", "-wal", "-shm", "-journal")]
