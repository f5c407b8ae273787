"""Verify a provider's ID token (OpenID Connect Core 1.0 §3.1.3.7), and say which account it is about."""

from dataclasses import dataclass
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from idp.federation import metadata as provider_metadata
from idp.federation.errors import ResponseRefused, SchoolAccountNeeded
from idp.federation.metadata import Metadata
from idp.federation.providers import Provider
from idp.foundation import clock, crypto, runtime
from idp.keys import jwts
from idp.keys.jwts import Presented

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
"""The algorithms with which a provider may sign; `none` and those with a shared secret are not among them."""
MAX_TOKEN_LENGTH: Final = 16_384
"""In characters; tokens of Microsoft and Google have about two thousand."""
MAX_SUBJECT_LENGTH: Final = 255
"""In characters (OpenID Connect Core 1.0 §2)."""
MAX_SHOWN_LENGTH: Final = 320
"""How many characters of the account's name are stored."""
NAME_CLAIMS: Final = ("email", "preferred_username", "name")
"""The claims from which a person recognises the account; the first that is present is shown."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An account of another provider, proven to be the person's own."""

    provider: Provider
    issuer: str
    subject: str
    tenant: str
    shown_as: str


def verify(
    text: str, provider: Provider, metadata: Metadata, *, nonce: str, access_token: str | None, iss: str | None
) -> Identity:
    """The account that an ID token is about.

    `iss` is the issuer that the authorization response named, if it did. Raises `ResponseRefused`,
    `SchoolAccountNeeded` and `ProviderUnavailable`.
    """
    try:
        presented = jwts.parse(text, max_length=MAX_TOKEN_LENGTH)
        _verify_signature(presented, metadata)
        claims = presented.claims
        skew = runtime.settings().tokens.skew
        jwts.check_times(claims, skew=skew, leeway=skew)
        _check(claims, presented, provider, nonce, access_token)
    except (jwts.InvalidJwt, JoseError, ValueError, TypeError, AttributeError) as error:
        raise ResponseRefused(reason=f"{provider.name}: ID token: {error}"[:300]) from error
    if iss is not None and provider.canonical_issuer(iss) != provider.canonical_issuer(claims["iss"]):
        raise ResponseRefused(reason=f"{provider.name}: the response and its ID token name different issuers")
    return _identity(claims, provider)


def _verify_signature(presented: Presented, metadata: Metadata) -> None:
    """Check the signature; with keys that are fetched again if it is by none of those that are cached."""
    try:
        jwts.verify(presented, provider_metadata.keys(metadata, presented.kid), ALGORITHMS)
    except jwts.InvalidJwt:
        jwts.verify(presented, provider_metadata.refetched_keys(metadata), ALGORITHMS)


def _check(
    claims: dict[str, Any], presented: Presented, provider: Provider, nonce: str, access_token: str | None
) -> None:
    """Check every claim but the times; raises `InvalidJwt`, `JoseError` and errors of values of the wrong type."""
    client_id = provider.settings.client_id
    if claims.get("aud") not in (client_id, [client_id]):
        raise jwts.InvalidJwt("aud is not us alone")
    if not provider.is_issuer(claims.get("iss")):
        raise jwts.InvalidJwt("iss is another issuer")
    if not isinstance(claims.get("nonce"), str) or not crypto.constant_time_compare(claims["nonce"], nonce):
        raise jwts.InvalidJwt("nonce is not that of the request")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise jwts.InvalidJwt("sub must be a string of at most 255 characters")
    params = {"client_id": client_id, "nonce": nonce, "access_token": access_token}
    CodeIDToken(claims, dict(presented.header), None, params).validate(
        now=clock.timestamp(), leeway=runtime.settings().tokens.skew
    )


def _identity(claims: dict[str, Any], provider: Provider) -> Identity:
    issuer, tenant = str(claims["iss"]), provider.tenant(claims)
    if provider.needs_tenant and not tenant:
        raise SchoolAccountNeeded(reason=f"{provider.name}: a personal account")
    if provider.has_many_issuers and issuer != provider.issuer_of(tenant):
        raise ResponseRefused(reason=f"{provider.name}: iss is not that of the organisation in tid")
    return Identity(provider, provider.canonical_issuer(issuer), claims["sub"], tenant, _shown_as(claims))


def _shown_as(claims: dict[str, Any]) -> str:
    names = (claims.get(name) for name in NAME_CLAIMS)
    return next((name for name in names if isinstance(name, str) and name and name.isprintable()), "")[
        :MAX_SHOWN_LENGTH
    ]
