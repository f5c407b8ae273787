"""`idp outbox`: what has not left yet, and another try for what failed."""

import click

from idp.foundation.command import json_option, show, working
from idp.outbox import deliver, overview

_COLUMNS = ("id", "kind", "name", "recipient", "created_at", "attempts", "due_at", "failed_at", "last_error")


@click.group("outbox")
def commands() -> None:
    """See which messages have not left, and retry those that failed.

    `idp worker` delivers; it retries by itself for as long as the setting outbox.give_up_hours says.
    """


@commands.command("list")
@click.option("--failed", "only_failed", is_flag=True, help="Only what will not be tried again by itself.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="So many of each.")
@json_option
@working
def listed(*, only_failed: bool, most: int, as_json: bool) -> None:
    """Show the messages that wait and those that failed, never what they say."""
    found = overview.failed(most) + ([] if only_failed else overview.waiting(most))
    rows = [{name: getattr(message, name) for name in _COLUMNS} for message in found]
    show(rows, _COLUMNS, as_json=as_json, empty="Everything has left.")


@commands.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@working
def retry(ids: tuple[str, ...]) -> None:
    """Send failed messages again. All of them, or none: one whose link has expired is refused."""
    for message_id in ids:
        deliver.retry(message_id)
    click.echo(f"{len(ids)} will be tried again.")
