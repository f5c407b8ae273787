"""The way through the pages that set up a second step: why it is needed, and where the person goes on afterwards.

Both stand in the address, as `why` and `next`, and each of those pages passes them on to the next one.
"""

from dataclasses import dataclass
from typing import Final

from flask import request, url_for
from flask_login import current_user

from idp.foundation import runtime
from idp.foundation.ports import RequestingPartner
from idp.foundation.web import security
from idp.signin import own_sessions, recovery_codes, return_paths

HOME: Final = "manage.security.home"
RETURNS: Final = frozenset({"data", "offer"})
"""Reasons for which Cancel leads back to the page that the person came from, which goes on without a second step."""
WHYS: Final = RETURNS | {"school", "everyone"}


@dataclass(frozen=True, slots=True)
class Detour:
    """One person's way, as the address of the present page has it."""

    return_path: str
    """Where they go on afterwards: the page Security, unless they came from elsewhere."""
    why: str | None
    """The `school` requires it, or is to require it of `everyone`; specially protected `data`; an `offer`. None where
    it is the person's own wish, or a partner's."""
    partner: RequestingPartner | None
    """Whose request continues afterwards."""

    def address(self, endpoint: str) -> str:
        """The address of another page of this way."""
        return url_for(endpoint, next=self.return_path, why=self.why)

    @property
    def cancelled(self) -> str:
        """Where Cancel leads, from the page that offers both kinds."""
        if self.why in RETURNS:
            return self.return_path
        return return_paths.cancelled(self.return_path, url_for(HOME))

    @property
    def back(self) -> str:
        """Where Cancel leads from the page of one kind: to the page that offers both, if they came by that."""
        return self.address("manage.security.second_step") if self.why or self.partner else url_for(HOME)


def current() -> Detour:
    """The way that the request's address is on. A partner's window and policy are kept (`security`)."""
    return_path = security.local_path(request.args.get("next"), url_for(HOME))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
        security.let_forms_leave()
    why = request.args.get("why")
    return Detour(return_path, why if why in WHYS else None, runtime.ports().requesting_partner(return_path))


def after_adding(person_id: str) -> str:
    """Where a person goes who has just added a factor: to recovery codes, if they have none, and on."""
    detour = current()
    if recovery_codes.left(person_id):
        return after_change(detour)
    return detour.address("manage.security.make_recovery_codes")


def after_change(detour: Detour) -> str:
    """Where a person goes whose factors have changed: on, by a page that offers to end their other sessions if any."""
    if own_sessions.others(current_user, request.remote_addr or ""):
        return detour.address("manage.own.other_sessions")
    return detour.return_path
