"""School information: which school, out of the provider's register, and which management information system."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from clients.assembly import accounts
from clients.assembly.applications import MIS_NAMES
from clients.assembly.web import current_account, current_program

bp = Blueprint("school", __name__)

MAX_LISTED = 12
"""How many schools the list shows."""


@bp.get("/school")
def choose() -> ResponseReturnValue:
    """Find the school by name or postcode, and choose it and its system; without scripts, `q` is the typed text."""
    if current_account() is None:
        return redirect(url_for("people.sign_in"), 303)
    return _page({})


@bp.get("/school/search")
def search() -> ResponseReturnValue:
    """The list alone, for the script that searches while someone types."""
    if current_account() is None:
        return "", 401
    return render_template("schools.html", **_search(request.args.get("q", "")))


@bp.post("/school")
def save() -> ResponseReturnValue:
    """Store the choice. The form sends only the URN of the school; its name and place are read from the register."""
    account = current_account()
    if account is None:
        return redirect(url_for("people.sign_in"), 303)
    application = current_program().settings.application
    urn, mis = request.form.get("urn", ""), request.form.get("mis", "")
    field_errors = {}
    school = _by_urn(urn) if urn else None
    if school is None:
        field_errors["urn"] = "Choose your school from the list"
    elif not school["can_register"]:
        field_errors["urn"] = f"{school['name']} cannot be connected: {school['status']}"
    if mis not in MIS_NAMES:
        field_errors["mis"] = "Choose your school's management information system"
    elif mis not in application.accepted_mis:
        field_errors["mis"] = f"{application.name} is only available for {application.accepted_mis_names} schools"
    if field_errors or school is None:
        return _page(field_errors, refused_mis=mis in MIS_NAMES and mis not in application.accepted_mis), 400
    accounts.choose_school(
        current_program().database, account.id, urn=school["urn"], name=school["name"], place=_place(school), mis=mis
    )
    return redirect(url_for("connector.connector"), 303)


def _page(field_errors: dict[str, str], *, refused_mis: bool = False) -> str:
    account = current_account()
    assert account is not None  # checked by the views
    chosen = request.form.get("urn", "")
    typed = request.values.get("q", account.school_name or "") or chosen
    return render_template(
        "school.html", field_errors=field_errors, q=typed, mis=MIS_NAMES,
        chosen_mis=request.form.get("mis", account.mis or ""),
        chosen_urn=chosen or account.urn or "", refused_mis=refused_mis, **_search(typed),
    )  # fmt: skip


def _search(typed: str) -> dict[str, Any]:
    if len(typed.strip()) < 2:
        return {"schools": [], "more": False, "typed": typed}
    parameters = {"q": typed.strip()[:200], "limit": str(MAX_LISTED)}
    response = current_program().provider.call_as_client("GET", "/api/register/schools", params=parameters).json()
    schools = [school | {"place": _place(school)} for school in response["schools"] if "urn" in school]
    return {"schools": schools, "more": response["more"], "typed": typed}


def _by_urn(urn: str) -> dict[str, Any] | None:
    return next((school for school in _search(urn)["schools"] if school["urn"] == urn), None)


def _place(school: dict[str, Any]) -> str:
    return ", ".join(filter(None, (school["address"].get("town"), school["address"].get("postcode"))))
