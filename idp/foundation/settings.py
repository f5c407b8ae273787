"""Every setting there is, typed, read once, and frozen from then on.

Read from `config/default.toml`, then the file `IDP_CONFIG` names (usually `config/development.toml`), then
the environment (`IDP_DATABASE__URL` is `[database] url`). An unknown name is an error, and all faults are
reported together. Production refuses what is only fit for a demonstration.
"""

import base64
import binascii
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder; relative paths in settings start here."""


def _absolute(path: Path) -> Path:
    return path if path.is_absolute() else ROOT / path


def _no_slash(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http or https address without query or fragment")
    return url.rstrip("/")


def _key(text: Any) -> Any:
    if isinstance(text, str):
        try:
            text = base64.b64decode(text, validate=True)
        except binascii.Error as fault:
            raise ValueError("must be 32 bytes in base64") from fault
    if not isinstance(text, bytes) or len(text) != 32:
        raise ValueError("must be 32 bytes in base64")
    return text


FilePath = Annotated[Path, AfterValidator(_absolute)]
Url = Annotated[str, AfterValidator(_no_slash)]
Key = Annotated[bytes, BeforeValidator(_key)]
Seconds = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Service(Section):
    """What the service is called and whom to ask for help."""

    name: str
    logo: str
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    support_email: str
    support_phone: str
    support_hours: str
    privacy_url: str = ""
    accessibility_url: str = ""
    security_contact: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+|tel:\+[0-9-]+)?$")] = ""
    security_policy_url: Annotated[str, Field(pattern=r"^(https://\S+)?$")] = ""
    installer_url: str
    remote_support_url: str


class Server(Section):
    """Where we are, and how we are served."""

    issuer: Url
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    workers: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    proxy_header: Literal["X-Forwarded-For", "Forwarded"]
    trusted_proxies: Annotated[int, Field(ge=0)]
    max_body: Annotated[int, Field(ge=65536)]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    log_format: Literal["json", "console"]

    @property
    def host_name(self) -> str:
        """The one host we answer for, with its port where it has one."""
        return urlsplit(self.issuer).netloc

    @property
    def is_https(self) -> bool:
        """Whether cookies may demand https."""
        return self.issuer.startswith("https://")


class Database(Section):
    """SQLite by default; PostgreSQL by its address, `postgresql+psycopg://…`."""

    url: str
    pool_size: Annotated[int, Field(ge=1)]
    busy_timeout: Seconds


class Secrets(Section):
    """Keys from the environment. `sealing` maps a key id to a key: the first seals, all unseal."""

    sealing: dict[str, Key]
    session: Key
    tokens: Key

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not self.sealing:
            raise ValueError("sealing: needs at least one key")
        return self


class Mail(Section):
    """How e-mail leaves: `smtp`, `console`, or the demonstration's `mailbox`."""

    channel: Literal["smtp", "console", "mailbox"]
    sender: str
    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    username: str
    password: SecretStr
    timeout: Seconds


class Sms(Section):
    """How text messages leave: an `http` gateway, `console`, or the demonstration's `mailbox`."""

    channel: Literal["http", "console", "mailbox"]
    sender: str
    gateway_url: str
    gateway_token: SecretStr


class Outbox(Section):
    """Delivery: how often to look, and for how many hours to retry."""

    interval: Annotated[float, Field(gt=0)]
    give_up_hours: Annotated[int, Field(ge=1)]
    mailbox: FilePath


class Throttle(Section):
    """Limits. `storage` is `memory://` on one process, `redis://…` on several; `factor` widens all of them."""

    storage: str
    factor: Annotated[int, Field(ge=1)]
    account_guesses: Annotated[int, Field(ge=1)]
    account_window: Seconds
    account_sign_ins: Annotated[int, Field(ge=1)]
    address_guesses: Annotated[int, Field(ge=1)]


class Session(Section):
    """Browser sessions, in seconds, and how many a person may have."""

    idle: Seconds
    absolute: Seconds
    operator_idle: Seconds
    per_person: Annotated[int, Field(ge=1)]
    device: Seconds


class Tokens(Section):
    """Lifetimes in seconds (protocol.md §2.1 and §2.2), and whether DPoP proofs need our nonce."""

    code: Seconds
    code_fapi2: Seconds
    access: Seconds
    access_fapi2: Seconds
    id_token: Seconds
    refresh_absolute: Seconds
    refresh_absolute_public: Seconds
    refresh_idle: Seconds
    refresh_grace: Seconds
    pushed_request: Seconds
    interaction: Seconds
    skew: Seconds
    skew_fapi2: Seconds
    dpop_nonces: bool


class Keys(Section):
    """The key ring, in seconds: publish a key this long before it signs; re-read the ring this often."""

    publish_before: Seconds
    reread: Seconds


class Schools(Section):
    """The national register."""

    download_url: Url
    sample: FilePath
    sample_links: FilePath
    stale_after_days: Annotated[int, Field(ge=1)]


class Onboarding(Section):
    """Registration: link lifetime in seconds, working days until a new school is due, join requests in days."""

    proof_lifetime: Seconds
    due_working_days: Annotated[int, Field(ge=1)]
    join_lifetime_days: Annotated[int, Field(ge=1)]
    registration_lifetime_days: Annotated[int, Field(ge=1)]


class Sharing(Section):
    """How long an authorisation lasts, in days, unless the client asks for less."""

    default_days: Annotated[int, Field(ge=1)]


class Fetch(Section):
    """The one way out. The switches are for tests; production refuses them."""

    timeout: Annotated[float, Field(gt=0)]
    allow_loopback: bool
    extra_ca: str
    private_hosts: tuple[str, ...]


class Retention(Section):
    """What is kept how long, in days (security.md §6.4)."""

    expired: Annotated[int, Field(ge=0)]
    counters: Annotated[int, Field(ge=0)]
    registrations: Annotated[int, Field(ge=1)]
    outbox: Annotated[int, Field(ge=1)]
    outbox_failed: Annotated[int, Field(ge=1)]
    sessions: Annotated[int, Field(ge=1)]
    client_events: Annotated[int, Field(ge=1)]
    rejected: Annotated[int, Field(ge=1)]
    register_changes: Annotated[int, Field(ge=1)]
    revoked: Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """All of it. Build with `load()`, which reports every fault in one `BadSettings`."""

    model_config = SettingsConfigDict(
        env_prefix="IDP_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    environment: Literal["development", "test", "production"]
    service: Service
    server: Server
    database: Database
    secrets: Annotated[Secrets, Field(repr=False)]
    mail: Mail
    sms: Sms
    outbox: Outbox
    throttle: Throttle
    session: Session
    tokens: Tokens
    keys: Keys
    schools: Schools
    onboarding: Onboarding
    sharing: Sharing
    fetch: Fetch
    retention: Retention

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the files, the later file first."""
        files = [ROOT / "config" / "default.toml"]
        if named := os.environ.get("IDP_CONFIG"):
            files.append(_absolute(Path(named)))
        tables = (InitSettingsSource(settings_cls, init_kwargs=_read(file)) for file in reversed(files))
        return (init_settings, env_settings, *tables)

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if self.environment == "production":
            faults = list(_unfit(self))
            if faults:
                raise ValueError("; ".join(faults))
        return self


def _unfit(settings: Settings) -> list[str]:
    """What production may not have (security.md S40)."""
    sample = tomllib.loads((ROOT / "config" / "development.toml").read_text("utf-8")).get("secrets", {})
    shipped = {_key(sample[name]) for name in ("session", "tokens") if name in sample}
    shipped |= {_key(value) for value in sample.get("sealing", {}).values()}
    secrets = settings.secrets
    checks = {
        "server.issuer: must be https": not settings.server.is_https,
        "secrets: one of them is the development key that everyone has": bool(
            shipped & {secrets.session, secrets.tokens, *secrets.sealing.values()}
        ),
        "mail.channel: must be smtp": settings.mail.channel != "smtp",
        "sms.channel: must be http": settings.sms.channel != "http",
        "fetch.allow_loopback: is for tests": settings.fetch.allow_loopback,
        "fetch.extra_ca: is for tests": bool(settings.fetch.extra_ca),
        "throttle.factor: must be 1": settings.throttle.factor != 1,
        "throttle.storage: several workers need redis://": settings.server.workers > 1
        and settings.throttle.storage.startswith("memory"),
        "server.workers: SQLite is for one": settings.server.workers > 1 and settings.database.url.startswith("sqlite"),
    }
    return [fault for fault, there in checks.items() if there]


class BadSettings(Exception):
    """The settings are wrong; the message lists every fault with the name of its setting."""


def load(**overrides: Any) -> Settings:
    """Read the settings, or raise `BadSettings` naming all that is wrong with them."""
    faults = [f"{name}: there is no such setting" for name in _unknown_in_environment()]
    try:
        settings = Settings(**overrides)
    except ValidationError as bad:
        for fault in bad.errors():
            place = ".".join(str(part) for part in fault["loc"])
            faults.append(f"{place}: {fault['msg']}" if place else fault["msg"])
    except (OSError, tomllib.TOMLDecodeError) as bad:
        faults.append(str(bad))
    if faults:
        raise BadSettings("The settings have faults:\n  " + "\n  ".join(faults))
    return settings


def _read(file: Path) -> dict[str, Any]:
    """One TOML file; raises `OSError` and `TOMLDecodeError` with the file's name in it."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as fault:
        raise tomllib.TOMLDecodeError(f"{file.name}: {fault}") from fault


def _unknown_in_environment() -> list[str]:
    """Names that begin with IDP_ and mean nothing: a misspelt setting must not be silently ignored."""
    known = {"IDP_CONFIG", "IDP_OPERATOR"}
    prefixes: tuple[str, ...] = ()
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            known.add(f"IDP_{name}".upper())
            for inner, detail in section.model_fields.items():
                known.add(f"IDP_{name}__{inner}".upper())
                if _is_table(detail):
                    prefixes += (f"IDP_{name}__{inner}__".upper(),)
        else:
            known.add(f"IDP_{name}".upper())
    mine = (name.upper() for name in os.environ if name.upper().startswith("IDP_"))
    return sorted(name for name in mine if name not in known and not name.startswith(prefixes or ("\0",)))


def _is_table(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("dict")
