"""A sign-in in which the console takes a sandbox application's place: what it sends, and how it proves who it is."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from joserfc import jwt
from joserfc.jwk import JWKRegistry, OctKey

from idp.developers import sandbox
from idp.foundation import clock, crypto, runtime
from idp.partners import trial_keys
from idp.partners.models import Client

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 60
"""How long a client assertion or a signed request is valid."""


class Reply(NamedTuple):
    """The response to a request of the console's own; `headers` by their names in small letters."""

    status: int
    body: str
    headers: Mapping[str, str] = {}


Send = Callable[[str, str, Mapping[str, str], Mapping[str, str] | None], Reply]
"""Sends a request to us: method, path, headers and form."""


class Exchange(NamedTuple):
    """A request as it is shown, and its response."""

    shown: str
    reply: Reply
    has_repeated: bool
    """Whether it was sent again, with the nonce that we asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sign-in that was begun. It is stored for the browser, encrypted."""

    client_id: str
    method: str
    """How the application authenticates."""
    scope: str
    verifier: str = field(default_factory=crypto.new_secret)
    state: str = field(default_factory=crypto.new_secret)
    nonce: str = field(default_factory=crypto.new_secret)
    secret: str | None = None
    assertion_key: dict[str, Any] | None = None
    """The private key of its client assertions; like the other keys, a JWK."""
    request_key: dict[str, Any] | None = None
    """The private key of its request objects, if it signs its requests."""
    dpop_key: dict[str, Any] | None = None
    """The private key to which its tokens are bound, if they are."""
    is_pushed: bool = False
    """Whether it pushes its authorization request."""
    request_uri: str = ""
    """The reference to the pushed request."""
    first_steps: tuple[dict[str, Any], ...] = ()
    """What was explained before the browser was sent: the fields of `try_it.Step`."""

    def to_json(self) -> bytes:
        """The run as JSON, which `from_json` reads."""
        return json.dumps(asdict(self)).encode()

    @property
    def keys(self) -> list[dict[str, Any]]:
        """The keys whose public halves the application has to have."""
        return [key for key in (self.assertion_key, self.request_key) if key is not None]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the authorization request, before they are signed or pushed."""
        digest = crypto.digest(self.verifier)
        return {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": sandbox.try_it_url(),
            "scope": self.scope, "state": self.state, "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
        }  # fmt: skip

    def sent_parameters(self) -> dict[str, str]:
        """The parameters as they are pushed or put into the query: in a request object, if it signs its requests."""
        if self.request_key is None:
            return self.parameters
        claims = {**self.parameters, "iss": self.client_id, "aud": _issuer(), **_times()}
        return {"client_id": self.client_id, "request": _sign(self.request_key, claims)}

    @property
    def authorization_url(self) -> str:
        """Where the browser is sent."""
        return f"/oauth/authorize?{urlencode(self.browser_parameters())}"

    def browser_parameters(self) -> dict[str, str]:
        """The parameters in the URL to which the browser is sent."""
        if self.is_pushed:
            return {"client_id": self.client_id, "request_uri": self.request_uri}
        return self.sent_parameters()

    def post(self, path: str, form: dict[str, str], send: Send, *, proves: bool = True) -> Exchange:
        """Send a form as the application: it authenticates, and proves its key if tokens are bound to one."""
        exchange = self._post_once(path, form, send, proves=proves, nonce=None)
        nonce = exchange.reply.headers.get("dpop-nonce")
        if exchange.reply.status != 400 or nonce is None or '"use_dpop_nonce"' not in exchange.reply.body:
            return exchange
        return self._post_once(path, form, send, proves=proves, nonce=nonce)._replace(has_repeated=True)

    def get_userinfo(self, access_token: str, send: Send) -> Exchange:
        """Ask userinfo with the token, and with a proof if the token is bound to a key."""
        path = "/oauth/userinfo"
        if self.dpop_key is None:
            reply = send("GET", path, {"Authorization": f"Bearer {access_token}"}, None)
            return Exchange(f"GET {path}\nAuthorization: Bearer (the access token)", reply, has_repeated=False)
        has_repeated, nonce = False, None
        while True:
            proof = self._proof("GET", path, access_token=access_token, nonce=nonce)
            reply = send("GET", path, {"Authorization": f"DPoP {access_token}", "DPoP": proof}, None)
            if has_repeated or reply.status != 401 or "use_dpop_nonce" not in reply.headers.get("www-authenticate", ""):
                break
            has_repeated, nonce = True, reply.headers.get("dpop-nonce")
        shown = f"GET {path}\nAuthorization: DPoP (the access token)\nDPoP: {_describe_jwt(proof)}"
        return Exchange(shown, reply, has_repeated)

    def _post_once(
        self, path: str, form: Mapping[str, str], send: Send, *, proves: bool, nonce: str | None
    ) -> Exchange:
        headers, lines = dict[str, str](), [f"POST {path}"]
        sent = {**form}
        if self.assertion_key is not None or self.method == "client_secret_jwt":
            sent |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion()}
        elif self.secret is None:
            sent["client_id"] = self.client_id
        elif self.method == "client_secret_post":
            sent |= {"client_id": self.client_id, "client_secret": self.secret}
        else:
            credentials = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
            lines.append("Authorization: Basic (client id and secret)")
        if proves and self.dpop_key is not None:
            headers["DPoP"] = self._proof("POST", path, nonce=nonce)
            lines.append(f"DPoP: {_describe_jwt(headers['DPoP'])}")
        return Exchange(
            "\n".join([*lines, format_parameters(sent)]), send("POST", path, headers, sent), has_repeated=False
        )

    def _assertion(self) -> str:
        """The JWT by which the application proves who it is (RFC 7523)."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": _issuer(),
            "jti": crypto.new_secret(),
            **_times(),
        }
        if self.assertion_key is not None:
            return _sign(self.assertion_key, claims)
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self.secret or ""), algorithms=["HS256"])

    def _proof(self, method: str, path: str, *, access_token: str = "", nonce: str | None = None) -> str:
        """The proof that the application has the key of its tokens (RFC 9449 §4.2)."""
        assert self.dpop_key is not None
        claims = {"jti": crypto.new_secret(), "htm": method, "htu": runtime.url(path), "iat": clock.timestamp()}
        if access_token:
            claims["ath"] = crypto.base64url(crypto.digest(access_token))
        if nonce is not None:
            claims["nonce"] = nonce
        public = {
            name: value for name, value in trial_keys.public_half(self.dpop_key).items() if name not in {"kid", "use"}
        }
        return _sign(self.dpop_key, claims, typ="dpop+jwt", jwk=public)


def begin(client: Client, scope: str) -> Run:
    """A run that suits the registration, with a secret or keys of its own, which are not registered yet."""
    method, is_fapi2 = client.token_endpoint_auth_method, client.profile == "fapi2"
    has_secret, is_bound = method.startswith("client_secret"), client.dpop_bound_access_tokens or is_fapi2
    assertion_alg = client.token_endpoint_auth_signing_alg if method == "private_key_jwt" else None
    return Run(
        client.id, method, scope,
        secret=crypto.new_secret() if has_secret else None,
        assertion_key=_new_key(assertion_alg) if method == "private_key_jwt" else None,
        request_key=_new_key(client.request_object_signing_alg) if client.require_signed_request_object else None,
        dpop_key=_new_key(None) if is_bound else None,
        is_pushed=is_fapi2,
    )  # fmt: skip


def from_json(content: bytes) -> Run:
    """The run that `Run.to_json` wrote."""
    document = json.loads(content)
    return Run(**{**document, "first_steps": tuple(document["first_steps"])})


def decode_unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of a JWT, for showing them."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    return header, claims


SHOWN_CHARACTERS: Final = 6
"""How many characters of a code, a token or a verifier are shown: enough to recognise it."""
_HIDDEN: Final = frozenset({"code", "access_token", "refresh_token", "id_token", "code_verifier", "token"})
_SIGNED: Final = frozenset({"client_assertion", "request"})


def format_parameters(values: Mapping[str, str]) -> str:
    """Parameters, one on each line, with nothing that is secret."""
    return "\n".join(f"{name}={_redact(name, value)}" for name, value in values.items())


def format_json(values: Mapping[str, Any]) -> str:
    """A JSON object with nothing that is secret."""
    shown = {name: shorten(value) if name in _HIDDEN else value for name, value in values.items()}
    return json.dumps(shown, indent=2, ensure_ascii=False)


def shorten(value: str) -> str:
    """The beginning of a value, and its length."""
    return f"{value[:SHOWN_CHARACTERS]}… ({len(value)} characters)"


def _redact(name: str, value: str) -> str:
    if name == "client_secret":
        return "(the secret)"
    if name in _SIGNED:
        return _describe_jwt(value)
    return shorten(value) if name in _HIDDEN else value


def _describe_jwt(token: str) -> str:
    """What a JWT says that the application has signed; without its signature it is of no use to a reader."""
    header, claims = decode_unverified(token) or ({}, {})
    return f"a JWT with the header {json.dumps(header)} and the claims {json.dumps(claims)}"


def _new_key(alg: str | None) -> dict[str, Any]:
    return trial_keys.generate(alg or trial_keys.DEFAULT_ALG)


def _times() -> dict[str, int]:
    now = clock.timestamp()
    return {"iat": now, "nbf": now, "exp": now + ASSERTION_SECONDS}


def _sign(key: dict[str, Any], claims: Mapping[str, Any], **header: Any) -> str:
    fields = header if "jwk" in header else {**header, "kid": key["kid"]}
    return jwt.encode({**fields, "alg": key["alg"]}, dict(claims), JWKRegistry.import_key(key), algorithms=[key["alg"]])


def _issuer() -> str:
    return runtime.settings().server.issuer
