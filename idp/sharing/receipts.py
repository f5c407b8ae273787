"""The mails that a school's owners get when something about sharing was decided."""

from idp.estabs import people
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime, scopes
from idp.outbox import post
from idp.partners.snapshots import AnyClient
from idp.sharing import agreements
from idp.sharing.agreements import Actor
from idp.sharing.models import Authorisation


def send(
    name: str,
    agreement: Authorisation,
    client: AnyClient,
    by: Membership | Actor,
    *,
    replaces: bool = False,
    renews: bool = False,
) -> None:
    """Post the mail `name` about `agreement`, decided by `by`, to those who get such notices.

    `replaces` says that something had been agreed with this client before, `renews` that the same was.
    """
    estab = agreement.estab
    person = agreements.description(by)
    areas = scopes.in_order(scopes.filter_by_kind("data", agreement.scopes))
    for owner in people.who_may(agreement.estab_id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            name, to=owner.email, estab=agreement.estab_id, client=client.id,
            owner=owner.name_in_mails, person=person, school=estab.name, estab_id=estab.estab_id,
            client_name=client.client_name, partner_name=client.partner_name, areas=areas,
            is_server=agreement.is_of_server,
            today=dates.day(clock.now()), until=dates.day(agreement.until), agreement=agreement.agreement,
            agreement_uri=client.agreement_uri, policy_uri=client.policy_uri,
            is_verified=estab.is_verified, replaces=replaces, renews=renews, link=runtime.url("/"),
        )  # fmt: skip
