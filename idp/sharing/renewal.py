"""Renew an agreement that ends soon or has ended: the same scopes until a new day, decided by one button."""

from datetime import timedelta
from typing import Final

from idp.audit import events
from idp.estabs.models import Membership
from idp.foundation import clock, runtime
from idp.foundation.errors import BadRequest
from idp.partners import registry
from idp.partners.snapshots import AnyClient
from idp.sharing import agreements, authorise, mis, protected_data, receipts
from idp.sharing.agreements import ChangedMeanwhile, NothingShared
from idp.sharing.models import Authorisation

WINDOW: Final = timedelta(days=30)
"""How long before its end an agreement can be renewed, unless it lasts for less than twice as long."""


class NothingToRenew(NothingShared):
    """The agreement does not end soon, or the service cannot be shared with any more."""

    code, title = "not_yet", "There is nothing to renew"
    message = "There is nothing to renew at the moment."


def length(client: AnyClient) -> timedelta:
    """How long an agreement with `client` lasts if it is given now."""
    return timedelta(days=client.authorisation_days or runtime.settings().sharing.default_days)


def is_due(agreement: Authorisation) -> bool:
    """Whether the agreement can be renewed now: it has ended, or ends within `WINDOW` or half of what one lasts."""
    client = registry.client(agreement.client_id)
    if client is None or agreement.state not in {"active", "paused", "expired"}:
        return False
    return agreement.until <= clock.now() + min(WINDOW, length(client) / 2)


def renew(
    estab_id: str, client_id: str, *, replaces: str, version: str, by: Membership, second_step: bool = False
) -> Authorisation:
    """Let the client have what it may have now for as long as if it were authorised now; a pause stays.

    `replaces` is the id of the agreement that the page showed, `version` that of the data sharing agreement. What the
    client has come to ask for is not included. Every owner gets a receipt. Raises the errors of `authorise.change`, and
    `NothingToRenew`; `ChangedMeanwhile` also where the version on the page is no longer the client's.
    """
    agreements.check_and_lock(estab_id, by)
    client, former = registry.client(client_id), agreements.current(estab_id, client_id)
    if former is None:
        raise NothingShared(reason=f"{estab_id} and {client_id}")
    if client is None or not is_due(former):
        raise NothingToRenew(reason=f"{estab_id} and {client_id}")
    if version != client.agreement_version:
        raise ChangedMeanwhile(reason=f"the agreement of {client_id} has another version")
    mis.check(by.estab, client)
    scopes = former.scopes & client.scopes
    protected_data.check(scopes, second_step=second_step)
    protected_data.check_rule(by.estab, second_step=second_step)
    if not scopes:
        raise BadRequest("This service no longer asks for anything that your school shares.", reason=client_id)
    if agreements.end(estab_id, client_id, only=replaces, superseded_at=clock.now()) is None:
        raise ChangedMeanwhile(reason=f"{estab_id} and {client_id}, renewed")
    authorisation = agreements.insert(
        client_id, by, former, scopes=scopes, offered=former.offered, agreement=version,
        until=authorise.default_end(client), paused_at=former.paused_at,
        **(agreements.unchanged_review_columns(former) | {"considered_agreement": version}),
    )  # fmt: skip
    agreements.record(events.SHARING_RENEWED, authorisation, by)
    receipts.send("sharing_receipt", authorisation, client, by, replaces=True, renews=True)
    return authorisation
