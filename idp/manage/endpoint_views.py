"""The page of the school's server: its state, sending data now, removing it, and who read what."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime
from idp.foundation.web import form_drafts, security
from idp.manage import endpoint_page
from idp.xporter import endpoints, reads

bp = Blueprint("endpoint", __name__, url_prefix="/manage/endpoint")


@bp.get("")
@security.person
def home() -> ResponseReturnValue:
    """The state of the endpoint, and what was read of the school's data recently."""
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    page = endpoint_page.build_page(endpoints.current(member.estab_id))
    rows = [
        (dates.day(read.day), read.client.client_name, reads.title(read.scope), f"{read.requests:,}",
         f"{read.records:,}", f"{read.last_at.astimezone(clock.LONDON):%H:%M}")
        for read in reads.recent(member.estab_id)
    ]  # fmt: skip
    issuer = runtime.settings().server.issuer
    return render_template("manage/endpoint.html", page=page, reads=rows, member=member, issuer=issuer)


@bp.post("/send")
@security.person
@form_drafts.form_shown_at("manage.endpoint.home")
def send() -> ResponseReturnValue:
    """Ask the endpoint for an extract with its next report."""
    if endpoints.request_extract(request.form.get("endpoint", ""), by=current_user.membership):
        flash("Your server will send your school's data within a quarter of an hour.", "success")
    else:
        flash("That server is no longer connected.", "info")
    return redirect(url_for(".home"), 303)


@bp.route("/remove", methods=["GET", "POST"])
@security.person
def remove() -> ResponseReturnValue:
    """Ask for confirmation, and remove the endpoint."""
    member = current_user.membership
    authority.check(member, Action.APPROVE_DEVICES)
    page = endpoint_page.build_page(endpoints.current(member.estab_id))
    if request.method == "POST":  # a HEAD has no CSRF token, and must not remove anything
        removed = endpoints.remove_for_school(request.form.get("endpoint", ""), by=member)
        if removed:
            flash("The server has been disconnected and removed. It can send nothing more.", "success")
        else:
            flash("That server is no longer connected.", "info")
        return redirect(url_for(".home"), 303)
    if page is None:
        return redirect(url_for(".home"), 303)
    return render_template("manage/remove_endpoint.html", page=page)


@bp.get("/reads.csv")
@security.person
def download_reads() -> ResponseReturnValue:
    """Who read what, as CSV. The byte order mark makes spreadsheets read it as UTF-8."""
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    response = Response("\ufeff" + reads.as_csv(member.estab_id), mimetype="text/csv")
    name = f"who-read-what-{member.estab.estab_id}-{clock.today()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
