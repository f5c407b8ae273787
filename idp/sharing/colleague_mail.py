"""Ask a colleague to decide about sharing: a mail of ours, with no text typed by the person who sends it."""

from idp.audit import events, log
from idp.estabs.models import Membership
from idp.outbox import post
from idp.partners.snapshots import AnyClient


def ask_colleague(client: AnyClient, address: str, *, begin: str, by: Membership) -> None:
    """Ask the colleague with `address` by mail to decide about `client`, on behalf of `by`; `begin` is the link.

    Whether there is an account with that address is not looked up: the mail is the same either way. Raises
    `ValueError` for a school that is not verified: its name and people may have been typed by a stranger.
    """
    estab = by.estab
    if not estab.is_verified:
        raise ValueError(f"{estab.id} is {estab.state}: our mails say nothing in its name")
    log.record(events.SHARING_HANDED_OVER, by=by.person_id, estab=estab.id, client=client.id)
    post.email(
        "decide_sharing", to=address, estab=estab.id, client=client.id, person=by.person.name, school=estab.name,
        client_name=client.client_name, partner_name=client.partner_name, link=begin,
    )  # fmt: skip
