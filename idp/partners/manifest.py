"""The registration manifest, in TOML or JSON: the names of RFC 7591, and those that describe the client to schools.

`clients/assembly/client.toml` is an example that explains each line.
"""

import json
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from idp.foundation import runtime, scopes
from idp.partners import event_types, mis_catalogue
from idp.partners.metadata import (
    CODE,
    REFRESH,
    SENT_SECRETS,
    EmailAddress,
    Grant,
    InvalidClientMetadata,
    MaybePage,
    Metadata,
    Page,
    SetOf,
    ShortText,
    parse,
    printable,
)
from idp.partners.models import Client

NOT_STORED: Final = {"partner", "client_id", "application_type", "software_id", "software_version"}
"""Names of a manifest that are not columns of `models.Client`: the ids, and names of RFC 7591 that we ignore.

Which redirect URIs are allowed depends on the authentication method, not on `application_type`.
"""

SANDBOX_GRANTS: Final = frozenset({CODE, REFRESH})
"""The grants of sandbox applications: a page of ours on the way knows which school is asked."""
_ID = frozenset(string.ascii_lowercase + string.digits + "-")
_GENERATED_PREFIX = "cli_"


def _plain_id(text: str) -> str:
    """Raise `ValueError` for underscores, except in generated ids, so that a client id never looks like a `sub`."""
    if not _ID.issuperset(text.removeprefix(_GENERATED_PREFIX)):
        raise ValueError("may have only small letters, digits and hyphens")
    return text


Id = Annotated[str, StringConstraints(min_length=3, max_length=64), AfterValidator(_plain_id)]
Sentence = Annotated[str, StringConstraints(min_length=10, max_length=500), AfterValidator(printable)]
Names = Annotated[frozenset[str], SetOf]


class Scopes(BaseModel):
    """The scopes that the client may ask schools for, and those for the client itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    required: Names = frozenset()
    optional: Names = frozenset()
    client: Names = frozenset()

    @field_validator("required", "optional", "client")
    @classmethod
    def _check_kinds(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        catalogue_entries = scopes.catalogue()
        if unknown := sorted(value - catalogue_entries.keys()):
            raise ValueError(f"config/scopes.toml has no {_join(unknown)}")
        misplaced = {
            name for name in value if (catalogue_entries[name].kind == "client") != (info.field_name == "client")
        }
        if misplaced:
            table = "required or optional" if info.field_name == "client" else "client"
            raise ValueError(f"{_join(sorted(misplaced))} must stand under {table}")
        if repeated := value & info.data.get("required", frozenset()):
            raise ValueError(f"{_join(sorted(repeated))} cannot be required as well")
        return value


class Events(BaseModel):
    """How the client gets events, and which. An `Authorization` header is not part of a manifest (`event_streams`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    method: Literal["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"]
    endpoint_url: Annotated[MaybePage, Field(validate_default=True)] = None
    types: Names = frozenset()

    @field_validator("endpoint_url")
    @classmethod
    def _check_endpoint(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("method") == event_types.PUSH and value is None:
            raise ValueError("is needed for urn:ietf:rfc:8935, which pushes events to it")
        if info.data.get("method") == event_types.POLL and value is not None:
            raise ValueError("is for urn:ietf:rfc:8935; with urn:ietf:rfc:8936 the application asks us")
        return value

    @field_validator("types")
    @classmethod
    def _check_types(cls, value: frozenset[str]) -> frozenset[str]:
        if unknown := sorted(value - event_types.SELECTABLE_NAMES):
            raise ValueError(f"cannot have {_join(unknown)}; there are {_join(sorted(event_types.SELECTABLE_NAMES))}")
        return value


class Manifest(Metadata):
    """A client's registration by an operator. Unknown names are errors, because they may be misspelt."""

    model_config = ConfigDict(extra="forbid")

    partner: ShortText
    client_id: Id | None = None
    client_name: ShortText
    client_uri: Page
    policy_uri: Page
    purpose: Sentence
    agreement_uri: Page
    agreement_version: ShortText
    authorisation_days: Annotated[int, Field(ge=1, le=1830)] | None = None
    require_pkce: bool = True
    pin_token_endpoint_auth_method: bool = False
    rotate_refresh_tokens: bool | None = None
    accepted_mis: Names = frozenset()
    application_type: Literal["web", "native"] | None = None
    software_id: ShortText | None = None
    software_version: ShortText | None = None
    grant_types: Annotated[frozenset[Grant], SetOf] = frozenset({"authorization_code"})
    scopes: Scopes
    id_token_claims: Names = frozenset()
    resource: MaybePage = None
    resource_scopes: Names = frozenset()
    events: Events | None = None

    @field_validator("require_pkce")
    @classmethod
    def _check_pkce(cls, value: bool, info: ValidationInfo) -> bool:
        public = info.data.get("token_endpoint_auth_method") == "none"
        if not value and (public or info.data.get("profile") == "fapi2"):
            raise ValueError("cannot be switched off for public clients, nor for the profile fapi2")
        return value

    @field_validator("pin_token_endpoint_auth_method")
    @classmethod
    def _check_pinned_method(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("token_endpoint_auth_method") not in SENT_SECRETS:
            raise ValueError("is for client_secret_basic and client_secret_post; the other methods have one way only")
        return value

    @field_validator("rotate_refresh_tokens")
    @classmethod
    def _check_rotation(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        public = info.data.get("token_endpoint_auth_method") == "none" and not info.data.get("dpop_bound_access_tokens")
        if value is False and public:
            raise ValueError("cannot be switched off for public clients without DPoP")
        if value and info.data.get("profile") == "fapi2":
            raise ValueError("the profile fapi2 does not rotate")
        return value

    @field_validator("accepted_mis")
    @classmethod
    def _check_mis(cls, value: frozenset[str]) -> frozenset[str]:
        if unknown := sorted(value - mis_catalogue.catalogue().keys()):
            raise ValueError(f"config/mis.toml has no {_join(unknown)}")
        return value

    @field_validator("scopes")
    @classmethod
    def _check_scopes_and_grants(cls, value: Scopes, info: ValidationInfo) -> Scopes:
        grants = info.data.get("grant_types")
        if grants is None:
            return value
        if ("offline_access" in value.required | value.optional) != (REFRESH in grants):
            raise ValueError("offline_access and the grant type refresh_token go together")
        if bool(value.client) != ("client_credentials" in grants):
            raise ValueError("scopes under client and the grant type client_credentials go together")
        if CODE in grants and not value.required:
            raise ValueError("required: needs one at least, usually openid")
        return value

    @field_validator("id_token_claims")
    @classmethod
    def _check_id_token_claims(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if unknown := sorted(value - scopes.SCOPE_OF.keys()):
            raise ValueError(f"cannot have {_join(unknown)}; there are {_join(list(scopes.SCOPE_OF))}")
        if (client_scopes := info.data.get("scopes")) is None:
            return value
        if uncovered := sorted(
            {scopes.SCOPE_OF[name] for name in value} - client_scopes.required - client_scopes.optional
        ):
            raise ValueError(f"needs the scopes {_join(uncovered)}, under required or optional")
        return value

    @field_validator("resource")
    @classmethod
    def _check_resource(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and not info.data.get("grant_types", True):
            raise ValueError("is needed where grant_types is empty")
        if value is not None and info.data.get("token_endpoint_auth_method") == "none":
            raise ValueError("is for clients that authenticate")
        if value == runtime.settings().server.issuer:
            raise ValueError("is our own URL")
        return value

    @field_validator("resource_scopes")
    @classmethod
    def _check_resource_scopes(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if "resource" in info.data and bool(value) != bool(info.data["resource"]):
            raise ValueError("goes together with resource")
        if (
            value
            - scopes.filter_by_kind("data", value)
            - scopes.filter_by_kind("endpoint", value)
            - scopes.filter_by_kind("client", value)
        ):
            raise ValueError("may have scopes of config/scopes.toml that are not about a person")
        return value

    @field_validator("events")
    @classmethod
    def _check_events(cls, value: Events | None, info: ValidationInfo) -> Events | None:
        granted = info.data.get("scopes")
        if value is not None and value.method == event_types.POLL and granted and "events" not in granted.client:
            raise ValueError("urn:ietf:rfc:8936 needs the scope events, under client, to ask us with")
        return value

    def columns(self) -> dict[str, Any]:
        """The columns of `models.Client`."""
        columns = super().columns()
        events = columns.pop("events") or {"method": None, "endpoint_url": None, "types": frozenset()}
        columns |= {f"events_{name}": value for name, value in events.items()}
        if self.rotate_refresh_tokens is not None:
            columns["rotate_refresh_tokens"] = self.rotate_refresh_tokens
        scope_columns = {f"{kind}_scopes": value for kind, value in columns.pop("scopes").items()}
        return {name: value for name, value in columns.items() if name not in NOT_STORED} | scope_columns


class Company(BaseModel):
    """What an operator enters about a partner."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: ShortText
    website: Page
    contact_email: EmailAddress


def read_file(file: Path) -> dict[str, Any]:
    """The manifest in a file, TOML or JSON; raises `InvalidClientMetadata` if it is neither."""
    file_format = "TOML"
    try:
        text = file.read_text("utf-8")
        if text.lstrip().startswith("{"):
            file_format = "JSON"
            return _from_json(json.loads(text))
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of either parser, or because it is not UTF-8
        raise InvalidClientMetadata([(file.name, f"is not {file_format}: {error}")]) from error
    except OSError as error:
        raise InvalidClientMetadata([(file.name, f"cannot be read: {error.strerror}")]) from error


def _from_json(document: dict[str, Any]) -> dict[str, Any]:
    """Convert RFC 7591's `scope`, a string separated by spaces, into `scopes`; its scopes are required."""
    scope = document.pop("scope", None)
    if scope is None:
        return document
    if "scopes" in document:
        raise InvalidClientMetadata([("scope", "must not be given together with scopes")])
    if not isinstance(scope, str):
        raise InvalidClientMetadata([("scope", "must be a string")])
    catalogue_entries = scopes.catalogue()
    client_scopes = [
        name for name in scope.split() if name in catalogue_entries and catalogue_entries[name].kind == "client"
    ]
    return {
        **document,
        "scopes": {"required": [name for name in scope.split() if name not in client_scopes], "client": client_scopes},
    }


def parse_manifest(document: Mapping[str, Any], *, is_sandbox: bool = False, for_schools: bool = False) -> Manifest:
    """`document` as a manifest; raises `InvalidRedirectUri` or `InvalidClientMetadata` naming every error.

    A sandbox application may use URIs on the developer's own machine. It does nothing in its own name and is no
    API, so that it never meets a real school. An application that is requested `for_schools` may never use them.
    """
    parsed = parse(Manifest, document, local=True if is_sandbox else False if for_schools else None)
    if is_sandbox and (parsed.scopes.client or parsed.resource or not parsed.grant_types <= SANDBOX_GRANTS):
        raise InvalidClientMetadata([("grant_types", "a sandbox application may only sign people in")])
    return parsed


def parse_company(**document: str) -> Company:
    """A partner's name, website and contact; raises `InvalidClientMetadata` naming every error."""
    return parse(Company, document)


def proof_needed(client: Client) -> str:
    """What a newly registered client authenticates with: `secret`, `keys`, or "" for a public client."""
    if client.is_public:
        return ""
    return "secret" if client.token_endpoint_auth_method.startswith("client_secret") else "keys"


def from_client(client: Client) -> dict[str, Any]:
    """The manifest that describes a client as it is registered, for `registry.change` with some of it replaced."""
    stored = {column.key for column in Client.__table__.columns}
    values = {name: getattr(client, name) for name in Manifest.model_fields if name in stored}
    values["scopes"] = {kind: getattr(client, f"{kind}_scopes") for kind in Scopes.model_fields}
    if client.events_method is not None:
        values["events"] = {name: getattr(client, f"events_{name}") for name in Events.model_fields}
    identity = {"partner": client.partner_name, "client_id": client.id}
    return {name: value for name, value in {**values, **identity}.items() if value is not None}


def _join(names: list[str]) -> str:
    return ", ".join(names)
