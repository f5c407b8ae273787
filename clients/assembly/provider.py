"""What we send to the provider, as the FAPI 2.0 Security Profile requires it.

* We authenticate by a JWT that our key signs, not by a secret (`private_key_jwt`, RFC 7523).
* Authorization requests are pushed before the browser goes there (PAR, RFC 9126).
* Access tokens are bound to our DPoP key: a thief cannot use one (RFC 9449).

joserfc signs and verifies; requests sends. An assertion and a proof are each for one request and work once, so
whatever is sent again, after a lost response for example, is signed again.
"""

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import requests
from joserfc import jwt
from joserfc.errors import DecodeError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from clients.assembly.errors import ProviderUnreachable, RequestRefused, UntrustedResponse
from clients.assembly.keys import ALG, Keys
from clients.assembly.settings import Settings

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["ES256"]
"""The accepted signing algorithms of the provider, whatever its discovery document says.

The profile allows PS256 and EdDSA as well, but not RS256 (FAPI 2.0 §5.4.1); ours is what our registration names.
"""
TIMEOUT_SECONDS = 10
ASSERTION_SECONDS = 60
METADATA_CACHE_SECONDS = 3600
JWKS_CACHE_SECONDS = 600
MIN_JWKS_INTERVAL_SECONDS = 10
"""The least time between two requests for its keys, however many signatures name an unknown one."""
RENEW_BEFORE_EXPIRY_SECONDS = 30
LEEWAY_SECONDS = 30
"""How far our clock and the provider's may differ."""


class Provider:
    """Sends requests to the provider, which need not be running when this is made.

    All methods that send one raise `ProviderUnreachable` if there is no response, or not the expected one.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings, self._keys = settings, keys
        self._metadata: tuple[dict[str, Any], float] = ({}, 0)
        self._jwks: tuple[KeySet, float] = (KeySet([]), 0)
        self._jwks_requested_at = 0.0
        self._nonces: dict[str, str] = {}
        self._token: tuple[str, float] = ("", 0)
        self._token_lock, self._jwks_lock = threading.Lock(), threading.Lock()

    def metadata(self) -> dict[str, Any]:
        """Its discovery document (OpenID Connect Discovery §4). Raises `ProviderUnreachable`."""
        metadata, fetched_at = self._metadata
        if time.time() - fetched_at > METADATA_CACHE_SECONDS:
            metadata = _json(_send("GET", f"{self._settings.issuer}/.well-known/openid-configuration"))
            if metadata.get("issuer") != self._settings.issuer:
                raise ProviderUnreachable(f"discovery names {metadata.get('issuer')!r} as issuer (Discovery §4.3)")
            self._metadata = metadata, time.time()
        return metadata

    # Signing in

    def push(self, parameters: Mapping[str, str]) -> str:
        """Push an authorization request; returns the URL for the browser (RFC 9126). Raises `RequestRefused`."""
        form = {**parameters, "client_id": self._settings.client_id, "dpop_jkt": self._keys.dpop_key().thumbprint()}
        pushed = self._post("pushed_authorization_request_endpoint", form)
        query = urlencode({"client_id": self._settings.client_id, "request_uri": pushed["request_uri"]})
        return f"{self._endpoint('authorization_endpoint')}?{query}"

    def token(self, **form: str) -> dict[str, Any]:
        """The response of the token endpoint. Raises `RequestRefused`, and `UntrustedResponse` for an unbound token."""
        response = self._post("token_endpoint", form, with_dpop=True)
        if str(response.get("token_type")).lower() != "dpop":  # RFC 9449 §5
            raise UntrustedResponse("the access token is not bound to our key")
        return response

    def revoke(self, refresh_token: str) -> None:
        """Revoke a refresh token, and the access tokens that came from it (RFC 7009). Raises `RequestRefused`."""
        self._post("revocation_endpoint", {"token": refresh_token, "token_type_hint": "refresh_token"})

    def userinfo(self, access_token: str) -> dict[str, Any]:
        """The claims about the person whose token this is (OpenID Connect Core §5.3). Raises `RequestRefused`."""
        response = self.call("GET", self._endpoint("userinfo_endpoint"), access_token)
        _raise_for(response)
        return _json(response)

    def end_session_url(self, **parameters: str) -> str:
        """The URL at which the browser signs out (OpenID Connect RP-Initiated Logout §2)."""
        return f"{self._endpoint('end_session_endpoint')}?{urlencode(parameters)}"

    # Calling an API

    def call(
        self, method: str, url: str, access_token: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> requests.Response:
        """Send a request with an access token and a DPoP proof. `options` are those of `requests.request`.

        The response may be an error below 500.
        """
        ath = _b64(sha256(access_token.encode()).digest())

        def send_signed() -> requests.Response:
            proof = self._proof(method, url, ath=ath)
            sent = {**(headers or {}), "Authorization": f"DPoP {access_token}", "DPoP": proof}
            return _send(method, url, headers=sent, **options)

        return self._with_nonce(url, send_signed)

    def call_as_client(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the provider's API with a token for us as a client, not for a school (RFC 6749 §4.4).

        Raises `RequestRefused` with the code and the detail of a problem document (RFC 9457).
        """
        response = self.call(method, self._settings.issuer + path, self._client_token(), **options)
        if response.status_code == 401:  # it was revoked, or the provider was set up again
            response = self.call(method, self._settings.issuer + path, self._client_token(renew=True), **options)
        _raise_for(response)
        return response

    # Verifying what it signs

    def verify(self, token: str, *, typ: str) -> dict[str, Any]:
        """Verify type, signature, issuer, audience and `nbf` of a JWT, and return its claims. The caller checks others.

        Raises `UntrustedResponse`, and `ProviderUnreachable` if the provider's keys cannot be fetched.
        """
        try:
            decoded = self._decode(token)
        except DecodeError as error:
            raise UntrustedResponse(f"the token is malformed: {error}") from error
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise UntrustedResponse(f"the signature is not valid: {error}", "signature") from error
        claims = dict(decoded.claims)
        if str(decoded.header.get("typ", "JWT")).lower() != typ.lower():
            raise UntrustedResponse(f"is a {decoded.header.get('typ')}, not a {typ}")
        if claims.get("iss") != self._settings.issuer:
            raise UntrustedResponse("iss is another issuer", "issuer")
        audience = claims.get("aud")
        if audience not in (self._settings.client_id, [self._settings.client_id]):
            raise UntrustedResponse("aud is another client", "audience")
        not_before = claims.get("nbf", 0)
        if not isinstance(not_before, int | float) or not_before > time.time() + LEEWAY_SECONDS:
            raise UntrustedResponse("is not valid yet (RFC 7519 §4.1.5)")
        return claims

    def _decode(self, token: str) -> Any:
        """Verify with the keys that we have; if none of them fits, with those that it publishes now."""
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # unknown ones (RFC 7515 §4)
        keys, fetched_at = self._jwks
        if time.time() - fetched_at < JWKS_CACHE_SECONDS:
            try:
                return jwt.decode(token, keys, registry=registry)
            except (JoseError, ValueError):
                if time.time() - fetched_at < MIN_JWKS_INTERVAL_SECONDS:
                    raise
        return jwt.decode(token, self._newer_keys(keys), registry=registry)

    def _newer_keys(self, known_keys: KeySet) -> KeySet:
        """Its keys, requested now, unless another thread has just replaced `known_keys`.

        Raises `ProviderUnreachable`, also soon after a request for them has failed.
        """
        with self._jwks_lock:
            if self._jwks[0] is not known_keys:
                return self._jwks[0]
            now = time.time()
            if now - self._jwks_requested_at < MIN_JWKS_INTERVAL_SECONDS:
                raise ProviderUnreachable("its keys could not be fetched a moment ago")
            self._jwks_requested_at = now
            keys = _key_set(_json(_send("GET", self._endpoint("jwks_uri"))))
            self._jwks = keys, now
            return keys

    # How requests are signed and sent

    def _post(self, endpoint: str, form: Mapping[str, str], *, with_dpop: bool = False) -> dict[str, Any]:
        url = self._endpoint(endpoint)

        def send_signed() -> requests.Response:
            headers = {"DPoP": self._proof("POST", url)} if with_dpop else {}
            sent = {**form, "client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion()}
            return _send("POST", url, headers=headers, data=sent, allow_redirects=False)

        response = self._with_nonce(url, send_signed)
        _raise_for(response)
        return _json(response) if response.content else {}

    def _with_nonce(self, url: str, send_signed: Callable[[], requests.Response]) -> requests.Response:
        """Send a request, once more if the provider demands its nonce in the proof (RFC 9449 §8 and §9)."""
        response = send_signed()
        nonce = response.headers.get("DPoP-Nonce")
        if nonce and nonce != self._nonces.get(_origin(url)):
            self._nonces[_origin(url)] = nonce
            if response.status_code in {400, 401} and "use_dpop_nonce" in response.text + response.headers.get(
                "WWW-Authenticate", ""
            ):
                return send_signed()
        return response

    def _assertion(self) -> str:
        """A signed JWT that authenticates us (RFC 7523 §3). The profile requires the issuer as the only audience."""
        now, key, client_id = int(time.time()), self._keys.signing_key(), self._settings.client_id
        claims = {
            "iss": client_id, "sub": client_id, "aud": self._settings.issuer, "jti": secrets.token_urlsafe(16),
            "iat": now, "exp": now + ASSERTION_SECONDS,
        }  # fmt: skip
        return jwt.encode({"alg": ALG, "kid": key.kid}, claims, key, algorithms=[ALG])

    def _proof(self, method: str, url: str, **claims: str) -> str:
        """A proof that we hold the key, for one request (RFC 9449 §4.2); with `ath`, also for one token."""
        key, htu = self._keys.dpop_key(), url.partition("?")[0]
        payload = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": htu, "iat": int(time.time()), **claims}
        if nonce := self._nonces.get(_origin(url)):
            payload["nonce"] = nonce
        public = {name: value for name, value in key.as_dict(private=False).items() if name in {"kty", "crv", "x", "y"}}
        return jwt.encode({"typ": "dpop+jwt", "alg": ALG, "jwk": public}, payload, key, algorithms=[ALG])

    def _client_token(self, *, renew: bool = False) -> str:
        """An access token by client credentials (RFC 6749 §4.4), requested if there is none that lasts."""
        with self._token_lock:  # one thread requests it, the others wait
            token, until = self._token
            if renew or time.time() > until - RENEW_BEFORE_EXPIRY_SECONDS:
                response = self.token(grant_type="client_credentials", scope="schools.list invitations")
                token, until = str(response["access_token"]), time.time() + float(response.get("expires_in", 60))
                self._token = token, until
            return token

    def _endpoint(self, name: str) -> str:
        try:
            return str(self.metadata()[name])
        except KeyError as error:
            raise ProviderUnreachable(f"discovery has no {name}") from error


def _without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave `Authorization` as it is: without this, requests would replace it by the host's entry in `.netrc`."""
    return request


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _send(method: str, url: str, **options: Any) -> requests.Response:
    try:
        response = requests.request(method, url, auth=_without_netrc, timeout=TIMEOUT_SECONDS, **options)
    except requests.RequestException as error:
        raise ProviderUnreachable(f"{type(error).__name__}: {url}") from error
    if response.status_code >= 500:
        raise ProviderUnreachable(f"{url} responded with {response.status_code}")
    return response


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise ProviderUnreachable(f"{response.url} did not respond with JSON") from error
    if response.status_code not in {200, 201} or not isinstance(document, dict):
        raise ProviderUnreachable(f"{response.url} responded with {response.status_code}")
    return document


def _key_set(document: Mapping[str, Any]) -> KeySet:
    """The keys that can be read; others are passed over (RFC 7517 §5). Raises `ProviderUnreachable` for none."""
    members, keys = document.get("keys"), []
    for member in members if isinstance(members, list) else ():
        try:
            keys.append(JWKRegistry.import_key(member))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    if not keys:
        raise ProviderUnreachable("its key set has no key that can be read")
    return KeySet(keys)


def _raise_for(response: requests.Response) -> None:
    """Do nothing for a response that is not an error.

    Raises `ProviderUnreachable` for 429, and otherwise `RequestRefused` with what the response says: the members that
    OAuth defines (RFC 6749 §5.2), or those of a problem document (RFC 9457).
    """
    if response.status_code < 400:
        return
    if response.status_code == 429:
        raise ProviderUnreachable(f"{response.url} is rate limiting us (429)")
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    code = str(document.get("error") or document.get("code") or response.status_code)
    detail = str(document.get("error_description") or document.get("detail") or "")
    errors = document.get("errors")
    for error in errors if isinstance(errors, list) else ():
        detail += f" {error.get('field')}: {error.get('detail')}." if isinstance(error, dict) else f" {error}"
    raise RequestRefused(code, detail.strip(), response.status_code)


def _b64(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def code_challenge(verifier: str) -> str:
    """PKCE's challenge, of the method S256 (RFC 7636 §4.2)."""
    return _b64(sha256(verifier.encode()).digest())
