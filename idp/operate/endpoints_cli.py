"""`idp endpoints`: the state of the agents on schools' servers, and removing one. No data of a school is shown."""

from typing import Any

import click

from idp.estabs import accounts
from idp.foundation.command import acting_operator, format_time, in_transaction, json_option, show, show_json
from idp.xporter import endpoints
from idp.xporter.models import Endpoint

COLUMNS = ("estab_id", "school", "state", "server", "version", "heard_at", "error")

estab_argument = click.argument("estab", metavar="ESTAB")


@click.group("endpoints")
def commands() -> None:
    """Schools' servers. ESTAB is an Estab ID, a DfE number, a URN, or our internal id (est_...), in any spelling."""


@commands.command("list")
@click.option("--lost", is_flag=True, help="Only those that have not been heard from for a day.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The most to list.")
@json_option
@in_transaction
def list_command(limit: int, *, lost: bool, as_json: bool) -> None:
    """List schools' servers, the one that has not been heard from for the longest first.

    If many are lost at once, of one version or since one moment, the cause is with us or a network, not with schools.
    """
    rows = [_row(endpoint) for endpoint in endpoints.list_longest_silent_first(lost_only=lost, limit=limit)]
    empty = "No server is lost." if lost else "No server is connected."
    show(rows, COLUMNS, as_json=as_json, empty=empty)


@commands.command("show")
@estab_argument
@json_option
@in_transaction
def show_command(estab: str, *, as_json: bool) -> None:
    """Show a school's server: its state, its program, when it was heard from, and what went wrong last."""
    account = accounts.look_up(estab)
    endpoint = endpoints.get_for_estab(account.id)
    error = endpoint.last_error
    if as_json:
        row = _row(endpoint) | {
            "id": endpoint.id, "mis": endpoint.mis, "platform": endpoint.platform,
            "registered_at": endpoint.registered_at, "extract_at": endpoint.extract_at, "error": error,
        }  # fmt: skip
        show_json(row)
        return
    click.echo(f"{account.name}, Estab ID {account.estab_id}: {endpoint.name}, {endpoint.state}")
    click.echo(f"  internal id   {endpoint.id}")
    click.echo(f"  heard from    {format_time(endpoint.heard_at)}")
    click.echo(f"  last extract  {format_time(endpoint.extract_at) if endpoint.extract_at else 'none'}")
    click.echo(f"  version       {endpoint.agent_version}, on {endpoint.platform}")
    click.echo(f"  system (MIS)  {endpoint.mis}")
    click.echo(f"  connected     {format_time(endpoint.registered_at)}")
    click.echo(
        f"  last error    {error['code']}, {error['at']}: {error['message']}" if error else "  last error    none"
    )


@commands.command("remove")
@estab_argument
@click.option("--reason", required=True, help="Why, for the audit log.")
@in_transaction
def remove(estab: str, reason: str) -> None:
    """Remove a school's server: it can send nothing more until the school connects it again with a new code."""
    account = accounts.look_up(estab)
    endpoint = endpoints.remove_by_staff(account.id, by=acting_operator(), reason=reason)
    click.echo(f"{endpoint.name} of {account.name} ({account.estab_id}) has been removed; it can send nothing more.")


def _row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "estab_id": endpoint.estab.estab_id, "school": endpoint.estab.name, "state": endpoint.state,
        "server": endpoint.name, "version": endpoint.agent_version, "heard_at": endpoint.heard_at,
        "error": endpoint.last_error["code"] if endpoint.last_error else None,
    }  # fmt: skip
