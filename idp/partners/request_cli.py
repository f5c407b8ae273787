"""`idp clients requests`: what partners ask for, approved or declined."""

from typing import Any

import click

from idp.foundation.command import acting_operator, in_transaction, json_option, show, show_json
from idp.partners import registration_requests
from idp.partners.models import RegistrationRequest


@click.group("requests")
def commands() -> None:
    """Requests of partners to register an application for schools, or to let one ask for more; also at /operate."""


@commands.command("list")
@json_option
@in_transaction
def list_requests(*, as_json: bool) -> None:
    """List the requests that wait, the oldest first."""
    rows = [_row(request) for request in registration_requests.waiting()]
    show(rows, ["id", "partner", "name", "about", "requested_at"], as_json=as_json, empty="No requests are waiting.")


@commands.command("show")
@click.argument("request_id")
@json_option
@in_transaction
def show_command(request_id: str, *, as_json: bool) -> None:
    """Show what would be registered, and what differs from what is registered now."""
    review = registration_requests.read(registration_requests.find(request_id))
    if as_json:
        show_json(_row(review.request) | {"state": review.request.state, "manifest": review.document,
                                        "reasons": review.request.reasons})  # fmt: skip
        return
    click.echo(f"{review.preview.client_name} of {review.request.partner.name}: {review.request.state}")
    for difference in review.differences:
        click.echo(f"  {difference.name}: {difference.after}")
        if difference.before:
            click.echo(f"    now: {difference.before}")
    for name, reason in review.request.reasons.items():
        click.echo(f"  {name}, because: {reason}")


@commands.command("approve")
@click.argument("request_id")
@in_transaction
def approve(request_id: str) -> None:
    """Register the application, or change it. Its partner is told by mail, and makes a secret in the console."""
    client = registration_requests.approve(request_id, by=acting_operator())
    click.echo(f"{client.client_name} ({client.id}) is registered as the request says.")


@commands.command("decline")
@click.argument("request_id")
@click.option("--reason", required=True, help="Why; the partner reads it.")
@in_transaction
def decline(request_id: str, reason: str) -> None:
    """Decline the request. Its partner is told by mail."""
    request = registration_requests.decline(request_id, reason, by=acting_operator())
    click.echo(f"The request of {request.partner.name} is declined.")


def _row(request: RegistrationRequest) -> dict[str, Any]:
    return {
        "id": request.id, "partner": request.partner.name, "name": request.manifest.get("client_name", ""),
        "about": request.client_id or "a new application", "requested_at": request.requested_at,
    }  # fmt: skip
