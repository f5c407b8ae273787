"""Requests to the provider: metadata and keys, introspection of tokens (RFC 7662), and tokens of our own.

We authenticate by a JWT that our key signs (`private_key_jwt`, RFC 7523), so that no secret is shared.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from clients.xporter.keys import ALG, Keys
from clients.xporter.settings import Settings

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 60
TIMEOUT_SECONDS: Final = 10
METADATA_CACHE_SECONDS: Final = 3600
JWKS_CACHE_SECONDS: Final = 600
"""How long its keys are used before they are read again; a key that it no longer publishes is refused then."""
MIN_JWKS_INTERVAL_SECONDS: Final = 60
"""The least time between two requests for its keys, however many tokens name an unknown one."""
RENEW_BEFORE_EXPIRY_SECONDS: Final = 30
"""How long before its expiry a token for us as a client is replaced."""
_ADVICE: Final = (
    (
        requests.exceptions.SSLError,
        "its certificate is not trusted; REQUESTS_CA_BUNDLE names the file of its authority",
    ),
    (requests.exceptions.Timeout, f"it did not respond within {TIMEOUT_SECONDS} seconds"),
    (requests.exceptions.ConnectionError, "no server responds at the URL in XPORTER_ISSUER"),
)
"""Explanations for the log when the provider cannot be reached, the most specific first."""

log = logging.getLogger(__name__)


class ProviderUnreachable(Exception):
    """The provider does not respond, or not as it should. The argument is for our log and holds no token."""


class Provider:
    """Sends requests to the provider, which need not be running when this is made."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        http: requests.Session | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._keys, self._http, self._now = settings, keys, http or _session(), now
        self._metadata: tuple[dict[str, Any], float] = ({}, float("-inf"))
        self._jwks: dict[str, Key] = {}
        self._jwks_read_at = self._jwks_asked_at = float("-inf")
        self._client_tokens: dict[str, tuple[str, float]] = {}
        self._lock, self._token_lock = threading.Lock(), threading.Lock()

    def key(self, kid: str) -> Key | None:
        """Its public key with this id, or None. Raises `ProviderUnreachable` if its keys were never read.

        Keys are read again when they are old, and for an unknown id, but not more often than every
        `MIN_JWKS_INTERVAL_SECONDS`. One thread reads them. The others wait for it only with an unknown id.
        """
        is_known = kid in self._jwks
        if (not is_known or self._is_due()) and self._lock.acquire(blocking=not is_known):
            try:
                if self._is_due(unknown=kid not in self._jwks):
                    self._refresh_keys()
            finally:
                self._lock.release()
        return self._jwks.get(kid)

    def _is_due(self, *, unknown: bool = False) -> bool:
        """Whether the keys are to be read again now."""
        now = time.monotonic()
        is_old = now - self._jwks_read_at > JWKS_CACHE_SECONDS
        return (is_old or unknown) and now - self._jwks_asked_at >= MIN_JWKS_INTERVAL_SECONDS

    def _refresh_keys(self) -> None:
        self._jwks_asked_at = now = time.monotonic()
        try:
            self._jwks, self._jwks_read_at = self._read_keys(), now
        except ProviderUnreachable as error:
            log.warning("cannot read the keys of %s: %s", self._settings.issuer, error)
            if not self._jwks:
                self._jwks_asked_at = float("-inf")
                raise

    def introspect(self, token: str) -> dict[str, Any]:
        """What the provider says of the token now (RFC 7662 §2.2). Raises `ProviderUnreachable`."""
        return self._post("introspection_endpoint", {"token": token})

    def client_token(self, scope: str, *, renew: bool = False) -> str:
        """An access token by client credentials (RFC 6749 §4.4). Raises `ProviderUnreachable`."""
        with self._token_lock:  # one thread requests it, the others wait
            token, until = self._client_tokens.get(scope, ("", 0.0))
            if renew or self._now() > until - RENEW_BEFORE_EXPIRY_SECONDS:
                response = self._post("token_endpoint", {"grant_type": "client_credentials", "scope": scope})
                try:
                    token, token_type = str(response["access_token"]), str(response["token_type"])
                except KeyError as error:
                    raise ProviderUnreachable("the token endpoint responded without a token") from error
                if token_type.lower() != "bearer":  # RFC 6749 §7.1
                    raise ProviderUnreachable(f"the token endpoint responded with a token of the type {token_type!r}")
                self._client_tokens[scope] = token, self._now() + float(response.get("expires_in", 60))
            return self._client_tokens[scope][0]

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a public document at the provider, such as `/api/scopes`.

        Raises `ProviderUnreachable` for errors of the provider.
        """
        return self._send("GET", self._settings.issuer + path, **options)

    def call_as_client(self, method: str, path: str, *, scope: str, **options: Any) -> requests.Response:
        """Call the provider's API with a token for us as a client. `options` are those of `requests.request`.

        Raises `ProviderUnreachable` for errors of the provider.
        """
        for renew in (False, True):  # the token may have been revoked, or the provider was set up again
            headers = {"Authorization": f"Bearer {self.client_token(scope, renew=renew)}"}
            response = self._send(method, self._settings.issuer + path, headers=headers, **options)
            if response.status_code != 401:
                break
        return response

    def metadata(self) -> dict[str, Any]:
        """Its metadata (RFC 8414 §3). Raises `ProviderUnreachable`."""
        metadata, read_at = self._metadata
        if time.monotonic() - read_at > METADATA_CACHE_SECONDS:
            issuer = urlsplit(self._settings.issuer)
            url = f"{issuer.scheme}://{issuer.netloc}/.well-known/oauth-authorization-server{issuer.path}"
            metadata = _json(self._send("GET", url))
            if metadata.get("issuer") != self._settings.issuer:
                raise ProviderUnreachable(f"its metadata names {metadata.get('issuer')!r} as issuer (RFC 8414 §3.3)")
            self._metadata = metadata, time.monotonic()
        return metadata

    def _read_keys(self) -> dict[str, Key]:
        document = _json(self._send("GET", self._endpoint("jwks_uri")))
        keys = {}
        for jwk in document.get("keys", ()):
            try:
                if jwk.get("use", "sig") == "sig":
                    keys[str(jwk["kid"])] = JWKRegistry.import_key(jwk)
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue  # of a kind that we do not know
        if not keys:
            raise ProviderUnreachable("its JWK Set has no key that we can use")
        return keys

    def _post(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        proven = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion()}
        headers = {"Accept": "application/json"}
        return _json(self._send("POST", self._endpoint(endpoint), data=form | proven, headers=headers))

    def _assertion(self) -> str:
        """A signed JWT that authenticates us (RFC 7523 §3). It works once, so each request gets a new one."""
        now, key, client_id = int(self._now()), self._keys.signing_key(), self._settings.client_id
        claims = {
            "iss": client_id, "sub": client_id, "aud": self._settings.issuer, "jti": secrets.token_urlsafe(16),
            "iat": now, "exp": now + ASSERTION_SECONDS,
        }  # fmt: skip
        return jwt.encode({"alg": ALG, "kid": key.kid}, claims, key, algorithms=[ALG])

    def _endpoint(self, name: str) -> str:
        try:
            return str(self.metadata()[name])
        except KeyError as error:
            raise ProviderUnreachable(f"its metadata names no {name}") from error

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            response = self._http.request(method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **options)
        except requests.RequestException as error:
            advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), type(error).__name__)
            raise ProviderUnreachable(advice) from None
        if response.status_code >= 500 or response.status_code == 429:
            raise ProviderUnreachable(f"{urlsplit(url).path} responded with {response.status_code}")
        return response


def _without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave `Authorization` as it is: without this, requests would replace it by the host's entry in `.netrc`."""
    return request


def _session() -> requests.Session:
    """Keeps connections to the provider open for as many threads as ask at once."""
    session = requests.Session()
    session.auth = _without_netrc
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=50))
    return session


def _json(response: requests.Response) -> dict[str, Any]:
    path = urlsplit(response.url or "").path
    if response.status_code != 200:
        advice = "; is our key at the jwks_uri that is registered for us?" if response.status_code == 401 else ""
        raise ProviderUnreachable(f"{path} responded with {response.status_code}{advice}")
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderUnreachable(f"the response of {path} cannot be read")
    return document
