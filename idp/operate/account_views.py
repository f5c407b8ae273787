"""The operator's pages about accounts and their people, for a call. `idp estabs` and `idp people` do the same."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, ValidationError

from idp.estabs import accounts, owners, people, permissions
from idp.estabs.models import Estab, Membership
from idp.foundation import dates
from idp.foundation.database import savepoint
from idp.foundation.errors import NotFound
from idp.foundation.web import security
from idp.foundation.web.contact_fields import readable_mobile
from idp.foundation.web.forms import Form, empty_if_invisible, visible
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import review
from idp.operate import recovery, school_people, suspension
from idp.sharing import authorise
from idp.signin import factors, locks, reset_links
from idp.xporter import endpoints

MAX_ROWS: Final = 50
MAX_QUERY_LENGTH: Final = 200
MAX_TEXT_LENGTH: Final = 1000
bp = Blueprint("accounts", __name__, url_prefix="/accounts")


class ActionForm(Form):
    """What to do, and why or after which call. There is one text, so that none is lost where another choice is made."""

    action = RadioField("What do you want to do?", validate_choice=False)
    text = TextAreaField(
        "Whom you called and spoke with, or why",
        [Length(max=MAX_TEXT_LENGTH, message=f"Please use at most {MAX_TEXT_LENGTH:,} characters.")],
        [empty_if_invisible],
    )

    def validate_action(self, field: RadioField) -> None:
        """One of those that the page offers has to be chosen."""
        if field.data not in {choice.value for choice in field.choices}:
            raise ValidationError("Choose what to do")

    def validate_text(self, field: TextAreaField) -> None:
        """The audit log needs it, except where sessions end, because no one loses anything by that."""
        if self.action.data != "end-sessions" and not field.data:
            raise ValidationError("Say whom you called and spoke with, or why. It is kept in the audit log.")


@bp.get("")
@security.operator
def find() -> ResponseReturnValue:
    """Find accounts by a number, by words of the school's name or town, or by a person's address or username."""
    typed = " ".join(visible(request.args.get("q")).split())[:MAX_QUERY_LENGTH]
    found = _search(typed) if typed.isprintable() else []
    if len(found) == 1:
        return redirect(url_for(".show", estab_id=found[0].estab_id), 303)
    return render_template("operate/accounts.html", typed=typed, found=found[:MAX_ROWS], has_more=len(found) > MAX_ROWS)


@bp.route("/<estab_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show(estab_id: str) -> ResponseReturnValue:
    """The school and its account; and a form to suspend or restore it, or to end its people's sessions."""
    estab, form = accounts.find(estab_id), ActionForm()
    form.action.choices = [SelectChoice("end-sessions", "End all sessions of its people")]
    if "suspended" in accounts.NEXT_STATES[estab.state]:
        form.action.choices.append(SelectChoice("suspend", "Suspend the account"))
    if estab.state == "suspended":
        form.action.choices.append(SelectChoice("restore", "Restore the account"))
    if request.method == "POST" and form.validate():
        try:
            with savepoint():
                message = ACCOUNT_ACTIONS[form.action.data](estab_id, form.text.data or "", current_user.id)
        except accounts.WrongState as error:
            form.form_errors.append(error.message)
        else:
            flash(message, "success")
            return redirect(url_for(".show", estab_id=estab_id), 303)
    pending = review.find_by_estab(estab)
    page = render_template(
        "operate/account.html", estab=estab, form=form, readable_number=readable_mobile,
        members=people.list_for_estab(estab.id), shared=authorise.current(estab.id),
        endpoint=endpoints.current(estab.id), is_checked=pending is None or pending.decided_at is not None,
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.route("/<estab_id>/people/<person_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_person(estab_id: str, person_id: str) -> ResponseReturnValue:
    """Someone who acts for the school; and a form to help them to sign in, or to change what they may do."""
    estab, form = accounts.find(estab_id), ActionForm()
    member = people.membership(person_id, estab.id)
    if member is None:
        raise NotFound(reason=f"{person_id} does not act for {estab.id}")
    locked_until = locks.locked_until(member.person)
    has_second_step = factors.has_any(person_id)
    form.action.choices = _choices_about(member, is_locked=locked_until is not None, has_second_step=has_second_step)
    if request.method == "POST" and form.validate():
        try:
            with savepoint():
                message = _act_on(member, form.action.data, form.text.data or "")
        except (owners.LastOwner, reset_links.AccountClosed) as error:
            form.form_errors.append(error.message)
        else:
            flash(message, "success")
            is_gone = form.action.data == "remove"
            return redirect(
                url_for(".show", estab_id=estab_id) if is_gone else url_for(".show_person", **request.view_args or {}),
                303,
            )
    page = render_template(
        "operate/account_person.html", member=member, form=form, readable_number=readable_mobile,
        locked_until=locked_until, has_second_step=has_second_step,
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _search(typed: str) -> list[Estab]:
    """The accounts that match; also those of the person who signs in by this name."""
    found = accounts.search(typed, limit=MAX_ROWS + 1)
    if not found and (person := people.by_name(typed)) is not None:
        found = [member.estab for member in person.memberships]
    return found


def _choices_about(member: Membership, *, is_locked: bool, has_second_step: bool) -> list[SelectChoice]:
    choices = [SelectChoice("reset", "E-mail a link to choose a new password")]
    if is_locked:
        choices.append(SelectChoice("unlock", "Let them sign in again now"))
    if has_second_step:
        choices.append(SelectChoice("recover-factor", "Start to remove their lost second step"))
    choices.append(SelectChoice("end-sessions", "End their sessions"))
    choices.extend(
        SelectChoice(f"role-{role}", f"Make them {permissions.with_article(role)}")
        for role in permissions.other_roles(member.role)
    )
    return [*choices, SelectChoice("remove", "Remove them from the school")]


def _act_on(member: Membership, action: str, text: str) -> str:
    """Do what was chosen; returns what was done."""
    person, name, estab_id, by = member.person, member.person.username, member.estab.estab_id, current_user.id
    match action.split("-"):
        case ["reset"]:
            recovery.send_reset_link(name, by=by, note=text)
            return f"A link to choose a new password is on its way to {person.email}."
        case ["unlock"]:
            recovery.unlock(name, by=by, reason=text)
            return f"{person.name} can sign in again."
        case ["recover", _]:
            _, due = recovery.start_factor_recovery(name, by=by, note=text)
            return f"{person.name} can sign in with the password alone from {dates.day_and_time(due)}."
        case ["role", role]:
            school_people.change_role(name, estab_id, role, by=by, note=text)
            return f"{person.name} is {permissions.with_article(role)} now. They and the owners are told by e-mail."
        case ["remove"]:
            school_people.remove(name, estab_id, by=by, note=text)
            return f"{person.name} no longer acts for the school. They and the owners are told by e-mail."
    _, count = recovery.end_sessions(name, by=by)
    return f"{count} {'session has' if count == 1 else 'sessions have'} ended."


def _suspend(estab_id: str, text: str, by: str) -> str:
    return f"{suspension.suspend(estab_id, by=by, reason=text).name} has been suspended."


def _restore(estab_id: str, text: str, by: str) -> str:
    estab = suspension.restore(estab_id, by=by, reason=text)
    return f"{estab.name} is {estab.state} again."


def _end_sessions(estab_id: str, _text: str, by: str) -> str:
    _, count = suspension.end_sessions(estab_id, by=by)
    return f"{count} {'session has' if count == 1 else 'sessions have'} ended."


ACCOUNT_ACTIONS: Final[dict[str, Callable[[str, str, str], str]]] = {
    "suspend": _suspend, "restore": _restore, "end-sessions": _end_sessions,
}  # fmt: skip
"""By the radio button's value: it takes the Estab ID, the text and the operator's id, and returns what was done."""
