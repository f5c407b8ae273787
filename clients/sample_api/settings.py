"""The sample API's settings, read from the environment once at start; all faults are reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class BadSettings(Exception):
    """The environment does not let it start; one argument for each fault."""

    def __str__(self) -> str:
        return "\n  ".join(("The sample API cannot start:", *self.args))


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the provider is, who we are to it, and how we are reached."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    resource: str
    """Our own address, as it is registered: the `aud` of tokens for us, and where proofs are made for."""
    port: int


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read SAMPLE_API_ISSUER, _CLIENT_ID, _CLIENT_SECRET_FILE, _RESOURCE and _PORT; raises `BadSettings`."""
    faults: list[str] = []
    port = environment.get("SAMPLE_API_PORT", "5003")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        faults.append("SAMPLE_API_PORT: must be a number from 1 to 65535")
    addresses = {
        "SAMPLE_API_ISSUER": environment.get("SAMPLE_API_ISSUER", "http://localhost:5000").rstrip("/"),
        "SAMPLE_API_RESOURCE": environment.get("SAMPLE_API_RESOURCE", f"http://localhost:{port}").rstrip("/"),
    }
    for name, address in addresses.items():
        if urlsplit(address).scheme not in {"http", "https"} or not urlsplit(address).hostname:
            faults.append(f"{name}: must be an http or https address")
    secret, file = "", environment.get("SAMPLE_API_CLIENT_SECRET_FILE", "")
    try:
        secret = Path(file).read_text("ascii").strip() if file else ""
    except (OSError, UnicodeDecodeError):
        faults.append(f"SAMPLE_API_CLIENT_SECRET_FILE: {file} cannot be read")
    else:
        if not secret:
            faults.append("SAMPLE_API_CLIENT_SECRET_FILE: must name the file with the secret from registration")
    if faults:
        raise BadSettings(*faults)
    return Settings(
        addresses["SAMPLE_API_ISSUER"], environment.get("SAMPLE_API_CLIENT_ID", "sample-api"), secret,
        addresses["SAMPLE_API_RESOURCE"], int(port),
    )  # fmt: skip
