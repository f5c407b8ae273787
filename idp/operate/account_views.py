"""The operator's pages about accounts and their people, for a call."""

from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import accounts, people
from idp.estabs.models import Estab
from idp.foundation.errors import NotFound
from idp.foundation.web import security
from idp.foundation.web.forms import visible
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import review
from idp.operate import account_actions
from idp.operate.action_form import ActionForm
from idp.partners import mis_catalogue
from idp.sharing import authorise
from idp.signin import factor_recovery, factors, locks
from idp.xporter import endpoints

MAX_ROWS: Final = 50
MAX_QUERY_LENGTH: Final = 200
TEXT_LABEL: Final = "Whom you called and spoke with, or why"
bp = Blueprint("accounts", __name__, url_prefix="/accounts")


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
    estab = accounts.find(estab_id)
    form = ActionForm(list(account_actions.for_account(estab)), text_label=TEXT_LABEL)
    if request.method == "POST" and (message := form.run(current_user.id)):
        flash(message, "success")
        return redirect(url_for(".show", estab_id=estab_id), 303)
    pending = review.find_by_estab(estab)
    members = people.list_for_estab(estab.id)
    page = render_template(
        "operate/account.html", estab=estab, form=form, system=mis_catalogue.name(estab.mis), members=members,
        locked={member.person_id for member in members if locks.locked_until(member.person)},
        shared=authorise.current(estab.id), endpoint=endpoints.current(estab.id),
        is_checked=pending is None or pending.decided_at is not None,
    )  # fmt: skip
    return form.response(page)


@bp.route("/<estab_id>/people/<person_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_person(estab_id: str, person_id: str) -> ResponseReturnValue:
    """Someone who acts for the school; and a form to help them to sign in, or to change what they may do."""
    estab = accounts.find(estab_id)
    member = people.membership(person_id, estab.id)
    if member is None and request.method == "POST":  # they were removed while the page was open
        flash("This person no longer acts for the school. Nothing was done.", "warning")
        return redirect(url_for(".show", estab_id=estab_id), 303)
    if member is None:
        raise NotFound(reason=f"{person_id} does not act for {estab.id}")
    form = ActionForm(list(account_actions.for_person(member)), text_label=TEXT_LABEL)
    if request.method == "POST" and (message := form.run(current_user.id)):
        flash(message, "success")
        path = url_for(".show_person", estab_id=estab_id, person_id=person_id)
        return redirect(path if people.membership(person_id, estab.id) else url_for(".show", estab_id=estab_id), 303)
    page = render_template(
        "operate/account_person.html", member=member, form=form, locked_until=locks.locked_until(member.person),
        has_second_step=factors.has_any(person_id), factor_recovery=factor_recovery.waiting(person_id),
    )  # fmt: skip
    return form.response(page)


def _search(typed: str) -> list[Estab]:
    """The accounts that match; also those of the person who signs in by this name."""
    found = accounts.search(typed, limit=MAX_ROWS + 1)
    if not found and (person := people.by_name(typed)) is not None:
        found = [member.estab for member in person.memberships]
    return found
