"""What the running application was built with: its settings, its sealer, its password hasher.

Verb modules know no Flask; they ask here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask, current_app

from idp.foundation.crypto import Passwords, Sealer
from idp.foundation.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Built once by `create_app`."""

    settings: Settings
    sealer: Sealer
    passwords: Passwords


def configure(app: Flask, settings: Settings) -> None:
    """Build the runtime of `app`."""
    cheap = settings.environment == "test"  # the real cost would make the suite a benchmark of argon2
    hasher = Passwords(memory_kib=64, passes=1, patience=30) if cheap else Passwords()
    app.extensions["idp"] = Runtime(settings, Sealer(settings.secrets.sealing), hasher)


def _current() -> Runtime:
    found: Runtime = current_app.extensions["idp"]
    return found


def settings() -> Settings:
    """The settings, read once at start."""
    return _current().settings


def sealer() -> Sealer:
    """What seals values at rest."""
    return _current().sealer


def passwords() -> Passwords:
    """What hashes passwords, one at a time."""
    return _current().passwords


def kept(name: str, make: Callable[[], T]) -> T:
    """What a room keeps for the life of the application, such as its key ring; made when first asked for."""
    if name not in current_app.extensions:
        current_app.extensions.setdefault(name, make())
    found: T = current_app.extensions[name]
    return found


def url(path: str) -> str:
    """The full address of a local path, built from the issuer and never from the request."""
    return settings().server.issuer + path


def rendered(template: str, /, **context: object) -> str:
    """A template as text, with the service's name and contacts in it: for mails and messages.

    What pages are given besides (who is signed in, navigation) is left out: a mail has no request.
    """
    return current_app.jinja_env.get_template(template).render(_surroundings(), **context)


def rendered_block(template: str, block: str, /, **context: object) -> str:
    """One block of a template as text, with the same in it: a mail's subject."""
    found = current_app.jinja_env.get_template(template)
    return "".join(found.blocks[block](found.new_context(_surroundings() | context)))


def _surroundings() -> dict[str, object]:
    return {"service": settings().service, "issuer": settings().server.issuer}
