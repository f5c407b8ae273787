"""Codes of an authenticator app: time-based one-time passwords (RFC 6238)."""

from dataclasses import dataclass
from textwrap import wrap

import pyotp
import segno
from markupsafe import Markup

from idp.foundation import clock, crypto, runtime

STEP_SECONDS = 30
"""How long a code is current."""


@dataclass(frozen=True, slots=True)
class NewApp:
    """The account and its seed, in the three forms that a page shows: a link, a QR code, and text to type."""

    seed: str
    account: str

    @property
    def link(self) -> str:
        """The `otpauth:` URI that adds the account to an app on the same device."""
        return link(self.seed, self.account)

    @property
    def picture(self) -> Markup:
        """The URI as a QR code, for an app on a phone."""
        return picture(self.link)

    @property
    def grouped_seed(self) -> str:
        """The seed in groups of four, to be typed."""
        return " ".join(wrap(self.seed, 4))


def new_seed() -> str:
    """A random secret of 160 bits in base32, the form that apps read."""
    return pyotp.random_base32(32)


def link(seed: str, account: str) -> str:
    """The `otpauth:` URI that adds `account` to the app on this device.

    A colon ends the name of the service in such a URI, and some apps refuse one that has another.
    """
    service = " ".join(runtime.settings().service.name.replace(":", " ").split())
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=service)


def picture(uri: str) -> Markup:
    """`uri` as a QR code, drawn in the page itself: no other service sees the seed.

    Dark on light in either colour scheme, with the quiet zone of four modules that readers need.
    """
    code = segno.make(uri, error="m", micro=False)
    return Markup(code.svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None))  # noqa: S704


def step_of(seed: str, code: str) -> int | None:
    """The time step that `code` belongs to: the current or the previous one (RFC 6238 §5.2); None if neither.

    The caller makes sure that each step is used only once.
    """
    app, now = pyotp.TOTP(seed, interval=STEP_SECONDS), clock.timestamp() // STEP_SECONDS
    return next(
        (step for step in (now, now - 1) if crypto.constant_time_compare(app.generate_otp(step), _digits(code))), None
    )


def _digits(code: str) -> str:
    return "".join(code.split())
