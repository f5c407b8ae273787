"""Assembly's settings, read from the environment once at start; all faults are reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class BadSettings(Exception):
    """The environment does not let Assembly start; one argument for each fault."""

    def __str__(self) -> str:
        return "\n  ".join(("Assembly cannot start:", *self.args))


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the provider is, who we are to it, where we listen, and where we keep our things."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    port: int
    data: Path

    @property
    def url(self) -> str:
        """Our own address; every link that leaves us is built from it, never from the Host header."""
        return f"http://localhost:{self.port}"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read ASSEMBLY_ISSUER, _CLIENT_ID, _CLIENT_SECRET_FILE, _PORT and _DATA; raises `BadSettings`."""
    faults: list[str] = []
    issuer = environment.get("ASSEMBLY_ISSUER", "http://localhost:5000").rstrip("/")
    if urlsplit(issuer).scheme not in {"http", "https"} or not urlsplit(issuer).hostname:
        faults.append("ASSEMBLY_ISSUER: must be the provider's http or https address")

    port = environment.get("ASSEMBLY_PORT", "5001")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        faults.append("ASSEMBLY_PORT: must be a number from 1 to 65535")

    secret = ""
    file = environment.get("ASSEMBLY_CLIENT_SECRET_FILE", "")
    try:
        secret = Path(file).read_text("ascii").strip() if file else ""
    except (OSError, UnicodeDecodeError):
        faults.append(f"ASSEMBLY_CLIENT_SECRET_FILE: {file} cannot be read")
    else:
        if not secret:
            faults.append("ASSEMBLY_CLIENT_SECRET_FILE: must name the file with the secret from registration")

    if faults:
        raise BadSettings(*faults)
    return Settings(
        issuer=issuer,
        client_id=environment.get("ASSEMBLY_CLIENT_ID", "assembly"),
        client_secret=secret,
        port=int(port),
        data=Path(environment.get("ASSEMBLY_DATA", "var/assembly")),
    )
