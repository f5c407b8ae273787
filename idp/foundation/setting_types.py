"""Types of settings. They check that a value can be used, not only that it has the right form."""

import base64
import binascii
import ipaddress
import re
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

ROOT: Final = Path(__file__).resolve().parents[2]
"""The project's folder; relative paths in settings start here."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DATABASES: Final = ("sqlite", "postgresql+psycopg")
LIMIT_STORAGES: Final = ("memory://", "redis://", "rediss://", "redis+unix://", "unix://")


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def absolute(path: Path) -> Path:
    """`path`, which may be relative to the project's folder."""
    return path if path.is_absolute() else ROOT / path


def host_name(text: str) -> str:
    """A host without its trailing dot, in lower case: names are compared without case (RFC 4343)."""
    host = text.lower().removesuffix(".")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
            raise ValueError("must be a host name, such as sms.schools.example, without scheme, port or path") from None
    return host


def _parts(url: str) -> SplitResult:
    """The parts of an http or https URL without credentials, whose host and port can be used."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("cannot be read as a URL") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not have a user name or password in it")
    if port == 0 or not url.isprintable() or " " in url:
        raise ValueError("has a port or a character that is not allowed in a URL")
    host_name(parts.hostname)
    return parts


def _issuer(url: str) -> str:
    """Scheme, host and port in the one spelling that clients, browsers and we ourselves compare with."""
    parts = _parts(url)
    if parts.path.strip("/"):
        raise ValueError(
            "must not have a path: discovery, cookies and every link are at the root of the host. Give the service a "
            "host of its own"
        )
    if "?" in url or "#" in url:
        raise ValueError("must not have a query or fragment")
    host = host_name(str(parts.hostname))
    named = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    spelled = f"{parts.scheme}://{named}{port}"
    if url.rstrip("/") != spelled:
        raise ValueError(f"must be spelled {spelled}: clients compare it character by character")
    return spelled


def _base(url: str) -> str:
    """A URL to which paths are appended."""
    parts = _parts(url)
    if parts.query or parts.fragment:
        raise ValueError("must be an http or https URL without query or fragment")
    return url.rstrip("/")


def _url_or_empty(url: str) -> str:
    if url:
        _parts(url)
    return url


def _provider_issuer(url: str) -> str:
    """The issuer of an outside identity provider, exactly as its tokens spell it; `{tenantid}` may stand in it."""
    _base(url.replace("{tenantid}", "tenant"))
    return url


def _email(text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        raise ValueError("must be one e-mail address") from None
    host_name(address.domain)
    return text


def _sender(text: str) -> str:
    _email(parseaddr(text)[1])
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


def _database(url: str) -> str:
    try:
        driver = make_url(url).drivername
    except (ArgumentError, ValueError):
        raise ValueError("cannot be read as a database URL") from None
    if driver not in DATABASES:
        raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
    return url


def _limit_storage(url: str) -> str:
    if not url.startswith(LIMIT_STORAGES):
        raise ValueError("must be memory:// or begin with redis://, rediss:// or unix://")
    return url


def _listening(text: str) -> str:
    return text if text.startswith("unix:") else host_name(text)


def key(text: Any) -> Any:
    """32 bytes, from base64."""
    if isinstance(text, str):
        try:
            text = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("must be 32 bytes in base64") from error
    if not isinstance(text, bytes) or len(text) != 32:
        raise ValueError("must be 32 bytes in base64")
    return text


FilePath = Annotated[Path, AfterValidator(absolute)]
Issuer = Annotated[str, AfterValidator(_issuer)]
BaseUrl = Annotated[str, AfterValidator(_base)]
ProviderIssuer = Annotated[str, AfterValidator(_provider_issuer)]
UrlOrEmpty = Annotated[str, AfterValidator(_url_or_empty)]
HostName = Annotated[str, AfterValidator(host_name)]
ListenOn = Annotated[str, AfterValidator(_listening)]
EmailAddress = Annotated[str, AfterValidator(_email)]
Sender = Annotated[str, AfterValidator(_sender)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
LimitStorage = Annotated[str, AfterValidator(_limit_storage)]
Key = Annotated[bytes, BeforeValidator(key)]
Port = Annotated[int, Field(ge=1, le=65535)]
DAY_SECONDS: Final = 86_400
