"""Requests of partners: to register an application for schools, or to let one ask for more or for another purpose.

A partner's people make them in the console; our staff approve or decline them. What a new application is registered
from is the manifest that our staff have read. A change holds only the names that differ, so that URIs and keys
that the partner changed meanwhile stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime, scopes
from idp.foundation.database import advisory_lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.scopes import Scope
from idp.partners import change_notices, lookalikes, manifest, registry
from idp.partners.models import Client, Partner, RegistrationRequest

SHOWN_TO_SCHOOLS: Final = (
    "client_name", "client_uri", "purpose", "policy_uri", "tos_uri", "agreement_uri", "agreement_version", "scopes",
)  # fmt: skip
"""What a request about a live application can change, apart from its contacts and the grants that its scopes need."""
MAX_WAITING: Final = 5
"""How many requests of one partner may wait for our decision."""
MAX_PER_DAY: Final = 20
"""How many requests one partner may make in a day."""


class UnknownRequest(NotFound):
    """There is no such request, or it is another partner's."""

    code, title, message = "unknown_request", "There is no such request", "There is no such request."


class TooManyOpenRequests(Refusal):
    """The partner has many requests already."""

    code, status, title = "too_many_registration_requests", 409, "There are many requests already"
    message = "Your company has many requests already. Please withdraw one, or wait until we have decided."


class AlreadyDecided(Refusal):
    """The request was approved, declined or withdrawn."""

    code, status, title = "already_decided", 409, "This request has been decided already"
    message = "This request has been decided or withdrawn already. Please look at it again."


class ChangedMeanwhile(Refusal):
    """What the page compared the request with is not what is registered now."""

    code, status, title = "changed_meanwhile", 409, "The application has been changed"
    message = "The application has been changed since this page was opened. Please read what differs now."


class NothingDiffers(Refusal):
    """The request asks for what is registered already."""

    code, status, title = "nothing_differs", 422, "Nothing would change"
    message = "All of this is registered already, so there is nothing for us to decide."


class ReasonMissing(Refusal):
    """A request is declined with a reason that the partner reads."""

    code, status, title = "reason_missing", 422, "Say why"
    message = "Say why it is declined: the partner reads it."


@dataclass(frozen=True, slots=True)
class Difference:
    """A name of the manifest whose value would change."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What schools would read before they authorise the application."""

    partner_name: str
    client_name: str
    purpose: str
    policy_uri: str
    tos_uri: str
    agreement_uri: str
    agreement_version: str
    required: list[Scope]
    optional: list[Scope]
    about_you: list[Scope]
    days: int
    """How long an authorisation lasts."""


@dataclass(frozen=True, slots=True)
class RequestReview:
    """A request, as our staff read it before they decide."""

    request: RegistrationRequest
    document: dict[str, Any]
    """The whole manifest that approving would register."""
    client: Client | None
    """The live application."""
    differences: list[Difference]
    """Between what is registered now, or nothing, and the request."""
    preview: Preview

    @property
    def version(self) -> int:
        """The version of the registration that `differences` compares with; 0 for a new application."""
        return self.client.version if self.client is not None and self.request.state == "waiting" else 0


def ask(
    partner: Partner, document: Mapping[str, Any], *, client: Client | None, reasons: Mapping[str, str], by: str
) -> RegistrationRequest:
    """Store a request: for a new application, or, with `client`, for a change of that live one.

    `document` is the whole manifest. Raises `InvalidRedirectUri` or `InvalidClientMetadata` naming every error,
    `NothingDiffers` and `TooManyOpenRequests`.
    """
    advisory_lock("registration requests of a partner", partner.id)
    manifest.parse_manifest(document, for_schools=client is None)
    lookalikes.check_name(document["client_name"], partner.id)
    stored = _to_json(document)
    if client is not None:
        before = _to_json(manifest.from_client(client))
        names = (*SHOWN_TO_SCHOOLS, "contacts", "grant_types")
        stored = {name: stored[name] for name in names if name in stored and stored[name] != before.get(name)}
        if not stored:
            raise NothingDiffers(reason=client.id)
    _refuse_too_many(partner)
    request = RegistrationRequest(
        id=crypto.new_id("rrq"), partner_id=partner.id, client_id=client.id if client else None, manifest=stored,
        reasons=dict(reasons), state="waiting", requested_by=by, requested_at=clock.now(), decided_by=None,
        decided_at=None, reason=None, staff_mailed_at=None,
    )  # fmt: skip
    session().add(request)
    session().flush()
    log.record(events.REGISTRATION_REQUESTED, by=by, client=request.client_id, subject=request.id, partner=partner.id)
    return request


def list_for_partner(partner_id: str) -> list[RegistrationRequest]:
    """The newest requests of a partner."""
    statement = select(RegistrationRequest).where(RegistrationRequest.partner_id == partner_id)
    newest_first = RegistrationRequest.requested_at.desc(), RegistrationRequest.id
    return list(session().scalars(statement.order_by(*newest_first).limit(50)))


def waiting() -> list[RegistrationRequest]:
    """The requests that wait for our staff, the oldest first."""
    statement = select(RegistrationRequest).where(RegistrationRequest.state == "waiting")
    return list(session().scalars(statement.order_by(RegistrationRequest.requested_at, RegistrationRequest.id)))


def mark_mailed(*, limit: int) -> list[str]:
    """Mark the next waiting requests that our staff have no mail about as mailed; returns their ids."""
    due = RegistrationRequest.state == "waiting", RegistrationRequest.staff_mailed_at.is_(None)
    oldest = RegistrationRequest.requested_at, RegistrationRequest.id
    batch = select(RegistrationRequest.id).where(*due).order_by(*oldest).limit(limit).scalar_subquery()
    statement = update(RegistrationRequest).where(*due, RegistrationRequest.id.in_(batch))
    marked = statement.values(staff_mailed_at=clock.now()).returning(RegistrationRequest.id)
    return sorted(session().scalars(marked.execution_options(synchronize_session=False)))


def find(request_id: str, *, partner_id: str | None = None) -> RegistrationRequest:
    """The request with this id; with `partner_id`, only if it is that partner's. Raises `UnknownRequest`."""
    row = session().get(RegistrationRequest, request_id) if registry.is_plausible_id(request_id) else None
    if row is None or (partner_id is not None and row.partner_id != partner_id):
        raise UnknownRequest(reason=request_id[:100])
    return row


def read(request: RegistrationRequest) -> RequestReview:
    """What the request would register, and what differs from what is registered now."""
    client = session().get(Client, request.client_id) if request.client_id else None
    before = _to_json(manifest.from_client(client)) if client is not None and request.state == "waiting" else {}
    document = {**(_to_json(manifest.from_client(client)) if client is not None else {}), **request.manifest}
    names = [name for name in document if name not in {"partner", "client_id"} and before.get(name) != document[name]]
    differences = [Difference(name, _to_text(before.get(name)), _to_text(document[name])) for name in names]
    differences = [difference for difference in differences if difference.before or difference.after]
    return RequestReview(request, document, client, differences, preview(request.partner, document))


def preview(partner: Partner, document: Mapping[str, Any]) -> Preview:
    """What schools would read of an application with this manifest."""
    required, optional = (frozenset(document["scopes"].get(kind, ())) for kind in ("required", "optional"))
    return Preview(
        partner.name, document["client_name"], document["purpose"], document["policy_uri"],
        document.get("tos_uri") or "", document["agreement_uri"], document["agreement_version"],
        required=scopes.in_order(scopes.filter_by_kind("data", required)),
        optional=scopes.ordinary_first(scopes.filter_by_kind("data", optional)),
        about_you=scopes.in_order(scopes.filter_by_kind("identity", required | optional) - {"openid"}),
        days=document.get("authorisation_days") or runtime.settings().sharing.default_days,
    )  # fmt: skip


def approve(request_id: str, *, by: str, version: int | None = None) -> Client:
    """Register the new application, or change the live one. One UPDATE decides between two decisions at once.

    A secret is not returned: the partner makes one in the console. `version` is the one of the `RequestReview`.
    Raises `UnknownRequest`, `AlreadyDecided`, `ChangedMeanwhile`, and the errors of a manifest.
    """
    review = read(find(request_id))
    if version is not None and version != review.version:
        raise ChangedMeanwhile(reason=request_id)
    request = _decide(request_id, "approved", by=by)
    if review.client is None:
        client, _ = registry.register(review.document, by=by, makes_secret=False)
        request.client_id = client.id
        session().flush()
    else:
        client, _ = registry.change(review.document, by=by, makes_secret=False)
    log.record(events.REGISTRATION_APPROVED, by=by, client=client.id, subject=request.id)
    change_notices.mail(
        request.partner, "registration_approved", client=client.id, application=client.client_name,
        client_id=client.id, is_new=review.client is None, needs=manifest.proof_needed(client),
        link=runtime.url(f"/developers/applications/{client.id}"),
    )  # fmt: skip
    return client


def decline(request_id: str, reason: str, *, by: str) -> RegistrationRequest:
    """Decline with a reason that the partner reads. Raises `UnknownRequest`, `AlreadyDecided`, `ReasonMissing`."""
    reason = " ".join(reason.split())
    if not reason:
        raise ReasonMissing(reason=request_id)
    find(request_id)
    request = _decide(request_id, "declined", by=by, reason=reason)
    log.record(
        events.REGISTRATION_DECLINED, by=by, client=request.client_id, subject=request.id, details={"reason": reason}
    )
    change_notices.mail(
        request.partner, "registration_declined", client=request.client_id,
        application=read(request).preview.client_name, reason=reason,
        link=runtime.url(f"/developers/requests/{request.id}"),
    )  # fmt: skip
    return request


def withdraw(request_id: str, *, partner_id: str, by: str) -> RegistrationRequest:
    """Take a partner's request back. Raises `UnknownRequest` and `AlreadyDecided`."""
    find(request_id, partner_id=partner_id)
    request = _decide(request_id, "withdrawn", by=by)
    log.record(events.REGISTRATION_WITHDRAWN, by=by, client=request.client_id, subject=request.id)
    return request


def _decide(request_id: str, state: str, *, by: str, reason: str | None = None) -> RegistrationRequest:
    undecided = RegistrationRequest.id == request_id, RegistrationRequest.state == "waiting"
    values = {"state": state, "decided_by": by, "decided_at": clock.now(), "reason": reason}
    statement = update(RegistrationRequest).where(*undecided).values(values).returning(RegistrationRequest.id)
    if session().execute(statement).one_or_none() is None:
        raise AlreadyDecided(reason=request_id)
    return session().get_one(RegistrationRequest, request_id, populate_existing=True)


def _refuse_too_many(partner: Partner) -> None:
    same_partner = RegistrationRequest.partner_id == partner.id
    today = same_partner, RegistrationRequest.requested_at > clock.now() - timedelta(days=1)
    for limit, conditions in (
        (MAX_WAITING, (same_partner, RegistrationRequest.state == "waiting")),
        (MAX_PER_DAY, today),
    ):
        count = select(func.count()).select_from(RegistrationRequest).where(*conditions)
        if (session().scalar(count) or 0) >= limit:
            raise TooManyOpenRequests(reason=partner.id)


def _to_json(value: Any) -> Any:
    """The manifest as JSON contains it, with lists in one order."""
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items() if item not in (None, "")}
    if isinstance(value, frozenset | set):
        return sorted(value)
    return value


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_to_text(item)}" for name, item in value.items() if item)
    if isinstance(value, list):
        return ", ".join(map(_to_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
