"""Chromium's virtual authenticator: a device with passkeys, for one page (W3C Web Authentication §11)."""

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import CDPSession, Page


class VirtualAuthenticator:
    """An authenticator that has passkeys, and confirms the presence and the fingerprint of its user."""

    def __init__(self, page: Page, *, verifies: bool = True) -> None:
        self._devtools: CDPSession = page.context.new_cdp_session(page)
        self._devtools.send("WebAuthn.enable", {"enableUI": False})
        options = {
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
            "hasUserVerification": True, "isUserVerified": verifies, "automaticPresenceSimulation": True,
        }  # fmt: skip
        self._id = self._send("addVirtualAuthenticator", options=options)["authenticatorId"]

    @property
    def passkeys(self) -> Sequence[dict[str, Any]]:
        """The passkeys of the authenticator, each with its counter."""
        credentials: list[dict[str, Any]] = self._send("getCredentials", authenticatorId=self._id)["credentials"]
        return credentials

    def add(self, passkey: dict[str, Any]) -> None:
        """Add a passkey of another authenticator."""
        self._send("addCredential", authenticatorId=self._id, credential=passkey)

    def set_user_verified(self, is_recognised: bool) -> None:
        """Set whether the user's fingerprint is recognised from now on."""
        self._send("setUserVerified", authenticatorId=self._id, isUserVerified=is_recognised)

    def lose(self) -> None:
        """Remove the authenticator, as when a device is lost."""
        self._send("removeVirtualAuthenticator", authenticatorId=self._id)

    def _send(self, command: str, **parameters: Any) -> dict[str, Any]:
        response: dict[str, Any] = self._devtools.send(f"WebAuthn.{command}", parameters)
        return response
