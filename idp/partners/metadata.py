"""Validate client metadata as defined by RFC 7591 and OpenID Connect Registration.

All errors are reported together, each under its name, and never quote what was sent. Which scopes a client may have,
and its profile, are not the client's choice: the manifest or the initial access token's policy decides.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from idp.foundation import runtime
from idp.foundation.errors import Refusal
from idp.keys import jwts
from idp.partners import jwks, uris

SENT_SECRETS = frozenset({"client_secret_basic", "client_secret_post"})
"""Methods that send the secret itself. A client of one may use the other, unless `pin_token_endpoint_auth_method`."""
UNSUPPORTED = (
    "id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc", "request_object_encryption_alg", "request_object_encryption_enc",
    "authorization_encrypted_response_alg", "authorization_encrypted_response_enc",
    "introspection_encrypted_response_alg", "introspection_encrypted_response_enc", "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
    "authorization_details_types", "default_max_age", "default_acr_values",
)  # fmt: skip
"""Names for features that we do not support (protocol.md §1). Each is an error, so that no client relies on it."""

IMPLIED = {"response_types", "require_pushed_authorization_requests", "tls_client_certificate_bound_access_tokens"}
"""Names that are validated but not stored: their values follow from the grants and the profile, or are constant."""


class InvalidMetadata(Refusal):
    """Something in a registration is wrong; `field_errors` has a (name, reason) pair for each error."""

    status, title = 400, "This registration has errors"

    def __init__(self, field_errors: list[tuple[str, str]]) -> None:
        self.field_errors: list[tuple[str, str]] = field_errors
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in field_errors))


class InvalidClientMetadata(InvalidMetadata):
    """Something other than a redirect URI is wrong (RFC 7591 §3.2.2)."""

    code = "invalid_client_metadata"


class InvalidRedirectUri(InvalidMetadata):
    """RFC 7591 §3.2.2: a redirect URI is wrong, perhaps with other errors."""

    code = "invalid_redirect_uri"


def printable(text: str) -> str:
    """Raise `ValueError` if the text has invisible characters, or ones that change the direction of reading."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of visible characters, without spaces around it")
    return text


def _web(uri: str, info: ValidationInfo) -> str:
    return uris.web(uri, local=_is_local_allowed(info))


def _login(uri: str, info: ValidationInfo) -> str:
    return uris.login(uri, local=_is_local_allowed(info))


def _is_local_allowed(info: ValidationInfo) -> bool:
    """Whether http on the developer's own machine is allowed: as the caller says, or else in development alone."""
    allowed: bool | None = info.context["local"] if info.context else None
    return runtime.settings().environment != "production" if allowed is None else allowed


def _empty_is_absent(value: Any) -> Any:
    return None if value in ("", None) else value


ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(printable)]
Page = Annotated[str, AfterValidator(_web)]
Login = Annotated[str, AfterValidator(_login)]
MaybePage = Annotated[Page | None, BeforeValidator(_empty_is_absent)]
EmailAddress = Annotated[
    str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254), AfterValidator(printable)
]
SetOf = Strict(False)
"""Accept a list for a set, which strict validation would refuse."""
Grant = Literal[
    "authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"
]
CODE: Final[Grant] = "authorization_code"
REFRESH: Final[Grant] = "refresh_token"
CLIENT_CREDENTIALS: Final[Grant] = "client_credentials"
DEVICE_CODE: Final[Grant] = "urn:ietf:params:oauth:grant-type:device_code"
Alg = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
"""Algorithms that clients may sign with; `Ed25519` is RFC 9864's name for `EdDSA` on that curve."""
Method = Literal["private_key_jwt", "client_secret_jwt", "client_secret_basic", "client_secret_post", "none"]


class Metadata(BaseModel):
    """The metadata that we use, with the defaults of RFC 7591 §2.

    The order of the fields matters: the validator of one reads the fields above it.
    """

    model_config = ConfigDict(
        extra="ignore", frozen=True, strict=True, hide_input_in_errors=True, validate_default=True
    )  # fmt: skip

    profile: Literal["oidc", "fapi2"] = "oidc"
    client_name: ShortText | Literal[""] = ""
    client_uri: Page | Literal[""] = ""
    policy_uri: Page | Literal[""] = ""
    tos_uri: Page | Literal[""] = ""
    contacts: Annotated[list[EmailAddress], Field(max_length=10)] = []
    token_endpoint_auth_method: Method = Field(default=None, validate_default=True)
    token_endpoint_auth_signing_alg: Alg | Literal["HS256"] | None = None
    grant_types: Annotated[frozenset[Grant], SetOf, Field(min_length=1)] = frozenset({"authorization_code"})
    response_types: Annotated[frozenset[Literal["code"]], SetOf] = Field(default=None, validate_default=True)
    redirect_uris: Annotated[list[str], Field(max_length=50)] = []
    post_logout_redirect_uris: Annotated[list[str], Field(max_length=50)] = []
    initiate_login_uri: Annotated[Login | None, BeforeValidator(_empty_is_absent)] = None
    backchannel_logout_uri: MaybePage = None
    backchannel_logout_session_required: bool = False
    jwks: dict[str, Any] | None = None
    jwks_uri: MaybePage = None
    dpop_bound_access_tokens: bool = False
    id_token_signed_response_alg: Literal["RS256", "ES256"] = Field(default=None, validate_default=True)
    userinfo_signed_response_alg: Literal["RS256", "ES256"] | None = None
    request_object_signing_alg: Alg | None = None
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    authorization_signed_response_alg: Literal["RS256", "ES256"] | None = None
    introspection_signed_response_alg: Literal["RS256", "ES256"] | None = None
    tls_client_certificate_bound_access_tokens: Literal[False] = False
    sector_identifier_uri: MaybePage = None
    subject_type: Literal["public", "pairwise"] = "public"

    @field_validator("token_endpoint_auth_method", mode="before")
    @classmethod
    def _default_method(cls, value: Any, info: ValidationInfo) -> Any:
        return value or ("private_key_jwt" if info.data.get("profile") == "fapi2" else "client_secret_basic")

    @field_validator("token_endpoint_auth_method")
    @classmethod
    def _check_method(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("profile") == "fapi2" and value != "private_key_jwt":
            raise ValueError("must be private_key_jwt for the profile fapi2")
        return value

    @field_validator("token_endpoint_auth_signing_alg")
    @classmethod
    def _check_alg(cls, value: str | None, info: ValidationInfo) -> str | None:
        method = info.data.get("token_endpoint_auth_method")
        if value is None or method is None:
            return value
        allowed = {"private_key_jwt": set(get_args(Alg)), "client_secret_jwt": {"HS256"}}
        if value not in allowed.get(method, set()):
            raise ValueError(f"does not go with {method}")
        if value == "RS256" and info.data.get("profile") == "fapi2":
            raise ValueError("must be PS256, ES256, EdDSA or Ed25519 for the profile fapi2")
        return value

    @field_validator("grant_types")
    @classmethod
    def _check_grants(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if "client_credentials" in value and info.data.get("token_endpoint_auth_method") == "none":
            raise ValueError("client_credentials is for clients that authenticate")
        if value == {REFRESH}:
            raise ValueError("refresh_token needs another grant, which issues the first refresh token")
        return value

    @field_validator("response_types", mode="before")
    @classmethod
    def _default_response_types(cls, value: Any, info: ValidationInfo) -> Any:
        return (["code"] if CODE in info.data.get("grant_types", ()) else []) if value is None else value

    @field_validator("response_types")
    @classmethod
    def _check_response_types(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if "grant_types" in info.data and bool(value) != (CODE in info.data["grant_types"]):
            raise ValueError("must be code if grant_types has authorization_code, and empty if not")
        return value

    @field_validator("redirect_uris")
    @classmethod
    def _check_redirects(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if not value and CODE in info.data.get("grant_types", ()):
            raise ValueError("needs at least one for authorization_code")
        if len(set(value)) != len(value):
            raise ValueError("has the same address twice")
        _check_each(uris.redirect, value, info)
        return value

    @field_validator("post_logout_redirect_uris")
    @classmethod
    def _check_post_logout_redirects(cls, value: list[str], info: ValidationInfo) -> list[str]:
        _check_each(uris.after_logout, value, info)
        return value

    @field_validator("jwks")
    @classmethod
    def _check_keys(cls, value: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        if value is None:
            return None
        keys = jwks.validate(value)["keys"]
        if info.data.get("token_endpoint_auth_method") != "private_key_jwt":
            return value
        registered = info.data.get("token_endpoint_auth_signing_alg")
        allowed = jwts.STRICT_ALGS if info.data.get("profile") == "fapi2" else jwts.ASYMMETRIC
        algs = allowed if registered is None else (registered,)
        if not any(jwks.can_sign(key, algs) for key in keys):
            kinds = "RS256 and PS256 need RSA, ES256 needs P-256, EdDSA needs Ed25519"
            raise ValueError(f"has no key with which it can sign by {' or '.join(algs)}: {kinds}")
        return value

    @field_validator("jwks_uri")
    @classmethod
    def _check_jwks_uri(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("jwks"):
            raise ValueError("must not be given together with jwks (RFC 7591 section 2)")
        needed = info.data.get("token_endpoint_auth_method") == "private_key_jwt"
        if needed and not value and "jwks" in info.data and info.data["jwks"] is None:
            raise ValueError("private_key_jwt needs jwks or jwks_uri")
        return value

    @field_validator("id_token_signed_response_alg", mode="before")
    @classmethod
    def _default_id_token_alg(cls, value: Any, info: ValidationInfo) -> Any:
        return value or ("ES256" if info.data.get("profile") == "fapi2" else "RS256")

    @field_validator("id_token_signed_response_alg")
    @classmethod
    def _check_id_token_alg(cls, value: str, info: ValidationInfo) -> str:
        if value != "ES256" and info.data.get("profile") == "fapi2":
            raise ValueError("must be ES256 for the profile fapi2")
        return value

    @field_validator(
        "userinfo_signed_response_alg", "request_object_signing_alg", "authorization_signed_response_alg",
        "introspection_signed_response_alg",
    )  # fmt: skip
    @classmethod
    def _check_signing_algs(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "RS256" and info.data.get("profile") == "fapi2":
            raise ValueError("cannot be RS256 for the profile fapi2")
        return value

    @field_validator("require_signed_request_object")
    @classmethod
    def _check_signed_requests(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not any(info.data.get(name, True) for name in ("jwks", "jwks_uri")):
            raise ValueError("needs jwks or jwks_uri, to verify what is signed")
        return value

    @field_validator("require_pushed_authorization_requests")
    @classmethod
    def _check_pushed_requests(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("profile") != "fapi2":
            raise ValueError("is for the profile fapi2")
        return value

    @field_validator("subject_type")
    @classmethod
    def _check_sector(cls, value: str, info: ValidationInfo) -> str:
        hosts = {uris.host_of(uri) for uri in info.data.get("redirect_uris", ())}
        if value == "pairwise" and not info.data.get("sector_identifier_uri") and (len(hosts) != 1 or "" in hosts):
            raise ValueError("pairwise needs redirect_uris on one host, or a sector_identifier_uri")
        return value

    @property
    def is_public(self) -> bool:
        """Whether the client cannot keep a secret (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105  a method's name

    def columns(self) -> dict[str, Any]:
        """The columns of `models.Client`."""
        columns = self.model_dump(exclude=IMPLIED)
        if self.profile == "fapi2":
            columns["dpop_bound_access_tokens"] = True
        columns["rotate_refresh_tokens"] = self.is_public and not columns["dpop_bound_access_tokens"]
        pairwise = self.subject_type == "pairwise"
        sector = self.sector_identifier_uri or next(iter(self.redirect_uris), "")
        return columns | {"sector_identifier": uris.host_of(sector) if pairwise else None}


ModelT = TypeVar("ModelT", bound=BaseModel)


def to_columns(metadata: Mapping[str, Any], *, profile: str = "oidc") -> dict[str, Any]:
    """The columns of `models.Client` for `metadata` (names of RFC 7591), under a profile that the caller decides.

    Unknown members are ignored (RFC 7591 §2). Raises `InvalidRedirectUri` or `InvalidClientMetadata`.
    """
    return parse(Metadata, metadata, profile=profile).columns()


def parse(model: type[ModelT], metadata: object, *, local: bool | None = None, **fixed: object) -> ModelT:
    """`metadata` and the caller's `fixed` values as a `model`; raises `InvalidMetadata` naming every error.

    `local` says whether URIs on the developer's own machine are allowed; None means in development alone.
    """
    if not isinstance(metadata, Mapping):
        raise InvalidClientMetadata([("registration", "must be an object of names and values")])
    field_errors = [(name, "is not supported") for name in UNSUPPORTED if metadata.get(name) is not None]
    try:
        values = {str(name): value for name, value in metadata.items() if value is not None}
        parsed = model.model_validate({**values, **fixed}, context={"local": local})
    except ValidationError as error:
        field_errors += _to_field_errors(error)
    else:
        if not field_errors:
            return parsed
    wrong_redirect = any(name.startswith("redirect_uris") for name, _ in field_errors)
    raise (InvalidRedirectUri if wrong_redirect else InvalidClientMetadata)(field_errors)


def _check_each(rule: Callable[..., str], value: list[str], info: ValidationInfo) -> None:
    """Raise if a URI breaks `rule` for this kind of client, naming the index of each that does."""
    options = {
        "profile": info.data.get("profile", "oidc"),
        "public": info.data.get("token_endpoint_auth_method") == "none",
        "local": _is_local_allowed(info),
    }
    messages = []
    for index, uri in enumerate(value):
        try:
            rule(uri, **options)
        except ValueError as error:
            messages.append(f"[{index}] {error}")
    if messages:
        raise ValueError("; ".join(messages))


def _to_field_errors(error: ValidationError) -> list[tuple[str, str]]:
    """Pydantic's errors as (field, reason) pairs in plain words, one for each field."""
    messages = {
        "missing": "is missing", "extra_forbidden": "there is no such name", "string_type": "must be a string",
        "list_type": "must be a list", "frozen_set_type": "must be a list", "bool_type": "must be true or false",
        "int_type": "must be a whole number", "dict_type": "must be an object", "string_too_short": "must not be empty",
        "string_pattern_mismatch": "does not have the right form",
    }  # fmt: skip
    reasons: dict[str, str] = {}
    for item in error.errors():
        name = _field_name(item["loc"])
        reason = messages.get(item["type"]) or item["msg"].removeprefix("Value error, ").removeprefix(
            "Input should be "
        )
        if item["type"] == "literal_error":
            reason = f"must be {reason}"
        reasons.setdefault(name, reason)
    return list(reasons.items())


def _field_name(parts: tuple[int | str, ...]) -> str:
    """The name of the field: `redirect_uris[0]`, `scopes.required`, without pydantic's names of union branches."""
    shown_parts = [part for part in parts if isinstance(part, int) or part.isidentifier()]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in shown_parts).removeprefix(".")
