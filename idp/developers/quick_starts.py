"""Quick starts: for each piece of client software, the registration that suits it, and its exact settings or code.

A folder of `software/` has `quick_start.toml`, which `QuickStart` describes, and the files that it names, as templates
with the suffix `.jinja`. `render` fills in an issuer, a client id and a URL. A secret is never filled in: every
file reads it from the environment.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict

from idp.foundation import runtime, scopes
from idp.foundation.errors import NotFound, Refusal
from idp.oidc.clients import client_assertion
from idp.partners import registry, uris
from idp.partners.models import Client

FOLDER: Final = Path(__file__).parent / "software"
CLIENT_ID: Final = "YOUR_CLIENT_ID"
"""The placeholder for a client id, until one is given."""
DEFAULT_PORT: Final = 3000
ADDRESS: Final = f"http://localhost:{DEFAULT_PORT}"
"""The URL of the application, until one is given."""
_VALUES: Final = {"CLIENT_SECRET": "'the secret from the registration'", "SESSION_SECRET": '"$(openssl rand -hex 16)"'}
"""What a shell sets variables of `QuickStart.environment` to."""
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9._~-]+")
"""Client ids that need no escaping in any of the languages."""
_TEMPLATES: Final = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  code, not HTML: the page escapes it


class UnknownQuickStart(NotFound):
    """There is no quick start for that software."""

    code, title = "unknown_quick_start", "There is no such quick start"
    message = "We have no quick start for that software. The list shows all that we have."


class InvalidValue(Refusal):
    """A client id or a URL cannot be filled in; `field` is `client_id` or `address`."""

    code, status, title = "invalid_value", 422, "This cannot be filled in"

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class QuickStart(BaseModel):
    """The content of `quick_start.toml`. `id` is the name of its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    language: str
    what: str
    """What is built with it, in a sentence."""
    website: str
    """Where its own documentation is."""
    packages: tuple[str, ...] = ()
    """What has to be installed, with the versions that were tried where they matter."""
    install: str = ""
    """The command that does so."""
    key_files: tuple[str, ...] = ()
    """The files with which its key pair is made, if it signs instead of having a secret. Templates as `files`."""
    make_key: str = ""
    """The command that makes the key pair, and prints the public half as a key set."""
    files: tuple[str, ...]
    """The files to write; each is a template of this name and `.jinja`."""
    run: str = ""
    """The command that starts it."""
    environment: tuple[str, ...] = ()
    """Variables that it reads, whose values are secrets."""
    start: str = ""
    """The path of the application at which a sign-in begins; empty if no person signs in at it."""
    result: str = ""
    """What is seen after a sign-in, if it is not a page that says who signed in."""
    sign_out: str = "/sign-out"
    """The path of the application at which people sign out."""
    stays_signed_in: bool = False
    """Whether people who sign out of the application are still signed in here."""
    notes: tuple[str, ...] = ()
    """What goes wrong where a setting is left out, and other things to know."""
    not_run: str = ""
    """Why our tests do not run it; empty if they do."""
    registration: dict[str, Any]
    """The names of the manifest (`partners.manifest`) that depend on the software."""

    @property
    def has_key(self) -> bool:
        """Whether it signs with a key instead of having a secret."""
        return bool(self.make_key)

    @property
    def security(self) -> str:
        """`private_key_jwt` or `fapi2` if it signs with a key, by what it registers; else empty."""
        return str(self.registration.get("profile", "private_key_jwt")) if self.has_key else ""


@dataclass(frozen=True, slots=True)
class Values:
    """The values to fill in: our issuer, the client id, and the URL of the application without a path."""

    issuer: str
    client_id: str = CLIENT_ID
    address: str = ADDRESS

    @property
    def is_behind_proxy(self) -> bool:
        """Whether a TLS-terminating proxy is at the URL, so that the application listens elsewhere."""
        return self.address.startswith("https:")

    @property
    def host(self) -> str:
        """Where the application listens."""
        return "127.0.0.1" if self.is_behind_proxy else urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return DEFAULT_PORT if self.is_behind_proxy else urlsplit(self.address).port or 80


@dataclass(frozen=True, slots=True)
class Rendered:
    """A quick start with the values filled in."""

    quick_start: QuickStart
    registration: dict[str, Any]
    """Part of a manifest."""
    manifest: str
    """The same as TOML."""
    key_files: dict[str, str]
    """Each file's text, by its name."""
    files: dict[str, str]
    install: str
    run: str
    environment: str
    """Commands that set the variables of `QuickStart.environment`, without a secret in them."""


@cache
def catalogue() -> dict[str, QuickStart]:
    """All quick starts by id, sorted by language and name."""
    quick_starts = [
        QuickStart(id=path.parent.name, **tomllib.loads(path.read_text("utf-8")))
        for path in FOLDER.glob("*/quick_start.toml")
    ]
    ordered = sorted(quick_starts, key=lambda item: (item.language.casefold(), item.name.casefold()))
    return {item.id: item for item in ordered}


def find(quick_start_id: str) -> QuickStart:
    """The quick start with this id. Raises `UnknownQuickStart`."""
    quick_start = catalogue().get(quick_start_id)
    if quick_start is None:
        raise UnknownQuickStart(reason=f"quick start {quick_start_id[:50]!r}")
    return quick_start


def fill_values(client_id: str = "", address: str = "") -> Values:
    """What to fill in: our own issuer, and what is given, or else the placeholders. Raises `InvalidValue`."""
    if client_id and not (registry.is_plausible_id(client_id) and _PLAIN_ID.fullmatch(client_id)):
        raise InvalidValue("client_id", "A client id has letters, digits, hyphens and underscores only.")
    if address:
        address = _origin(address)
    return Values(runtime.settings().server.issuer, client_id or CLIENT_ID, address or ADDRESS)


def render(quick_start: QuickStart, values: Values) -> Rendered:
    """The quick start's registration, files and commands with these values."""
    tokens, is_fapi2 = runtime.settings().tokens, quick_start.registration.get("profile") == "fapi2"
    context = {
        "issuer": values.issuer, "client_id": values.client_id, "address": values.address,
        "host": values.host, "port": values.port,
        "scopes": (names := _scopes(quick_start)), "scope": " ".join(names),
        "access_token_minutes": (tokens.access_fapi2 if is_fapi2 else tokens.access) // 60,
        "assertion_minutes": client_assertion.MAX_LIFETIME_SECONDS // 60,
        "behind_proxy": values.is_behind_proxy,
    }  # fmt: skip
    # What depends on the URL is empty where it does not suit it.
    registration = {name: value for name, value in _fill_in(quick_start.registration, context).items() if value != ""}
    folder = FOLDER / quick_start.id

    def texts(names: tuple[str, ...]) -> dict[str, str]:
        return {name: _text((folder / f"{name}.jinja").read_text("utf-8"), context) for name in names}

    return Rendered(
        quick_start,
        registration,
        to_toml({"client_id": values.client_id, **registration}),
        texts(quick_start.key_files),
        texts(quick_start.files),
        _text(quick_start.install, context),
        _text(quick_start.run, context),
        "\n".join(f"export {name}={_VALUES[name]}" for name in quick_start.environment),
    )


def missing_redirect_uris(quick_start: QuickStart, values: Values, client: Client) -> list[str]:
    """The redirect URIs that the software uses at this URL and that `client` does not have registered."""
    uris_of_software = render(quick_start, values).registration.get("redirect_uris", [])
    return [uri for uri in uris_of_software if not registry.matches_any(uri, client.redirect_uris)]


def to_toml(table: dict[str, Any], name: str = "") -> str:
    """A table of strings, booleans, lists of strings and tables, in TOML."""
    lines = [f"[{name}]"] if name else []
    # JSON's strings, booleans and lists are TOML's as well, where they are ASCII.
    lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    tables = [
        to_toml(value, f"{name}.{key}" if name else key) for key, value in table.items() if isinstance(value, dict)
    ]
    return "\n".join(lines) + "\n" + "".join(f"\n{text}" for text in tables)


def _scopes(quick_start: QuickStart) -> list[str]:
    """The scopes of its registration that a school is asked for, in the catalogue's order."""
    registered = quick_start.registration["scopes"]
    asked_for = {*registered.get("required", ()), *registered.get("optional", ())}
    return [name for name in scopes.catalogue() if name in asked_for]


def _fill_in(value: Any, context: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return _text(value, context)
    if isinstance(value, list):
        return [_fill_in(item, context) for item in value]
    if isinstance(value, dict):
        return {name: _fill_in(item, context) for name, item in value.items()}
    return value


def _text(template: str, context: dict[str, Any]) -> str:
    return _TEMPLATES.from_string(template).render(context)


def _origin(address: str) -> str:
    """The URL without a path. Raises `InvalidValue`."""
    try:
        uris.web(address.rstrip("/") + "/", local=True)
    except ValueError as error:
        raise InvalidValue("address", f"The URL {error}.") from None
    parts = urlsplit(address)
    if parts.path not in {"", "/"} or parts.query or "'" in parts.netloc:
        raise InvalidValue("address", "The URL must end after the host and port: https://app.example, for instance.")
    return f"{parts.scheme}://{parts.netloc}"
