"""Every setting there is, typed, read once, and frozen from then on.

Read from `config/default.toml`, then the file `IDP_CONFIG` names (usually `config/development.toml`), then
the environment (`IDP_DATABASE__URL` is `[database] url`). An unknown name is an error, and all errors are
reported together. Production refuses what is only fit for a demonstration.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from idp.foundation.provider_settings import Federation
from idp.foundation.setting_types import (
    DAY_SECONDS,
    ROOT,
    BaseUrl,
    DatabaseUrl,
    EmailAddress,
    FilePath,
    HostName,
    Issuer,
    Key,
    LimitStorage,
    ListenOn,
    Port,
    Section,
    Sender,
    UrlOrEmpty,
    absolute,
)

HASHING_PLACES: Final = 2
"""How many requests may hash a password at once, in addition to `server.threads` quick ones (`web/admission`)."""
Seconds = Annotated[int, Field(ge=0, le=400 * DAY_SECONDS)]


class Service(Section):
    """What the service is called and whom to ask for help."""

    name: str
    logo: str
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    support_email: EmailAddress
    support_phone: str
    support_hours: str
    privacy_url: UrlOrEmpty = ""
    accessibility_url: UrlOrEmpty = ""
    security_contact: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+|tel:\+[0-9-]+)?$")] = ""
    security_policy_url: Annotated[str, Field(pattern=r"^(https://\S+)?$")] = ""
    installer_url: UrlOrEmpty
    remote_support_url: UrlOrEmpty


class Server(Section):
    """The URL of the service, and how it is served."""

    issuer: Issuer
    host: ListenOn
    port: Annotated[int, Field(ge=0, le=65535)]
    workers: Annotated[int, Field(ge=1, le=256)]
    threads: Annotated[int, Field(ge=1, le=256)]
    proxy_header: Literal["X-Forwarded-For", "Forwarded"]
    trusted_proxies: Annotated[int, Field(ge=0, le=5)]
    max_body: Annotated[int, Field(ge=65536, le=16_777_216)]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    log_format: Literal["json", "console"]

    @property
    def host_name(self) -> str:
        """The one host whose requests are accepted, with its port if it has one."""
        return urlsplit(self.issuer).netloc

    @property
    def concurrent_requests(self) -> int:
        """How many requests one process runs at a time; each needs a connection to the database."""
        return self.threads + HASHING_PLACES

    @property
    def is_https(self) -> bool:
        """Whether cookies may demand https."""
        return self.issuer.startswith("https://")


class Database(Section):
    """SQLite by default; PostgreSQL by its URL, `postgresql+psycopg://…`."""

    url: DatabaseUrl
    pool_size: Annotated[int, Field(ge=1, le=100)]
    busy_timeout: Annotated[int, Field(ge=1, le=300)]

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file, which has no pool of connections and one writer."""
        return self.url.startswith("sqlite")


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
    sender: Sender
    host: HostName
    port: Port
    security: Literal["none", "starttls", "tls"]
    username: str
    password: SecretStr
    timeout: Annotated[int, Field(ge=1, le=120)]


class Sms(Section):
    """How text messages leave: `twilio`, GOV.UK `notify`, an `http` gateway, `console`, or the `mailbox`."""

    channel: Literal["twilio", "notify", "http", "console", "mailbox"]
    sender: str
    gateway_url: UrlOrEmpty
    gateway_token: SecretStr
    account: str
    template: str
    receipt_token: SecretStr

    @property
    def has_receipts(self) -> bool:
        """Whether the provider reports what became of a message."""
        by_token = self.channel in {"notify", "http"} and bool(self.receipt_token.get_secret_value())
        return self.channel == "twilio" or by_token


class Outbox(Section):
    """Delivery: how often to look, and for how many hours to retry."""

    interval: Annotated[float, Field(gt=0, le=60)]
    give_up_hours: Annotated[int, Field(ge=1, le=168)]
    mailbox: FilePath


class Throttle(Section):
    """Limits. `storage` is `memory://` on one process, `redis://…` on several; `factor` widens all of them."""

    storage: LimitStorage
    factor: Annotated[int, Field(ge=1)]
    account_guesses: Annotated[int, Field(ge=1, le=100)]
    account_window: Annotated[int, Field(ge=60, le=DAY_SECONDS)]
    account_sign_ins: Annotated[int, Field(ge=1, le=1_000_000)]
    address_guesses: Annotated[int, Field(ge=1, le=10_000)]
    network_names: Annotated[int, Field(ge=1, le=100_000)]
    widespread_names: Annotated[int, Field(ge=1, le=10_000_000)]


class Session(Section):
    """Browser sessions, in seconds, and how many a person may have."""

    idle: Annotated[int, Field(ge=60, le=DAY_SECONDS)]
    absolute: Annotated[int, Field(ge=300, le=7 * DAY_SECONDS)]
    operator_idle: Annotated[int, Field(ge=60, le=3600)]
    per_person: Annotated[int, Field(ge=1, le=1_000_000)]
    device: Seconds


class Passwords(Section):
    """What a chosen password is compared with in addition to our own rules: a file of breached ones; empty for none."""

    breached_file: str

    @property
    def file(self) -> Path | None:
        """The file, where there is one."""
        return absolute(Path(self.breached_file)) if self.breached_file else None


class Tokens(Section):
    """Lifetimes in seconds (protocol.md §2.1 and §2.2), and whether DPoP proofs need our nonce."""

    code: Annotated[int, Field(ge=10, le=600)]
    code_fapi2: Annotated[int, Field(ge=10, le=60)]
    access: Annotated[int, Field(ge=30, le=3600)]
    access_fapi2: Annotated[int, Field(ge=30, le=3600)]
    id_token: Annotated[int, Field(ge=30, le=3600)]
    refresh_absolute: Seconds
    refresh_absolute_public: Seconds
    refresh_idle: Seconds
    refresh_grace: Annotated[int, Field(ge=0, le=120)]
    pushed_request: Annotated[int, Field(ge=5, le=600)]
    interaction: Annotated[int, Field(ge=300, le=DAY_SECONDS)]
    skew: Annotated[int, Field(ge=0, le=300)]
    skew_fapi2: Annotated[int, Field(ge=0, le=60)]
    dpop_nonces: bool


class Keys(Section):
    """The key ring, in seconds: publish a key this long before it signs; re-read the ring this often."""

    publish_before: Annotated[int, Field(ge=0, le=30 * DAY_SECONDS)]
    reread: Annotated[int, Field(ge=1, le=3600)]


class Schools(Section):
    """The national register."""

    download_url: BaseUrl
    sample: FilePath
    sample_links: FilePath
    stale_after_days: Annotated[int, Field(ge=1, le=366)]


class Onboarding(Section):
    """Registration and joining: link lifetime in seconds, working days until a new school is due, the rest in days."""

    proof_lifetime: Annotated[int, Field(ge=300, le=DAY_SECONDS)]
    due_working_days: Annotated[int, Field(ge=1, le=60)]
    join_lifetime_days: Annotated[int, Field(ge=1, le=90)]
    invitation_lifetime_days: Annotated[int, Field(ge=1, le=30)]
    registration_lifetime_days: Annotated[int, Field(ge=1, le=90)]


class Invitations(Section):
    """Invitations of schools by partners: how long a link works, in days, and how many an application may have."""

    lifetime_days: Annotated[int, Field(ge=1, le=90)]
    max_open: Annotated[int, Field(ge=1, le=100_000)]
    max_a_day: Annotated[int, Field(ge=1, le=100_000)]


class Sharing(Section):
    """How long an authorisation lasts, in days, unless the client requests less."""

    default_days: Annotated[int, Field(ge=1, le=3650)]


class Fetch(Section):
    """Outbound HTTP requests. The switches are for tests; production refuses them.

    Which hosts may have a private IP address depends on who named them: `operator_private_hosts` for what these
    settings or an operator's command name, `partner_private_hosts` for what a client registered.
    """

    timeout: Annotated[float, Field(gt=0, le=60)]
    allow_loopback: bool
    extra_ca: str
    operator_private_hosts: tuple[HostName, ...]
    partner_private_hosts: tuple[HostName, ...]


class Audit(Section):
    """Where checkpoints of the audit chain are written in addition to the database; empty: to the log alone."""

    checkpoints: str

    @property
    def file(self) -> Path | None:
        """The file, where there is one."""
        return absolute(Path(self.checkpoints)) if self.checkpoints else None


class Retention(Section):
    """How long rows are kept, in days (security.md §6.4)."""

    expired: Annotated[int, Field(ge=0, le=366)]
    counters: Annotated[int, Field(ge=0, le=366)]
    registrations: Annotated[int, Field(ge=1, le=3650)]
    outbox: Annotated[int, Field(ge=1, le=3650)]
    outbox_failed: Annotated[int, Field(ge=1, le=3650)]
    sessions: Annotated[int, Field(ge=1, le=3650)]
    sign_ins: Annotated[int, Field(ge=1, le=3650)]
    client_events: Annotated[int, Field(ge=1, le=3650)]
    rejected: Annotated[int, Field(ge=1, le=3650)]
    register_changes: Annotated[int, Field(ge=1, le=3650)]
    revoked: Annotated[int, Field(ge=1, le=3650)]
    invitations: Annotated[int, Field(ge=1, le=3650)]
    partner_events: Annotated[int, Field(ge=1, le=366)]
    sandbox: Annotated[int, Field(ge=30, le=3650)]
    reads: Annotated[int, Field(ge=1, le=3650)]


class Settings(BaseSettings):
    """All settings. `load_settings.load` builds them, and reports every error in one `InvalidSettings`."""

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
    passwords: Passwords
    tokens: Tokens
    keys: Keys
    schools: Schools
    onboarding: Onboarding
    invitations: Invitations
    sharing: Sharing
    fetch: Fetch
    federation: Federation
    audit: Audit
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
            files.append(absolute(Path(named)))
        tables = (InitSettingsSource(settings_cls, init_kwargs=read_file(file)) for file in reversed(files))
        return (init_settings, env_settings, *tables)


def read_file(file: Path) -> dict[str, Any]:
    """One TOML file; raises `OSError` and `TOMLDecodeError` with the file's name in it."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise tomllib.TOMLDecodeError(f"{file.name}: {error}") from error
