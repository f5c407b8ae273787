"""Authlib's view of a registered client: a thin wrapper of the registry's snapshot.

Nothing here fills a gap for a client: a missing redirect URI or scope is missing (protocol.md §4.2, 14).
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from idp.foundation import runtime, scopes
from idp.partners import registry
from idp.partners.metadata import SENT_SECRETS
from idp.partners.snapshots import Snapshot

URI_PARTS: Final = ("scheme", "host", "port", "path", "query", "fragment")
"""The parts of a URI that are compared, in order."""


class OAuthClient:
    """One client, for the length of a request. `registered` is the registry's snapshot of it.

    It has the methods of Authlib's `ClientMixin`, and is not derived from it: to mypy, subclasses of a class without
    types have every attribute.
    """

    def __init__(self, registered: Snapshot) -> None:
        self.registered = registered
        self.id = registered.id

    @property
    def is_fapi2(self) -> bool:
        """Whether it is held to the FAPI 2.0 profile (protocol.md §2.1)."""
        return self.registered.profile == "fapi2"

    @property
    def needs_pkce(self) -> bool:
        """Whether it must use PKCE: public and `fapi2` clients always, others unless it was switched off for them."""
        return self.registered.is_public or self.is_fapi2 or self.registered.require_pkce

    @property
    def needs_dpop(self) -> bool:
        """Whether no token may be issued without a proof of possession (RFC 9449)."""
        return self.is_fapi2 or self.registered.dpop_bound_access_tokens

    @property
    def signs_with_secret(self) -> bool:
        """Whether its assertions are signed with its secret (OpenID Connect Core §9)."""
        return self.registered.token_endpoint_auth_method == "client_secret_jwt"  # noqa: S105  a method's name

    @property
    def rotates_refresh_tokens(self) -> bool:
        """Whether it asked for its refresh tokens to be rotated; those of public clients without DPoP always are."""
        return self.registered.rotate_refresh_tokens and not self.is_fapi2

    @property
    def id_token_alg(self) -> str:
        """The algorithm of its ID Tokens: as registered, but ES256 under `fapi2`."""
        return "ES256" if self.is_fapi2 else self.registered.id_token_signed_response_alg

    @property
    def authorization_response_alg(self) -> str:
        """The algorithm of its signed authorization responses (JARM §3)."""
        return self.registered.authorization_signed_response_alg or self._default_alg

    @property
    def introspection_response_alg(self) -> str:
        """The algorithm of its signed introspection responses (RFC 9701 §6)."""
        return self.registered.introspection_signed_response_alg or self._default_alg

    @property
    def _default_alg(self) -> str:
        """RS256, the default of JARM and RFC 9701, but ES256 under `fapi2`, which forbids RS256."""
        return "ES256" if self.is_fapi2 else "RS256"

    @property
    def needs_sid(self) -> bool:
        """Whether its ID Tokens carry `sid`: it gets logout tokens, or sends people to us to sign out.

        Signing out by `id_token_hint` requires no confirmation if the hint names this session.
        """
        return bool(self.registered.backchannel_logout_uri or self.registered.post_logout_redirect_uris)

    @property
    def skew(self) -> int:
        """Seconds that its clock may be ahead of ours."""
        tokens = runtime.settings().tokens
        return tokens.skew_fapi2 if self.is_fapi2 else tokens.skew

    @property
    def leeway(self) -> int:
        """Seconds that its clock may be behind ours: none under `fapi2`, where what has expired is refused."""
        return 0 if self.is_fapi2 else self.skew

    @property
    def code_seconds(self) -> int:
        """Lifetime of its codes, in seconds."""
        tokens = runtime.settings().tokens
        return tokens.code_fapi2 if self.is_fapi2 else tokens.code

    @property
    def access_seconds(self) -> int:
        """Lifetime of its access tokens, in seconds."""
        tokens = runtime.settings().tokens
        return tokens.access_fapi2 if self.is_fapi2 else tokens.access

    def get_client_id(self) -> str:
        """The `client_id`."""
        return self.id

    def get_default_redirect_uri(self) -> None:
        """None: a request names its redirect URI."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """`scope` as it is if the client may request all of it, else None; never less than was requested."""
        try:
            requested = scopes.parse(scope)
        except scopes.UnknownScope:
            return None
        return scope if requested <= self.registered.scopes | self.registered.client_scopes else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether the client has registered this URI, compared character by character (security.md S1-S5)."""
        return registry.allows_redirect(self.registered, redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether it is one of the client's secrets; any text may be passed."""
        return registry.secret_matches(self.registered, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether the client may authenticate by `method`, at every endpoint alike: as registered.

        A secret may be sent by Basic or in the form, whichever is registered, unless the method is pinned: it is
        the same secret, and most client software chooses the method by itself.
        """
        registered = self.registered.token_endpoint_auth_method
        may_be_replaced = not self.registered.pin_token_endpoint_auth_method and {registered, method} <= SENT_SECRETS
        return registered == method or may_be_replaced

    def check_response_type(self, response_type: str) -> bool:
        """Whether it is `code`, and the client may redeem codes."""
        return response_type == "code" and self.check_grant_type("authorization_code")

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client is registered for this grant."""
        return grant_type in self.registered.grant_types


def find(client_id: str | None) -> OAuthClient | None:
    """The client with this id; None where it is unknown, or it or its partner is disabled."""
    registered = registry.client(client_id) if client_id else None
    return OAuthClient(registered) if registered else None


def first_differing_part(client: OAuthClient, uri: str) -> str:
    """Which part of `uri` differs from the most similar registered URI: one of `URI_PARTS`, or "form".

    For the page a developer sees. It never contains what is registered, because a stranger sees it too.
    """
    differences = [differing_parts(uri, registered_uri) for registered_uri in client.registered.redirect_uris]
    nearest = min(differences, key=lambda parts: (parts != ["form"], len(parts)), default=["form"])
    return nearest[0]


def differing_parts(uri: str, registered: str) -> list[str]:
    """The parts in which `uri` differs from a registered URI; ["form"] if it cannot be parsed.

    The port of a loopback URI is not compared: it may be any (RFC 8252 §7.3).
    """
    sent_parts, registered_parts = _parts(uri), _parts(registered)
    if sent_parts is None or registered_parts is None:
        return ["form"]
    ignored = "port" if registry.without_port(uri) and registry.without_port(registered) else None
    return [name for name in URI_PARTS if sent_parts[name] != registered_parts[name] and name != ignored] or ["form"]


def _parts(uri: str) -> dict[str, str] | None:
    try:
        split: SplitResult = urlsplit(uri)
        host, port = split.hostname or "", split.port
    except ValueError:
        return None
    host = host if split.username is None and split.password is None else split.netloc
    return {
        "scheme": uri.partition(":")[0], "host": host, "port": "" if port is None else str(port),
        "path": split.path, "query": split.query, "fragment": split.fragment,
    }  # fmt: skip
