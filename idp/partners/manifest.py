"""The registration manifest: RFC 7591's names, and what a school has to be told besides; in TOML or in JSON.

`clients/assembly/client.toml` is the example, and explains each line.
"""

import json
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from idp.foundation import runtime, scopes as catalogue
from idp.partners import mis
from idp.partners.metadata import (
    CODE,
    REFRESH,
    SENT_SECRETS,
    Address,
    Grant,
    InvalidClientMetadata,
    MaybePage,
    Metadata,
    Page,
    SetOf,
    Words,
    check,
    printable,
)

NOT_KEPT: Final = {"partner", "client_id", "application_type", "software_id", "software_version"}
"""Names of a manifest that `models.Client` has no column for: what it says elsewhere, and RFC 7591's that others fill
in and we have no use for. What a redirect URI may be follows from how the client authenticates."""

_ID = frozenset(string.ascii_lowercase + string.digits + "-")
_MADE_UP = "cli_"


def _plain_id(text: str) -> str:
    """Without underscores, unless we made it up: so it can never be taken for a person's `sub`."""
    if not _ID.issuperset(text.removeprefix(_MADE_UP)):
        raise ValueError("may have small letters, digits and hyphens alone")
    return text


Id = Annotated[str, StringConstraints(min_length=3, max_length=64), AfterValidator(_plain_id)]
Sentence = Annotated[str, StringConstraints(min_length=10, max_length=500), AfterValidator(printable)]
Names = Annotated[frozenset[str], SetOf]


class Scopes(BaseModel):
    """What the client may ask schools for, and what it may do for itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    required: Names = frozenset()
    optional: Names = frozenset()
    client: Names = frozenset()

    @field_validator("required", "optional", "client")
    @classmethod
    def _are_of_their_kind(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        known = catalogue.catalogue()
        if unknown := sorted(value - known.keys()):
            raise ValueError(f"config/scopes.toml has no {_listed(unknown)}")
        wrong = {name for name in value if (known[name].kind == "client") != (info.field_name == "client")}
        if wrong:
            place = "required or optional" if info.field_name == "client" else "client"
            raise ValueError(f"{_listed(sorted(wrong))} must stand under {place}")
        if twice := value & info.data.get("required", frozenset()):
            raise ValueError(f"{_listed(sorted(twice))} cannot be required as well")
        return value


class Manifest(Metadata):
    """Everything an operator registers a client with. A name that is not here is a fault: it may be misspelt."""

    model_config = ConfigDict(extra="forbid")

    partner: Words
    client_id: Id | None = None
    client_name: Words
    client_uri: Page
    policy_uri: Page
    purpose: Sentence
    agreement_uri: Page
    agreement_version: Words
    authorisation_days: Annotated[int, Field(ge=1, le=1830)] | None = None
    require_pkce: bool = True
    pin_token_endpoint_auth_method: bool = False
    rotate_refresh_tokens: bool | None = None
    accepted_mis: Names = frozenset()
    application_type: Literal["web", "native"] | None = None
    software_id: Words | None = None
    software_version: Words | None = None
    grant_types: Annotated[frozenset[Grant], SetOf] = frozenset({"authorization_code"})
    scopes: Scopes
    id_token_claims: Names = frozenset()
    resource: MaybePage = None
    resource_scopes: Names = frozenset()

    @field_validator("require_pkce")
    @classmethod
    def _pkce_where_it_must_be(cls, value: bool, info: ValidationInfo) -> bool:
        public = info.data.get("token_endpoint_auth_method") == "none"
        if not value and (public or info.data.get("profile") == "fapi2"):
            raise ValueError("cannot be switched off for public clients, nor for the profile fapi2")
        return value

    @field_validator("pin_token_endpoint_auth_method")
    @classmethod
    def _only_a_sent_secret_has_two_ways(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("token_endpoint_auth_method") not in SENT_SECRETS:
            raise ValueError("is for client_secret_basic and client_secret_post; the other methods have one way only")
        return value

    @field_validator("rotate_refresh_tokens")
    @classmethod
    def _rotation_where_it_must_be(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        public = info.data.get("token_endpoint_auth_method") == "none" and not info.data.get("dpop_bound_access_tokens")
        if value is False and public:
            raise ValueError("cannot be switched off for public clients without DPoP")
        if value and info.data.get("profile") == "fapi2":
            raise ValueError("the profile fapi2 does not rotate")
        return value

    @field_validator("accepted_mis")
    @classmethod
    def _systems_are_known(cls, value: frozenset[str]) -> frozenset[str]:
        if unknown := sorted(value - mis.catalogue().keys()):
            raise ValueError(f"config/mis.toml has no {_listed(unknown)}")
        return value

    @field_validator("scopes")
    @classmethod
    def _grants_serve_the_scopes(cls, value: Scopes, info: ValidationInfo) -> Scopes:
        grants = info.data.get("grant_types")
        if grants is None:
            return value
        if ("offline_access" in value.required | value.optional) != (REFRESH in grants):
            raise ValueError("offline_access and the grant type refresh_token go together")
        if bool(value.client) != ("client_credentials" in grants):
            raise ValueError("scopes under client and the grant type client_credentials go together")
        if CODE in grants and not value.required:
            raise ValueError("required: needs one at least, openid as a rule")
        return value

    @field_validator("id_token_claims")
    @classmethod
    def _claims_are_of_the_scopes(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if unknown := sorted(value - catalogue.SCOPE_OF.keys()):
            raise ValueError(f"cannot have {_listed(unknown)}; there are {_listed(list(catalogue.SCOPE_OF))}")
        if (scopes := info.data.get("scopes")) is None:
            return value
        if uncovered := sorted({catalogue.SCOPE_OF[name] for name in value} - scopes.required - scopes.optional):
            raise ValueError(f"needs the scopes {_listed(uncovered)}, under required or optional")
        return value

    @field_validator("resource")
    @classmethod
    def _an_api_proves_itself(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and not info.data.get("grant_types", True):
            raise ValueError("is needed where grant_types is empty")
        if value is not None and info.data.get("token_endpoint_auth_method") == "none":
            raise ValueError("is for clients that authenticate")
        if value == runtime.settings().server.issuer:
            raise ValueError("is our own address")
        return value

    @field_validator("resource_scopes")
    @classmethod
    def _an_api_serves_something(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if "resource" in info.data and bool(value) != bool(info.data["resource"]):
            raise ValueError("goes together with resource")
        if value - catalogue.of_kind("data", value) - catalogue.of_kind("client", value):
            raise ValueError("may have scopes of config/scopes.toml that are not about a person")
        return value

    def columns(self) -> dict[str, Any]:
        """What of it `models.Client` keeps."""
        kept = super().columns()
        if self.rotate_refresh_tokens is not None:
            kept["rotate_refresh_tokens"] = self.rotate_refresh_tokens
        scopes = {f"{kind}_scopes": chosen for kind, chosen in kept.pop("scopes").items()}
        return {name: value for name, value in kept.items() if name not in NOT_KEPT} | scopes


class Company(BaseModel):
    """A partner."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: Words
    website: Page
    contact_email: Address


def read(file: Path) -> dict[str, Any]:
    """The manifest in a file, TOML or JSON; raises `InvalidClientMetadata` where it is neither."""
    kind = "TOML"
    try:
        text = file.read_text("utf-8")
        if text.lstrip().startswith("{"):
            kind = "JSON"
            return _from_json(json.loads(text))
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # of either reader, and what is not UTF-8
        raise InvalidClientMetadata([(file.name, f"is not {kind}: {fault}")]) from fault
    except OSError as fault:
        raise InvalidClientMetadata([(file.name, f"cannot be read: {fault.strerror}")]) from fault


def _from_json(asked: dict[str, Any]) -> dict[str, Any]:
    """RFC 7591 §2 has one `scope`, separated by blanks: all of it is required then."""
    scope = asked.pop("scope", None)
    if scope is None:
        return asked
    if "scopes" in asked:
        raise InvalidClientMetadata([("scope", "must not stand beside scopes")])
    if not isinstance(scope, str):
        raise InvalidClientMetadata([("scope", "must be a text")])
    known = catalogue.catalogue()
    own = [name for name in scope.split() if name in known and known[name].kind == "client"]
    return {**asked, "scopes": {"required": [name for name in scope.split() if name not in own], "client": own}}


def validated(asked: Mapping[str, Any]) -> Manifest:
    """`asked` as a manifest; raises `InvalidRedirectUri` or `InvalidClientMetadata` naming every fault."""
    return check(Manifest, asked)


def company(**asked: str) -> Company:
    """A partner's name, website and contact; raises `InvalidClientMetadata` naming every fault."""
    return check(Company, asked)


def _listed(names: list[str]) -> str:
    return ", ".join(names)
