"""`idp audit`: search the log, and verify its chain."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import click

from idp.audit import chain, checkpoints, queries
from idp.audit.models import Entry
from idp.foundation.command import in_transaction, json_option, name_lookups, show, show_json

_COLUMNS = ("id", "at", "event", "actor", "estab", "client", "subject", "facts")


@click.group("audit")
def commands() -> None:
    """Search the audit log, and verify its chain."""


@commands.command("list")
@click.option("--estab", help="Only entries about this estab: its Estab ID, DfE number or URN.")
@click.option("--client", help="Only entries about this client.")
@click.option("--actor", help="Only acts of this operator (by e-mail), person, client, `cli`, `system` or `stranger`.")
@click.option("--event", help="Only this event (sharing.given), or this kind (sharing).")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]),
    help="Only entries from this time on (UTC).",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="How many of the newest entries to show.",
)
@click.option("--details", "with_details", is_flag=True, help="Show personal details too, unless they were erased.")
@json_option
@in_transaction
def list_entries(
    *, estab: str | None, client: str | None, actor: str | None, event: str | None, since: datetime | None, limit: int,
    with_details: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show entries, oldest first."""
    lookups = name_lookups()
    if lookups and estab:
        estab = lookups.estab(estab)
    if lookups and actor and "@" in actor:
        actor = lookups.operator(actor)
    since = since.replace(tzinfo=UTC) if since else None
    entries = queries.find(estab=estab, client=client, actor=actor, event=event, since=since, limit=limit)
    details = queries.details(entries) if with_details else {}
    addresses = lookups.addresses() if lookups and not as_json else {}
    rows = [_row(entry, addresses) | ({"details": details.get(entry.id)} if with_details else {}) for entry in entries]
    if not as_json:
        rows = [{name: _to_text(value) for name, value in row.items()} for row in rows]
    columns = (*_COLUMNS, "details") if with_details else _COLUMNS
    show(rows, columns, as_json=as_json, empty="No entry matches.")


def _row(entry: Entry, addresses: Mapping[str, str]) -> dict[str, object]:
    row = {name: getattr(entry, name) for name in _COLUMNS}
    return row | {"actor": addresses.get(entry.actor, entry.actor)}


def _to_text(value: object) -> object:
    """Facts and details as `name=value`, for a table."""
    return " ".join(f"{name}={item}" for name, item in value.items()) if isinstance(value, dict) else value


@commands.command()
@click.option("--from-start", is_flag=True, help="Verify the whole chain, not only from the newest checkpoint.")
@click.option(
    "--checkpoint",
    "lines",
    multiple=True,
    help="A checkpoint kept elsewhere, as the worker logged it; may be repeated.",
)
@json_option
@click.pass_context
@in_transaction
def verify(context: click.Context, lines: tuple[str, ...], *, from_start: bool, as_json: bool) -> None:
    """Verify the chain, and name every entry that was altered, moved, inserted or removed.

    Exit code 0 if there is none, 1 otherwise. Only a checkpoint that was kept elsewhere shows that the end
    of the chain was cut off together with its checkpoints. The newest one in the file that the setting
    audit.checkpoints names is always used; name others with --checkpoint.
    """
    external_checkpoints = [*checkpoints.exported(), *(checkpoints.parse(line) for line in lines)]
    report = chain.verify(from_start=from_start, external=external_checkpoints)
    if as_json:
        show_json(asdict(report))
    else:
        _print_report(report)
    if report.discrepancies:
        context.exit(1)


def _print_report(report: chain.Report) -> None:
    for discrepancy in report.discrepancies:
        entry = "" if discrepancy.entry is None else f", entry {discrepancy.entry}"
        click.echo(f"Position {discrepancy.position}{entry}: {discrepancy.what}.")
    waiting = f" Not sealed yet: {report.waiting}." if report.waiting else ""
    discrepancies = f"discrepancies: {len(report.discrepancies)}" if report.discrepancies else "no discrepancies"
    positions = f"Verified from position {report.begins} to {report.ends}"
    click.echo(f"{positions}, checkpoints: {report.checkpoints}; {discrepancies}.{waiting}")
