"""What the running application was built with: its settings, its sealer, its password hasher.

Verb modules know no Flask; they ask here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, current_app, has_request_context, request

from idp.foundation.crypto import Passwords, Sealer
from idp.foundation.settings import Settings

MAY_HASH = "idp.may_hash"
"""In the environment of a request that was admitted to hash (`foundation/web/admission`)."""

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
    hasher = Passwords(memory_kib=64, passes=1) if cheap else Passwords()
    app.extensions["idp"] = Runtime(settings, Sealer(settings.secrets.sealing), hasher)


def _extensions() -> dict[str, Any]:
    """What hangs on the application, past the proxy: asked for a dozen times in a request."""
    found: dict[str, Any] = current_app._get_current_object().extensions  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def settings() -> Settings:
    """The settings, read once at start."""
    found: Settings = _extensions()["idp"].settings
    return found


def sealer() -> Sealer:
    """What seals values at rest."""
    found: Sealer = _extensions()["idp"].sealer
    return found


def passwords() -> Passwords:
    """What hashes passwords, one at a time.

    Raises `RuntimeError` in a view that is not marked by `admission.hashes`: it would keep quick requests waiting.
    """
    if has_request_context() and MAY_HASH not in request.environ:
        raise RuntimeError(f"{request.endpoint} hashes, and is not marked by admission.hashes")
    found: Passwords = _extensions()["idp"].passwords
    return found


def kept(name: str, make: Callable[[], T]) -> T:
    """A value of the application, such as its key ring, which `make` makes when it is first needed."""
    here = _extensions()
    found: T | None = here.get(name)
    return here.setdefault(name, make()) if found is None else found


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
