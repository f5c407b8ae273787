"""The device code: polled for while a person decides, redeemed once (RFC 8628 §3.4)."""

from dataclasses import dataclass

from authlib.oauth2.rfc8628 import DeviceCodeGrant

from idp.oidc import errors
from idp.oidc.tokens import device_codes
from idp.oidc.tokens.grants.common import InitialGrant
from idp.sharing import agreement_state


@dataclass(frozen=True, slots=True)
class RedeemedDeviceCode:
    """A device code that has just been redeemed, with the methods that Authlib calls."""

    scopes: frozenset[str]

    def get_scope(self) -> frozenset[str]:
        """All requested scopes; those that are granted are determined when the tokens are issued."""
        return self.scopes


class DeviceGrant(InitialGrant, DeviceCodeGrant):  # type: ignore[misc]  # Authlib has no types
    """The device code grant (RFC 8628 §3.4). Authlib's own neither uses codes up nor stores the time of polls."""

    def validate_token_request(self) -> None:
        """Use up the code, or raise the error for a poll."""
        request = self.request
        if (code := request.sent.get("device_code")) is None:
            raise errors.invalid("device_code", "missing")
        request.basis, scopes = device_codes.redeem(code, request.client)
        state = agreement_state.state(request.basis.authorisation_id, request.basis.person_id)
        if state is None or not state.is_in_force:
            raise errors.invalid_grant("device_code: the authorisation it belongs to is not in force")
        request.user, request.credential = state, RedeemedDeviceCode(scopes)
