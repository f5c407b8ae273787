"""The rule that sandbox applications work with fictional schools only, and live applications with real ones.

`agreements.insert`, which inserts every agreement, checks it. Every code and token needs an agreement, so this is
enough for all of them; the authorization endpoint checks it too, so that no page names a sandbox application to a
school.
"""

from idp.estabs.models import Estab
from idp.foundation.errors import Refusal
from idp.partners.snapshots import AnyClient


class FictionalAndReal(Refusal):
    """A sandbox application with a real school, a live one with a fictional school, or both of different partners."""

    code, status, title = "fictional_and_real", 403, "This cannot be authorised"
    message = "Applications that are being tested work only with the fictional schools of their own company."


def may_ask(client: AnyClient, estab: Estab) -> bool:
    """Whether `client` may ask `estab` for anything: both are real, or both are for trials of the same partner."""
    return estab.fictional_for == (client.partner_id if client.is_sandbox else None)


def check(client: AnyClient, estab: Estab) -> None:
    """Raise `FictionalAndReal` unless `client` may ask `estab`."""
    if not may_ask(client, estab):
        raise FictionalAndReal(reason=f"{client.id} and {estab.id}")
