"""The school's MIS, where a client works with some systems only (school-register.md §8)."""

from sqlalchemy import update

from idp.audit import events, log
from idp.estabs import accounts, authority
from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock
from idp.foundation.database import lock, session
from idp.foundation.errors import BadRequest, Refusal
from idp.partners import mis_catalogue, registry
from idp.partners.mis_catalogue import Mis
from idp.partners.snapshots import AnyClient
from idp.sharing.models import Authorisation


class MisUnknown(Refusal):
    """The client works with some systems only, and the school's is not known yet: ask for it."""

    code, status, title = "mis_unknown", 409, "Which system does your school use?"
    message = "This service works with some management information systems only. Please tell us which one you use."


class MisNotAccepted(Refusal):
    """The client does not work with the school's system."""

    code, status, title = "mis_not_accepted", 403, "This service does not work with your school's system"


def is_asked(estab: Estab, client: AnyClient) -> bool:
    """Whether the school has to say which MIS it uses before `client` can ask for anything."""
    return bool(client.accepted_mis) and estab.mis is None


def check(estab: Estab, client: AnyClient) -> None:
    """Raise `MisUnknown` or `MisNotAccepted` unless `client` works with the school's MIS."""
    if is_asked(estab, client):
        raise MisUnknown(reason=f"{estab.id} for {client.id}")
    if not registry.accepts_mis(client, estab.mis):
        systems = mis_catalogue.names(client.accepted_mis)
        message = (
            f"{client.client_name} works with {systems}, and your school's system is recorded "
            f"as {mis_catalogue.name(estab.mis)}. If that is wrong, please correct it."
        )
        raise MisNotAccepted(message, reason=f"{estab.id} has {estab.mis}, {client.id}")


def choices() -> list[Mis]:
    """Every system, as a school chooses from them."""
    return list(mis_catalogue.catalogue().values())


def tell(code: str, *, by: Membership) -> None:
    """Record that the school of `by` uses the system `code`. Raises `BadRequest`, and as `authority.hold`."""
    estab = lock(Estab, by.estab_id) or by.estab  # and so the school's people are asked one after the other
    authority.hold(by, Action.NAME_MIS)
    if code not in mis_catalogue.catalogue():
        raise BadRequest("Please choose one of the systems in the list.", reason=f"MIS {code!r}")
    before = accounts.set_mis(estab, code)
    if before != code:
        current = Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None)
        of_estab = update(Authorisation).where(Authorisation.estab_id == by.estab_id, *current)
        session().execute(of_estab.values(changed_at=clock.now()))  # it decides what clients get
        log.record(
            events.ESTAB_MIS_TOLD, by=by.person_id, estab=by.estab_id, subject=by.estab_id, mis=code, before=before
        )
