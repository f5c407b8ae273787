"""Mail a partner's contact and people when a secret, a key or a URI of an application changes.

Every such change is made through `registry`, so all are reported: those of the partner's people, of our staff, and of
an application that manages its own registration.
"""

from collections.abc import Iterable
from typing import Any, Final

from idp.foundation import runtime
from idp.foundation.database import row_isolated
from idp.outbox import post
from idp.partners.models import Client, Partner

CHANGES: Final = {
    "secret": "It has a new secret.",
    "token_endpoint_auth_method": "It authenticates in another way.",
    "jwks": "Its keys were changed.",
    "jwks_uri": "The address of its keys was changed.",
    "redirect_uris": "The addresses that people are sent back to were changed.",
    "post_logout_redirect_uris": "The addresses after signing out were changed.",
    "initiate_login_uri": "The address where a sign-in begins was changed.",
    "backchannel_logout_uri": "The address that is told when someone signs out was changed.",
    "events_endpoint_url": "The address that events are pushed to was changed.",
    "sector_identifier_uri": "The address of its sector identifier was changed.",
}
"""The sentence in the mail for each change that is reported, by column of `models.Client`, or `secret`."""


def send(client: Client, changed: Iterable[str], *, by: str) -> None:
    """Mail those of the `changed` names that are reported, if there are any."""
    names = frozenset(changed)
    sentences = [sentence for name, sentence in CHANGES.items() if name in names]
    if sentences:
        mail(
            client.partner, "client_changed", client=client.id, application=client.client_name or client.id,
            client_id=client.id, changes=sentences, actor=_describe_actor(by, client),
        )  # fmt: skip


def mail(partner: Partner, name: str, *, client: str | None = None, **context: Any) -> int:
    """Post the mail `name` to the partner's contact, and to each of its people who can sign in; returns how many."""
    posted = 0
    for address in dict.fromkeys([partner.contact_email, *runtime.ports().partner_people(partner.id)]):
        with row_isolated("mail to a partner", partner.id):
            post.email(name, to=address, client=client, partner=partner.name, **context)
            posted += 1
    return posted


def _describe_actor(by: str, client: Client) -> str:
    """Who made the change. A mail names no person: their names were typed by someone else."""
    if by == client.id:
        return "the application itself"
    return f"someone at {client.partner.name}" if by.startswith("dev_") else "our staff"
