"""The identity provider: registration by device authorization (RFC 8628), tokens, and reports of this endpoint."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .connection import Connection
from .errors import EndpointExists, InvalidSettings, RegistrationEnded, RequestRefused, ServerUnreachable

CLIENT_ID: Final = "xporter-endpoint"
SCOPE: Final = "endpoint offline_access"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN_SECONDS: Final = 5
MAX_POLL_SECONDS: Final = 60
"""Up to this the interval doubles while the provider is unreachable; `slow_down` and Retry-After may ask for more."""
METADATA_CACHE_SECONDS: Final = 3600


class CodeExpired(Exception):
    """The code expired before a person approved it: a new one is needed."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A response of the device authorization endpoint (RFC 8628 §3.2); times are in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """A response of the token endpoint; `expires_in` is in seconds."""

    access_token: str
    expires_in: float
    refresh_token: str
    """The new refresh token; empty if the previous one stays valid."""


class Provider:
    """The provider at `issuer`."""

    def __init__(self, issuer: str, connection: Connection) -> None:
        self._issuer, self._connection = issuer, connection
        self._metadata: tuple[dict[str, Any], float] = ({}, float("-inf"))

    def request_device_code(self) -> DeviceCode:
        """Request a code (RFC 8628 §3.1). Raises `RequestRefused`, `ServerUnreachable`."""
        form = {"client_id": CLIENT_ID, "scope": SCOPE}
        response = self._connection.send("POST", self._endpoint("device_authorization"), with_dpop=False, data=form)
        try:
            code = DeviceCode(
                str(response["device_code"]), str(response["user_code"]), str(response["verification_uri"]),
                str(response.get("verification_uri_complete") or response["verification_uri"]),
                int(response["expires_in"]), int(response.get("interval", 5)),
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise ServerUnreachable(f"{self._issuer} does not respond as expected.") from error
        # Control characters would move a terminal's cursor.
        if not f"{code.user_code}{code.verification_uri}{code.verification_uri_complete}".isprintable():
            raise ServerUnreachable(f"{self._issuer} does not respond as expected.")
        return code

    def poll(self, code: DeviceCode, sleep: Callable[[float], None]) -> Iterator[Tokens | None]:
        """Poll until the person has decided (RFC 8628 §3.5): None for each poll, and then the tokens.

        Raises `CodeExpired`, and `RequestRefused` if the person refused. The interval grows while the provider is
        unreachable.
        """
        interval, waited = float(code.interval), 0.0
        while waited < code.expires_in:
            sleep(min(interval, code.expires_in - waited))
            waited += interval
            try:
                tokens = self._tokens(grant_type=DEVICE_GRANT, device_code=code.device_code)
            except ServerUnreachable as error:
                interval = max(interval, min(interval * 2, MAX_POLL_SECONDS), error.retry_after or 0)
            except RequestRefused as error:
                if error.error == "expired_token":
                    raise CodeExpired from error
                if error.error == "slow_down":
                    interval += SLOW_DOWN_SECONDS
                elif error.error != "authorization_pending":
                    raise
            else:
                yield tokens
                return
            yield None
        raise CodeExpired

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens (RFC 6749 §6). Raises `RegistrationEnded` if the refresh token is not accepted any more."""
        try:
            return self._tokens(grant_type="refresh_token", refresh_token=refresh_token)
        except RequestRefused as error:
            if error.error in {"invalid_grant", "invalid_client", "unauthorized_client"}:
                raise RegistrationEnded(error.error) from error
            raise

    def revoke(self, refresh_token: str) -> None:
        """Revoke a refresh token (RFC 7009)."""
        form = {"client_id": CLIENT_ID, "token": refresh_token, "token_type_hint": "refresh_token"}
        self._connection.send("POST", self._endpoint("revocation"), with_dpop=False, data=form)

    def report(self, access_token: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a report; returns the endpoint's state at the provider. Raises `EndpointExists`, `RegistrationEnded`.

        `body` has `name`, `mis`, `agent_version`, `platform`, `last_extract` and `last_error`, and `replaces` if the
        school's other endpoint is to end.
        """
        try:
            return self._call_api("PUT", access_token, json=body)
        except RequestRefused as error:
            if error.error == "endpoint_exists":
                raise EndpointExists(str(error.document.get("detail") or "")) from error
            if error.error == "endpoint_ended":
                raise RegistrationEnded("it was replaced or removed") from error
            raise

    def unregister(self, access_token: str) -> None:
        """End the registration, and revoke all its tokens."""
        self._call_api("DELETE", access_token)

    def _call_api(self, method: str, access_token: str, **options: Any) -> dict[str, Any]:
        url = f"{self._issuer}/api/endpoint"
        return self._connection.send(method, url, access_token=access_token, **options)

    def _tokens(self, **form: str) -> Tokens:
        response = self._connection.send("POST", self._endpoint("token"), data={"client_id": CLIENT_ID, **form})
        try:
            if str(response["token_type"]).lower() != "dpop":
                raise ServerUnreachable(
                    f"{self._issuer} issues tokens that are not bound to this server.", "Tell support."
                )
            expires_in = float(response.get("expires_in", 60))
            return Tokens(str(response["access_token"]), expires_in, str(response.get("refresh_token") or ""))
        except (KeyError, ValueError, TypeError) as error:
            raise ServerUnreachable(f"{self._issuer} does not respond as expected.") from error

    def _endpoint(self, name: str) -> str:
        metadata, fetched_at = self._metadata
        if time.monotonic() - fetched_at > METADATA_CACHE_SECONDS:
            url = f"{self._issuer}/.well-known/openid-configuration"
            try:
                metadata = self._connection.send("GET", url, with_dpop=False)
            except RequestRefused as error:
                raise InvalidSettings(
                    f"There is no identity provider at {self._issuer} ({error.status}).", "Check the address."
                ) from error
            if metadata.get("issuer") != self._issuer:  # OpenID Connect Discovery §4.3
                raise InvalidSettings(
                    f"The provider at {self._issuer} identifies itself as {metadata.get('issuer')}.",
                    "Enter its address exactly as given to you.",
                )
            self._metadata = metadata, time.monotonic()
        try:
            return str(metadata[f"{name}_endpoint"])
        except KeyError:
            raise InvalidSettings(f"{self._issuer} has no {name} endpoint.", "Check the address.") from None
