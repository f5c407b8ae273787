"""What each application has: settings, sealer, password hasher, ports, and values such as caches that modules declare.

Verb modules import no Flask; they read all of it here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from flask import Flask, current_app, has_request_context, request

from idp.foundation.crypto import Passwords, Sealer
from idp.foundation.ports import Ports
from idp.foundation.settings import Settings

MAY_HASH = "idp.may_hash"
"""The WSGI environment key that marks a request which was admitted to hash (`foundation/web/admission`)."""

EXTENSION_NAME: Final = "idp"
"""The key of our one entry in `app.extensions`."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Built once by `create_app`."""

    settings: Settings
    sealer: Sealer
    passwords: Passwords
    ports: Ports
    values: dict["PerApplication[Any]", Any] = field(default_factory=dict)


class PerApplication(Generic[T]):
    """A value that each application has for itself: a constant of the module that owns it, read by `get()`.

    `make` makes it when it is first read; without `make`, the module's `configure` must `set` it before.
    """

    def __init__(self, make: Callable[[], T] | None = None) -> None:
        self._make = make

    def get(self) -> T:
        """The value of the current application."""
        values = _current().values
        return values[self] if self in values else self._make_value(values)

    def for_app(self, app: Flask) -> T:
        """The value of `app`."""
        values = for_app(app).values
        return values[self] if self in values else self._make_value(values)

    def set(self, app: Flask, value: T) -> None:
        """Give `app` this value."""
        for_app(app).values[self] = value

    def _make_value(self, values: dict["PerApplication[Any]", Any]) -> T:
        if self._make is None:
            raise LookupError("this value is set by its module's `configure`, which was not called")
        value: T = values.setdefault(self, self._make())
        return value


def configure(app: Flask, settings: Settings, ports: Ports) -> None:
    """Build the runtime of `app`."""
    cheap = settings.environment == "test"  # the real cost would make the suite a benchmark of argon2
    hasher = Passwords(memory_kib=64, passes=1) if cheap else Passwords()
    app.extensions[EXTENSION_NAME] = Runtime(settings, Sealer(settings.secrets.sealing), hasher, ports)


def for_app(app: Flask) -> Runtime:
    """The runtime of `app`."""
    runtime: Runtime = app.extensions[EXTENSION_NAME]
    return runtime


def _current() -> Runtime:
    """The runtime of the current application, without the context-local proxy: it is read a dozen times a request."""
    runtime: Runtime = current_app._get_current_object().extensions[EXTENSION_NAME]  # type: ignore[attr-defined]  # noqa: SLF001
    return runtime


def settings() -> Settings:
    """The settings, read once at start. Without a call of `_current`, as they are read a dozen times a request."""
    return current_app._get_current_object().extensions[EXTENSION_NAME].settings  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def sealer() -> Sealer:
    """The sealer of values at rest."""
    return _current().sealer


def ports() -> Ports:
    """The functions of layers above."""
    return _current().ports


def passwords() -> Passwords:
    """The password hasher.

    Raises `RuntimeError` in a view without `@admission.hashes_passwords`, which would keep quick requests waiting.
    """
    if has_request_context() and MAY_HASH not in request.environ:
        raise RuntimeError(f"{request.endpoint} hashes, and is not marked by admission.hashes_passwords")
    return _current().passwords


def url(path: str) -> str:
    """The absolute URL of a local path, built from the issuer and never from the request."""
    return settings().server.issuer + path


def render_text(template: str, /, **context: object) -> str:
    """A template as text, with the service's name and contacts in it: for mails and messages.

    What pages are given in addition (who is signed in, navigation) is left out: a mail has no request.
    """
    return current_app.jinja_env.get_template(template).render(_template_context(), **context)


def render_block(template: str, block: str, /, **context: object) -> str:
    """One block of a template as text, with the variables of `render_text`: the subject of a mail."""
    source = current_app.jinja_env.get_template(template)
    return "".join(source.blocks[block](source.new_context(_template_context() | context)))


def _template_context() -> dict[str, object]:
    return {"service": settings().service, "issuer": settings().server.issuer}
