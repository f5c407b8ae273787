"""The pages that set up a second step: why one is needed, and where the person continues afterwards.

Both are in the query, as `reason` and `next`, and each of these pages passes them on to the next one.
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
OPTIONAL: Final = frozenset({"data", "offer"})
"""Reasons for which the page that the person came from also works without a second step: Cancel leads back to it."""
REASONS: Final = OPTIONAL | {"school", "everyone"}


@dataclass(frozen=True, slots=True)
class SetupFlow:
    """Why a person sets up a second step and where they continue, from the query of the present page."""

    return_path: str
    """Where they continue afterwards: the Security page, unless they came from elsewhere."""
    reason: str | None
    """The `school` requires it, or is to require it of `everyone`; specially protected `data`; an `offer`. None where
    it is the person's own wish, or a partner's."""
    partner: RequestingPartner | None
    """Whose request continues afterwards."""

    def path(self, endpoint: str) -> str:
        """The path of another of these pages, with the same reason and return path."""
        return url_for(endpoint, next=self.return_path, reason=self.reason)

    @property
    def cancel_address(self) -> str:
        """Where Cancel leads from the page that offers both kinds of second step."""
        if self.reason in OPTIONAL:
            return self.return_path
        return return_paths.cancel_target(self.return_path, url_for(HOME))

    @property
    def back_address(self) -> str:
        """Where Cancel leads from the page of one kind: to the page that offers both, if they came by that."""
        return self.path("manage.security.second_step") if self.reason or self.partner else url_for(HOME)


def current() -> SetupFlow:
    """The flow in the request's query. For a partner's request the page may also redirect to them (`security`)."""
    return_path = security.local_path(request.args.get("next"), url_for(HOME))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
        security.allow_form_redirects()
    reason = request.args.get("reason")
    return SetupFlow(
        return_path, reason if reason in REASONS else None, runtime.ports().requesting_partner(return_path)
    )


def address_after_adding(person_id: str) -> str:
    """Where a person goes who has just added a factor: to recovery codes, if they have none, and on."""
    flow = current()
    if recovery_codes.count_unused(person_id):
        return address_after_change(flow)
    return flow.path("manage.security.make_recovery_codes")


def address_after_change(flow: SetupFlow) -> str:
    """Where a person goes whose factors have changed: to the page that offers to end other sessions, if any, or on."""
    if own_sessions.others(current_user, request.remote_addr or ""):
        return flow.path("manage.own.other_sessions")
    return flow.return_path
