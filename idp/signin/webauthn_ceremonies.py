"""Registration and authentication by WebAuthn: what an authenticator is asked for, and the check of its response.

`webauthn` (py_webauthn) does what W3C Web Authentication Level 3 §7.1 and §7.2 describe; this module says what we ask
for. The authenticator must verify its user (a fingerprint, a face, a PIN), so that one passkey is two factors. The
credential must be discoverable, so that no name has to be typed. No attestation is asked for: it would tell us
which model of device a person has.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAttachment,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CollectedClientData,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from idp.foundation import runtime

TIMEOUT_MILLISECONDS: Final = 300_000
"""How long a browser is asked to wait for the person; W3C recommends this where a user is verified."""
MAX_RESPONSE_LENGTH: Final = 16_384
"""Characters of a response, as JSON. Those of today's authenticators have fewer than 4,000."""


ATTACHMENTS: Final = tuple(attachment.value for attachment in AuthenticatorAttachment)
"""The values of `authenticatorAttachment` that `webauthn` can read."""
ON_THIS_DEVICE: Final = frozenset({"internal", "hybrid"})
"""Transports of passkeys that are in the computer itself, or in an account that its other devices share."""


class InvalidAuthenticatorResponse(Exception):
    """The response cannot be read, or is not the one that was asked for. The text is for our log."""


@dataclass(frozen=True, slots=True)
class KnownCredential:
    """A credential that is named to the browser: its id, and how its authenticator is reached."""

    credential_id: bytes
    transports: frozenset[str]


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A new credential, from a verified registration."""

    credential_id: bytes
    public_key: bytes
    """The public key in COSE form."""
    sign_count: int
    transports: frozenset[str]
    is_on_another_device: bool
    """Whether the authenticator is not part of the computer that the browser runs on."""
    can_be_backed_up: bool
    """Whether it can be copied to other devices, as Apple's, Google's and Microsoft's accounts do."""
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """A response to `creation_options`, read but not verified."""

    credential: RegistrationCredential
    challenge: str

    def verify(self) -> NewCredential:
        """Check it against its challenge, which the caller has spent; raises `InvalidAuthenticatorResponse`."""
        try:
            verified = webauthn.verify_registration_response(
                credential=self.credential, expected_challenge=base64url_to_bytes(self.challenge),
                expected_rp_id=relying_party_id(), expected_origin=_origin(), require_user_verification=True,
            )  # fmt: skip
        except Exception as error:  # the library lets through what cbor2 and cryptography raise
            raise InvalidAuthenticatorResponse(_describe(error)) from error
        attachment = self.credential.authenticator_attachment
        transports = frozenset(transport.value for transport in self.credential.response.transports or ())
        return NewCredential(
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            transports=transports,
            # Safari says `platform` of a security key that is plugged in, too.
            is_on_another_device=attachment is AuthenticatorAttachment.CROSS_PLATFORM
            or (bool(transports) and not transports & ON_THIS_DEVICE),
            can_be_backed_up=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
            is_backed_up=verified.credential_backed_up,
        )


@dataclass(frozen=True, slots=True)
class VerifiedUse:
    """State of the credential, from a verified authentication."""

    sign_count: int
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class Authentication:
    """A response to `request_options`, read but not verified."""

    credential: AuthenticationCredential
    challenge: str

    @property
    def credential_id(self) -> bytes:
        """The id of the credential that it claims to be made with; not verified."""
        return self.credential.raw_id

    @property
    def user_handle(self) -> bytes | None:
        """The user id that `creation_options` set; None only if the request named the credentials.

        Where there is none, Safari writes an empty one (WebKit bug 239737).
        """
        return self.credential.response.user_handle or None

    def verify(self, public_key: bytes) -> VerifiedUse:
        """Check it against its challenge, which the caller has spent, and the key.

        Raises `InvalidAuthenticatorResponse`.

        The signature counter is not compared: only the database can decide that, in one statement.
        """
        try:
            verified = webauthn.verify_authentication_response(
                credential=self.credential, expected_challenge=base64url_to_bytes(self.challenge),
                expected_rp_id=relying_party_id(), expected_origin=_origin(), credential_public_key=public_key,
                credential_current_sign_count=0, require_user_verification=True,
            )  # fmt: skip
        except Exception as error:  # the library lets through what cbor2 and cryptography raise
            raise InvalidAuthenticatorResponse(_describe(error)) from error
        return VerifiedUse(verified.new_sign_count, verified.credential_backed_up)


def creation_options(
    challenge: str, *, user_id: str, user_name: str, display_name: str, held: Iterable[KnownCredential]
) -> dict[str, Any]:
    """The argument of `navigator.credentials.create`, as JSON. Authenticators that hold one of `held` are excluded."""
    options = webauthn.generate_registration_options(
        rp_id=relying_party_id(),
        rp_name=runtime.settings().service.name,
        user_id=user_id.encode(),
        user_name=user_name,
        user_display_name=display_name,
        challenge=base64url_to_bytes(challenge),
        timeout=TIMEOUT_MILLISECONDS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(held),
    )
    return options_to_json_dict(options)


def request_options(challenge: str, allowed: Iterable[KnownCredential] = ()) -> dict[str, Any]:
    """The argument of `navigator.credentials.get`, as JSON; without `allowed`, any passkey of ours will do."""
    options = webauthn.generate_authentication_options(
        rp_id=relying_party_id(),
        challenge=base64url_to_bytes(challenge),
        timeout=TIMEOUT_MILLISECONDS,
        allow_credentials=_descriptors(allowed),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def read_registration(response: str) -> Registration:
    """Parse the JSON form of a new credential, without verifying it. Raises `InvalidAuthenticatorResponse`."""
    try:
        credential = parse_registration_credential_json(_read(response))
        return Registration(credential, _challenge(parse_client_data_json(credential.response.client_data_json)))
    except Exception as error:  # the library lets through what json, base64 and its enumerations raise
        raise InvalidAuthenticatorResponse(_describe(error)) from error


def read_authentication(response: str) -> Authentication:
    """Parse the JSON form of an assertion, without verifying it. Raises `InvalidAuthenticatorResponse`."""
    try:
        credential = parse_authentication_credential_json(_read(response))
        return Authentication(credential, _challenge(parse_client_data_json(credential.response.client_data_json)))
    except Exception as error:  # the library lets through what json, base64 and its enumerations raise
        raise InvalidAuthenticatorResponse(_describe(error)) from error


def relying_party_id() -> str:
    """The domain that passkeys are bound to: our host, exactly."""
    return urlsplit(runtime.settings().server.issuer).hostname or ""


def _origin() -> str:
    return runtime.settings().server.issuer


def _read(response: str) -> dict[str, Any]:
    """The response as an object, without an attachment that we do not know: it counts as none (Level 3 §5.1)."""
    if len(response) > MAX_RESPONSE_LENGTH:
        raise InvalidAuthenticatorResponse(f"{len(response)} characters")
    members = json.loads(response)
    if not isinstance(members, dict):
        raise InvalidAuthenticatorResponse("not an object")
    if members.get("authenticatorAttachment") not in ATTACHMENTS:
        members.pop("authenticatorAttachment", None)
    return members


def _challenge(client_data: CollectedClientData) -> str:
    """The challenge in the client data. Raises `InvalidAuthenticatorResponse` if a page of another site framed ours."""
    if client_data.cross_origin:
        raise InvalidAuthenticatorResponse("made within a page of another site")
    return bytes_to_base64url(client_data.challenge)


def _descriptors(credentials: Iterable[KnownCredential]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=known.credential_id,
            transports=[AuthenticatorTransport(transport) for transport in sorted(known.transports)],
        )
        for known in credentials
    ]


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
