"""The connector page: the status of the connection, and what can be done about it."""

import time
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from clients.assembly import accounts, connections, invitations, resource
from clients.assembly.applications import MIS_NAMES
from clients.assembly.connections import Connection, NoAccessToken
from clients.assembly.errors import ProviderUnreachable, RequestRefused
from clients.assembly.web import current_account, current_program, current_sign_in

bp = Blueprint("connector", __name__)

STATUS_CACHE_SECONDS = 2.0
"""How long the status from the provider is shown before it is requested again."""
RECEIVE_SECONDS = 60.0
"""How often the school's data is read while someone looks at the page."""


@bp.get("/connector")
def connector() -> ResponseReturnValue:
    """The page of the connection. A person who has not chosen a school yet is asked to choose one first."""
    sign_in, account = current_sign_in(), current_account()
    if sign_in is None:
        return redirect(url_for("people.sign_in"), 303)
    if sign_in.estab_id is None and account is not None and account.urn is None:
        return redirect(url_for("school.choose"), 303)
    return render_template("connector.html", **_template_variables(refresh=True))


@bp.get("/connector/status")
def status() -> ResponseReturnValue:
    """The part of the page that changes, which a script loads again."""
    return render_template("status.html", **_template_variables(refresh=True)) if current_sign_in() else ("", 401)


@bp.post("/connector/grant-access")
def grant_access() -> ResponseReturnValue:
    """Have the provider invite the school."""
    account, program = current_account(), current_program()
    if account is None or account.urn is None:
        return redirect(url_for("connector.connector"), 303)
    name = " ".join(request.form.get("name", "").split())[:100]
    if not name:
        state = _template_variables(refresh=False) | {
            "field_errors": {"name": "Enter your name: the e-mail is addressed to it"}
        }
        return render_template("connector.html", **state), 400
    accounts.set_contact_name(program.database, account.id, name)
    key = invitations.request(program.database, program.settings, account, name)
    try:
        invitations.send(program.database, program.provider, key)
    except ProviderUnreachable:
        flash("The school sign-in service cannot be reached at the moment. We will send your request later.")
    return redirect(url_for("connector.connector"), 303)


@bp.post("/connector/send-again")
def send_again() -> ResponseReturnValue:
    """Have the provider send its mail again."""
    program, invitation = current_program(), _invitation()
    if invitation is not None:
        try:
            invitations.send_again(program.database, program.provider, invitation.idempotency_key)
            flash("The e-mail is on its way again. The link in the one before no longer works.")
        except RequestRefused as error:
            flash(error.detail or "It could not be sent again.")
    return redirect(url_for("connector.connector"), 303)


@bp.post("/connector/check")
def check_again() -> ResponseReturnValue:
    """Request the status and the data again now, and say what has changed."""
    program, connection = current_program(), _connection()
    if connection is None:
        return redirect(url_for("connector.connector"), 303)
    connections.check(program.database, program.provider, connection.estab_id)
    try:
        connections.access_token(program.database, program.provider, connection.estab_id, renew=True)
        connections.receive(program.database, program.provider, program.settings, connection.estab_id)
    except NoAccessToken:
        pass  # the page says why
    after = connections.find(program.database, estab_id=connection.estab_id)
    flash(_describe_changes(connection, after))
    return redirect(url_for("connector.connector"), 303)


@bp.post("/connector/disconnect")
def disconnect() -> ResponseReturnValue:
    """Delete the school's data and its tokens, if the person acts for the school."""
    program, connection = current_program(), _connection()
    if connection is None or not _acts_for(connection):
        return redirect(url_for("connector.connector"), 303)
    connections.disconnect(program.database, connection.estab_id)
    program.background.wake()
    return redirect(url_for("connector.connector"), 303)


def _template_variables(*, refresh: bool) -> dict[str, Any]:
    """The variables of the templates. With `refresh`, an old status is requested again; if that fails, it is shown."""
    program = current_program()
    application = program.settings.application
    reachable = True
    if refresh:
        try:
            _refresh()
        except (ProviderUnreachable, RequestRefused):
            reachable = False
    connection, invitation = _connection(), _invitation()
    areas = list(
        application.area_states(connection.granted, connection.withheld_scopes, paused=connection.is_paused)
    ) if connection else []  # fmt: skip
    sign_in = current_sign_in()
    return {
        "connection": connection, "invitation": invitation, "reachable": reachable, "area_states": areas,
        "field_errors": {}, "mis_names": MIS_NAMES,
        "step": _step(connection, invitation), "acts_for": connection is not None and _acts_for(connection),
        "has_resource": bool(program.settings.resource), "person": sign_in.about if sign_in else {},
        "claims": sign_in.claims if sign_in else {}, "kinds": resource.KINDS, "table": resource.table,
    }  # fmt: skip


def _step(connection: Connection | None, invitation: invitations.Invitation | None) -> str:
    """The name of the present step: the status of the connection if there is one, else of the invitation."""
    if connection is not None and connection.status != "unknown":
        if connection.status in {"disconnected", "withdrawn", "expired"} and _is_newer(invitation, connection):
            assert invitation is not None
            return f"invitation_{invitation.state}"
        return connection.status
    return f"invitation_{invitation.state}" if invitation else "not_connected"


def _is_newer(invitation: invitations.Invitation | None, connection: Connection) -> bool:
    """Whether the school was invited again after sharing ended."""
    if invitation is None or invitation.state == "accepted":
        return False
    ended = connection.disconnected_at
    if ended is None:
        moment = connection.school.get("withdrawn_at") or connection.school.get("until")
        ended = datetime.fromisoformat(moment).timestamp() if moment else 0.0
    return invitation.created_at > ended


def _refresh() -> None:
    """Ask the provider what is older than `STATUS_CACHE_SECONDS`, for the school and the invitation of this browser."""
    program, now = current_program(), time.time()
    invitation = _invitation()
    if invitation is not None and now - invitation.checked_at > STATUS_CACHE_SECONDS:
        if invitation.state == "sending":
            invitations.send(program.database, program.provider, invitation.idempotency_key)
        else:
            invitations.check(program.database, program.provider, invitation.idempotency_key)
    connection = _connection()
    if connection is None:
        if invitation is not None and invitation.state == "accepted":  # by someone who has not come back to us
            connections.check_all(program.database, program.provider)
        return
    if now - connection.checked_at > STATUS_CACHE_SECONDS:
        connections.check(program.database, program.provider, connection.estab_id)
        connection = _connection()
    if connection and connection.is_shared and now - (connection.received_at or 0) > _read_interval_seconds(connection):
        connections.receive(program.database, program.provider, program.settings, connection.estab_id)


def _read_interval_seconds(connection: Connection) -> float:
    """Seconds between two reads of the data; they are few while nothing has come from a connected server yet."""
    has_data = bool((connection.received or {}).get("kinds"))
    return STATUS_CACHE_SECONDS if connection.status == "connected" and not has_data else RECEIVE_SECONDS


def _connection() -> Connection | None:
    """The connection of the school that this browser is signed in for; else of the one its account has chosen."""
    sign_in, account, database = current_sign_in(), current_account(), current_program().database
    if sign_in is not None and sign_in.estab_id is not None:
        return connections.find(database, estab_id=sign_in.estab_id)
    return connections.find(database, urn=account.urn) if account is not None and account.urn is not None else None


def _invitation() -> invitations.Invitation | None:
    """The newest invitation of that school by this account."""
    account, connection = current_account(), _connection()
    if account is None or (connection is not None and connection.urn != account.urn):
        return None
    return invitations.find_newest(current_program().database, account.id, account.urn)


def _acts_for(connection: Connection) -> bool:
    """Whether the person has shown by a school account that they act for this school.

    Choosing a school when signing up shows nothing: without this, anyone with an invite code could read the names of
    the pupils of any school that shares with us.
    """
    sign_in, account = current_sign_in(), current_account()
    return connection.estab_id in {sign_in.estab_id if sign_in else None, account.estab_id if account else None}


def _describe_changes(before: Connection, now: Connection | None) -> str:
    """A sentence about what has changed since the status was requested last."""
    if now is None or now.status in {"withdrawn", "expired"}:
        return "Your school no longer shares with us."
    if now.status == "paused":
        return "Your school has paused sharing with us. We receive nothing until your school resumes it."
    if now.status == "other_system":
        return "Your school has named another system (MIS), with which we do not work. We receive nothing for now."
    if before.is_paused:
        return "Your school shares with us again."
    areas = current_program().settings.application.areas
    added = now.granted - before.granted
    if titles := [area.title for area in areas if area.scope in added]:
        return f"New: your school now shares {', '.join(titles)} with us."
    removed = [area.title for area in areas if area.scope in before.granted - now.granted]
    return f"Your school no longer shares {', '.join(removed)} with us." if removed else "Nothing has changed."
