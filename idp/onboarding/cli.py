"""`idp onboarding`: check new schools, and decide about requests to join that owners did not answer, or declined."""

from collections.abc import Iterator
from typing import Any

import click

from idp.estabs import people, permissions
from idp.estabs.models import Administrator
from idp.foundation import command, dates
from idp.foundation.web.contact_fields import readable_phone_number
from idp.onboarding import join, review, staff_queue
from idp.onboarding.models import JoinRequest, Review
from idp.onboarding.staff_queue import Waiting

QUEUE_COLUMNS = ("kind", "id", "school", "who", "waiting_since", "due", "overdue")


@click.group()
def commands() -> None:
    """Check new schools: the queue, a case, the decision.

    A new school is due within two working days (bank holidays of its nation count). Call the register's
    phone number, never one that was typed.
    """


@commands.command()
@command.json_option
@command.in_transaction
def queue(*, as_json: bool) -> None:
    """List what our staff have to decide, the most urgent first: new schools, and requests to join.

    A request to join is for our staff where the school is not verified or no owner answered in time ("join"), and
    where an owner declined it ("declined"): the person who asks may be from the real school.
    """
    rows = [_queue_row(item) for item in staff_queue.waiting()]
    if not as_json:
        rows = [{**row, "overdue": "OVERDUE" if row["overdue"] else ""} for row in rows]
    command.show(rows, QUEUE_COLUMNS, as_json=as_json, empty="Nothing is waiting to be checked.")


@commands.command()
@click.argument("estab_id")
@command.json_option
@command.in_transaction
def show(estab_id: str, *, as_json: bool) -> None:
    """Show one new school: what was typed, next to the register's entry, and the notes.

    ESTAB_ID is as the queue shows it, such as 2135001 or E123456.
    """
    case = review.case(estab_id)
    if as_json:
        command.show_json(_as_record(case))
    else:
        for line in _as_text(case):
            click.echo(line)


@commands.command()
@click.argument("estab_id")
@click.argument("text")
@command.in_transaction
def note(estab_id: str, text: str) -> None:
    """Keep a note of a call. Only our staff read it."""
    review_row = review.note(estab_id, text, by=command.acting_operator())
    click.echo(f"Noted on {review_row.estab.name}.")


@commands.command()
@click.argument("estab_id")
@click.argument("question")
@command.in_transaction
def ask(estab_id: str, question: str) -> None:
    """Ask the school for more before deciding: QUESTION is mailed to its owners and stored as a note."""
    review_row = review.ask(estab_id, question, by=command.acting_operator())
    click.echo(f"The owners of {review_row.estab.name} have been asked by e-mail. It is still due {_when(review_row)}.")


@commands.command()
@click.argument("estab_id")
@command.in_transaction
def verify(estab_id: str) -> None:
    """Verify the school: partners may receive its data. Its owners are told by e-mail.

    Partners it has authorised receive data with their next refresh; the school is not asked again.
    """
    review_row = review.verify(estab_id, by=command.acting_operator())
    click.echo(f"{review_row.estab.name} has been verified.")


@commands.command()
@click.argument("estab_id")
@click.option("--reason", required=True, help="Why, in words for the school. It is mailed to its owners.")
@command.in_transaction
def reject(estab_id: str, reason: str) -> None:
    """Reject the registration, or give up checking it. Its owners are told why, and the school may register again."""
    review_row = review.reject(estab_id, reason, by=command.acting_operator())
    click.echo(f"{review_row.estab.name} has been rejected.")


@commands.group("join")
def joining() -> None:
    """Decide requests to join: those of unverified schools, unanswered ones, and those that an owner declined."""


@joining.command("show")
@click.argument("request_id")
@command.json_option
@command.in_transaction
def show_request(request_id: str, *, as_json: bool) -> None:
    """Show who asks to join which school, and how to reach them. Its owners do not see this before they accept."""
    join_request = join.find(request_id)
    estab = join_request.estab
    rows = {
        "id": join_request.id, "school": estab.name, "estab_id": estab.estab_id, "state": estab.state,
        "name": join_request.name, "email": join_request.email, "mobile": join_request.mobile,
        "compared": review.describe_address(join_request.email, estab.school.website_host),
        "asked_at": join_request.created_at, "decision": join_request.decision, "decided_by": join_request.decided_by,
        "decided_at": join_request.used_at, "account": _account_username(join_request),
        "register_telephone": _readable(estab.school.telephone_e164) or estab.school.telephone,
    }  # fmt: skip
    if as_json:
        command.show_json(rows)
    else:
        for name, value in rows.items():
            click.echo(f"{name.replace('_', ' '):20}{'' if value is None else value}")


@joining.command()
@click.argument("request_id")
@click.option(
    "--role", type=click.Choice(permissions.ROLES_TO_JOIN_WITH), required=True, help="What the person may do."
)
@command.in_transaction
def approve(request_id: str, role: str) -> None:
    """Let the person in, with the account that they asked with, or a new one. Call the school first.

    They are told by e-mail; a new account's mail has a link to choose a password.
    """
    join_request = join.find(request_id)
    person = join.approve(join_request, role, by=command.acting_operator())
    click.echo(f"{person.name} has joined {join_request.estab.name} as {person.username}.")


@joining.command()
@click.argument("request_id")
@command.in_transaction
def decline(request_id: str) -> None:
    """Decline the request, or confirm that an owner declined it. The person is told by e-mail, once."""
    join_request = join.find(request_id)
    join.decline(join_request, by=command.acting_operator())
    click.echo(f"The request of {join_request.name} to join {join_request.estab.name} has been declined.")


def _account_username(join_request: JoinRequest) -> str | None:
    """The username of the person who asked, signed in; None for a person without an account."""
    person = people.get(join_request.person_id or "")
    return person.username if person else None


def _queue_row(item: Waiting) -> dict[str, Any]:
    return {
        "kind": item.kind, "id": item.id, "school": item.school, "who": item.who, "waiting_since": item.waiting_since,
        "due": item.due_at, "overdue": item.is_overdue,
    }  # fmt: skip


def _as_record(case: review.Case) -> dict[str, Any]:
    estab, school = case.review.estab, case.review.estab.school
    return {
        "estab_id": estab.estab_id, "state": estab.state, "registered_at": estab.registered_at,
        "due": case.review.due_at, "overdue": case.review.is_overdue, "decision": case.review.decision,
        "decided_at": case.review.decided_at, "decided_by": case.review.decided_by, "reason": case.review.reason,
        "typed": [_owner_fields(owner) for owner in case.owners],
        "register": {
            "name": school.name, "urn": school.urn, "dfe_number": school.dfe_number, "type": school.type_name,
            "status": school.status_name, "address": school.address, "telephone": school.telephone_e164,
            "head_teacher": school.head_teacher, "website": school.website,
        },
        "addresses": case.addresses,
        "notes": [{"at": note_row.at, "by": note_row.by, "text": note_row.text} for note_row in case.notes],
    }  # fmt: skip


def _owner_fields(owner: Administrator) -> dict[str, Any]:
    return {
        "name": owner.name, "email": owner.email, "mobile": owner.mobile,
        "mobile_confirmed": owner.mobile_confirmed_at is not None,
        "acts_for": [member.estab.name for member in owner.memberships],
    }  # fmt: skip


def _as_text(case: review.Case) -> Iterator[str]:
    estab, school = case.review.estab, case.review.estab.school
    yield f"{school.name}, Estab ID {estab.estab_id}: {estab.state}"
    yield f"  due           {_when(case.review)}{'  OVERDUE' if case.review.is_overdue else ''}"
    if case.review.decided_at:
        yield f"  decided       {case.review.decision} by {case.review.decided_by}, {_day(case.review)}"
    if case.review.reason:
        yield f"  reason        {case.review.reason}"
    yield "Call, by the register:"
    yield f"  phone         {_readable(school.telephone_e164) or school.telephone or 'none'}"
    yield f"  head teacher  {school.head_teacher or 'not given'}"
    yield f"  address       {school.address or 'not given'}"
    yield f"  website       {school.website_link or school.website or 'none'}"
    yield f"  URN           {school.urn or 'none'}, {school.type_name}, {school.status_name}"
    yield "The person who registered:"
    for owner in case.owners:
        confirmed = "confirmed" if owner.mobile_confirmed_at else "not confirmed"
        yield f"  name          {owner.name}"
        yield f"  e-mail        {owner.email} (verified)"
        yield f"  mobile        {_readable(owner.mobile)} ({confirmed})"
        for member in owner.memberships:
            if member.estab_id != estab.id:
                yield f"  also acts for {member.estab.name} ({member.estab.state})"
    yield f"  compared      {case.addresses}"
    yield "Notes:" if case.notes else "No notes yet."
    for note_row in case.notes:
        yield f"  {command.format_time(note_row.at)}, {note_row.by}: {note_row.text}"


def _readable(e164: str) -> str:
    return readable_phone_number(e164) if e164 else ""


def _when(review_row: Review) -> str:
    return f"by the end of {dates.weekday_and_day(review_row.due_at)}"


def _day(review_row: Review) -> str:
    return dates.weekday_and_day(review_row.decided_at) if review_row.decided_at else ""
