"""What was done in a school's name: the entries of its audit log that concern the school, in its own words.

What people do with their own accounts (signing in, passwords, second steps) is not among them: that is on their page
of sign-ins, for them alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select

from idp.audit import events, queries
from idp.audit.models import Entry
from idp.estabs.models import Administrator, PersonInvitation
from idp.estabs.permissions import TITLES
from idp.foundation import clock, scopes
from idp.foundation.database import session
from idp.foundation.spreadsheets import to_csv
from idp.onboarding.models import JoinRequest
from idp.partners import mis_catalogue
from idp.partners.models import Client
from idp.schools.models import School
from idp.xporter.models import Endpoint

PAGE_SIZE: Final = 50
COLUMNS: Final = ("When", "What", "Who")

SENTENCES: Final[Mapping[str, str]] = {
    # The account
    events.ESTAB_REGISTERED: "Registered the school",
    events.ESTAB_STATE_CHANGED: "{state_change}",
    events.REVIEW_ASKED: "Asked the owners about the registration",
    events.SECOND_STEP_REQUIRED: "Required a second step from everyone",
    events.SECOND_STEP_OPTIONAL: "Stopped requiring a second step from everyone",
    # People
    events.PERSON_ADDED: "Began to act for the school, as {role}",
    events.ROLE_CHANGED: "Changed the role of {subject} from {role_before} to {role}",
    events.OWNERSHIP_HANDED_OVER: "Handed the ownership over to {subject}",
    events.PERSON_REMOVED: "Removed {subject}",
    events.INVITATION_SENT: "Invited {subject} to act for the school, as {role}",
    events.INVITATION_RESENT: "Sent the invitation of {subject} again",
    events.INVITATION_CANCELLED: "Cancelled the invitation of {subject}",
    events.INVITATION_ACCEPTED: "Accepted the invitation, as {role}",
    events.JOIN_REQUESTED: "Asked to join the school",
    events.JOIN_APPROVED: "Let {subject} join the school, as {role}",
    events.JOIN_DECLINED: "Declined the request of {subject} to join the school",
    events.RESET_LINK_SENT: "Sent {subject} a link to choose a password",
    events.FACTOR_RECOVERY_STARTED: "Started the removal of a lost second step of {subject}",
    # Sharing
    events.SHARING_GIVEN: "Authorised {service}: {areas}",
    events.SHARING_CHANGED: "Changed what {service} receives, to: {areas}",
    events.SHARING_RENEWED: "Renewed sharing with {service}: {areas}",
    events.SHARING_REVIEW_DECLINED: "Declined what else {service} asked for",
    events.SHARING_REFUSED: "Refused {service}: {areas}",
    events.SHARING_HANDED_OVER: "Asked a colleague to decide about {service}",
    events.SHARING_PAUSED: "Paused sharing with {service}",
    events.SHARING_RESUMED: "Resumed sharing with {service}",
    events.SHARING_WITHDRAWN: "Stopped sharing with {service}",
    events.SHARING_MOVED: "Moved sharing with {service} to the school that follows",
    events.SHARING_RELEASED: "Let {school} continue what the school shares",
    events.SHARING_RELEASE_TAKEN_BACK: "No longer let {school} continue what the school shares",
    events.ESTAB_MIS_TOLD: "Said that the school's management information system is {system}",
    # The school's server, and devices
    events.ENDPOINT_REGISTERED: "Connected the server {subject}",
    events.ENDPOINT_REPLACED: "Replaced the server {subject} by another one",
    events.ENDPOINT_REMOVED: "Removed the server {subject}",
    events.EXTRACT_REQUESTED: "Asked the server {subject} to send data",
    events.DEVICE_APPROVED: "Connected a device to {service}",
    events.DEVICE_DENIED: "Refused to connect a device to {service}",
}
"""What the page says of each event; others are not shown."""
_STATE_CHANGES: Final[Mapping[tuple[str, str], str]] = {
    ("unverified", "verified"): "Verified the school",
    ("unverified", "rejected"): "Did not accept the registration of the school",
    ("suspended", "verified"): "Restored the account",
    ("suspended", "unverified"): "Restored the account",
}
_STATES: Final[Mapping[str, str]] = {"suspended": "Suspended the account", "closed": "Closed the account"}
_SOMEONE: Final[Mapping[str, str]] = {"system": "Done automatically", "stranger": "Someone who was not signed in"}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done: an entry of the audit log in the school's words."""

    at: datetime
    who: str
    what: str


def page(estab_id: str, number: int) -> tuple[list[Act], bool]:
    """A page, from 1, of what was done for the estab with this internal id, and whether there is an older one."""
    entries = queries.newest_of_estab(
        estab_id, SENTENCES.keys(), offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1
    )  # fmt: skip
    return _acts(entries[:PAGE_SIZE]), len(entries) > PAGE_SIZE


def as_csv(estab_id: str) -> str:
    """All of it as CSV (RFC 4180), in British time."""
    acts = _acts(queries.newest_of_estab(estab_id, SENTENCES.keys()))
    rows = [(act.at.astimezone(clock.LONDON).isoformat(timespec="seconds"), act.what, act.who) for act in acts]
    return to_csv(COLUMNS, rows)


def _acts(entries: Sequence[Entry]) -> list[Act]:
    names = _names(entries)
    return [Act(entry.at, _who(entry, names), _what(entry, names)) for entry in entries]


def _who(entry: Entry, names: Mapping[str, str]) -> str:
    if entry.event == events.JOIN_REQUESTED:
        return names.get(entry.subject or "", _SOMEONE["stranger"])
    if entry.actor in _SOMEONE:
        return _SOMEONE[entry.actor]
    if entry.actor.startswith("adm_"):
        return names.get(entry.actor) or "A former colleague"
    return names.get(entry.actor, "Our staff")  # a client, or an operator, who has no name here


def _what(entry: Entry, names: Mapping[str, str]) -> str:
    if entry.event == events.PERSON_REMOVED and entry.actor == entry.subject:
        return "Stopped acting for the school"
    facts = entry.facts
    granted = frozenset(facts.get("scopes", ()))
    return SENTENCES[entry.event].format(
        subject=names.get(entry.subject or "") or "someone",
        service=names.get(entry.client or "") or "a service",
        role=_role(facts.get("role")), role_before=_role(facts.get("before")),
        areas=_areas(granted), school=names.get(_school_key(facts)) or "a school",
        system=mis_catalogue.name(facts["mis"]) if facts.get("mis") else "another one",
        state_change=_state_change(facts) if entry.event == events.ESTAB_STATE_CHANGED else "",
    )  # fmt: skip


def _role(role: Any) -> str:
    return TITLES.get(str(role), "").lower()


def _areas(granted: frozenset[str]) -> str:
    titles = [area.title for area in scopes.in_order(scopes.filter_by_kind("data", granted))]
    if titles:
        return "; ".join(titles)
    return "sends the school's data" if scopes.filter_by_kind("endpoint", granted) else "sign-in only, no school data"


def _state_change(facts: Mapping[str, Any]) -> str:
    before, state = str(facts.get("before")), str(facts.get("state"))
    return _STATES.get(state) or _STATE_CHANGES.get((before, state)) or f"Changed the state of the account to {state}"


def _school_key(facts: Mapping[str, Any]) -> str:
    return f"school {facts.get('school')}"


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """The names of the people, invitations, requests to join, servers, services and schools in the entries, by id."""
    ids = {value for entry in entries for value in (entry.actor, entry.subject, entry.client) if value}
    names: dict[str, str] = {}
    for model, column in (
        (Administrator, Administrator.name), (PersonInvitation, PersonInvitation.name),
        (JoinRequest, JoinRequest.name), (Endpoint, Endpoint.name), (Client, Client.client_name),
    ):  # fmt: skip
        names |= {row.id: row[1] for row in session().execute(select(model.id, column).where(model.id.in_(ids)))}
    school_ids = {entry.facts["school"] for entry in entries if "school" in entry.facts}
    for school in session().execute(select(School.id, School.name).where(School.id.in_(school_ids))):
        names[_school_key({"school": school.id})] = school.name
    return names
