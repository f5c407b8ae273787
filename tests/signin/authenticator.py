"""An authenticator in software, for tests: makes passkeys and responds to challenges as a browser's device does."""

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from idp.estabs import people
from idp.signin import passkeys

BROWSER = "the browser that a test registers with"

PRESENT, VERIFIED, CAN_BE_BACKED_UP, BACKED_UP, NEW_KEY = 0x01, 0x04, 0x08, 0x10, 0x40
"""Flags of the authenticator data (W3C Web Authentication §6.1)."""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_decode(text):
    return base64.urlsafe_b64decode(f"{text}===")


@dataclass
class Credential:
    """One passkey. `sign_count` stays 0 with `counts=False`, as it does where passkeys are synchronised."""

    rp_id: str
    user_id: bytes
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    sign_count: int = 0


class Authenticator:
    """A device that holds passkeys. Each part of its responses can be made wrong."""

    def __init__(self, origin, *, transports=("internal",), attachment="platform", counts=True, backed_up=False):
        self.origin = origin
        self.transports, self.attachment, self.counts, self.backed_up = transports, attachment, counts, backed_up
        self.credentials = []
        self.new_id = None
        """The id of the next passkey; by default a random one."""

    def create(self, options, *, verified=True, present=True, origin=None, rp_id=None, **client_data):
        """The response of `navigator.credentials.create(options)`, as JSON."""
        credential = Credential(options["rp"]["id"], b64_decode(options["user"]["id"]))
        credential.id = self.new_id or credential.id
        self.credentials.append(credential)
        point = credential.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(credential.id)) + credential.id + cose
        flags = NEW_KEY | self._flags(verified=verified, present=present)
        data = self._data(rp_id or credential.rp_id, flags, credential.sign_count) + attested
        client_json = self._client_data("webauthn.create", options, origin, client_data)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": b64(client_json), "attestationObject": b64(attestation),
            "transports": list(self.transports),
        }  # fmt: skip
        return self._to_json(credential, response)

    def get(self, options, *, verified=True, present=True, origin=None, rp_id=None, credential=None, **client_data):
        """The response of `navigator.credentials.get(options)` by the newest passkey (or `credential`), as JSON."""
        credential = credential or self._allowed(options)
        credential.sign_count += self.counts
        flags = self._flags(verified=verified, present=present)
        data = self._data(rp_id or credential.rp_id, flags, credential.sign_count)
        client_json = self._client_data("webauthn.get", options, origin, client_data)
        signature = credential.key.sign(data + hashlib.sha256(client_json).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": b64(client_json), "authenticatorData": b64(data), "signature": b64(signature),
            "userHandle": b64(credential.user_id),
        }  # fmt: skip
        return self._to_json(credential, response)

    def _allowed(self, options):
        allowed = {b64_decode(descriptor["id"]) for descriptor in options.get("allowCredentials", ())}
        return next(credential for credential in reversed(self.credentials) if not allowed or credential.id in allowed)

    def _flags(self, *, verified, present):
        copied = CAN_BE_BACKED_UP | BACKED_UP if self.backed_up else 0
        return copied | (VERIFIED if verified else 0) | (PRESENT if present else 0)

    def _data(self, rp_id, flags, sign_count):
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, sign_count)

    def _client_data(self, kind, options, origin, more):
        document = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": origin or self.origin,
            "crossOrigin": False,
        }
        return json.dumps(document | more).encode()

    def _to_json(self, credential, response):
        return json.dumps(
            {
                "id": b64(credential.id), "rawId": b64(credential.id), "type": "public-key",
                "authenticatorAttachment": self.attachment, "clientExtensionResults": {}, "response": response,
            }
        )  # fmt: skip


def a_passkey(person_id, origin, **overrides):
    """An authenticator with a passkey that this person signs in with; call it in a transaction."""
    device, person = Authenticator(origin, **overrides), people.get(person_id)
    response = device.create(passkeys.creation_options(person, browser=BROWSER))
    passkeys.register(person, response, name="", device="Firefox on Windows", browser=BROWSER)
    return device


def options_for(person, path="/sign-in/passkey-options.json"):
    """The options with which the person's current page asks the browser for a passkey."""
    return person.web.post(path, headers={"X-CSRFToken": person.token}).get_json()
