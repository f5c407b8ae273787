"""`idp outbox`: list undelivered messages, and retry failed ones."""

import click

from idp.foundation.command import in_transaction, json_option, show
from idp.outbox import deliver, overview

_COLUMNS = ("id", "kind", "name", "recipient", "created_at", "attempts", "due_at", "sent_at", "failed_at", "last_error")
_TEXT_COLUMNS = (
    "id",
    "name",
    "estab",
    "created_at",
    "sent_at",
    "delivered_at",
    "failed_at",
    "last_error",
    "provider_id",
)


@click.group("outbox")
def commands() -> None:
    """List messages that were not sent, and retry those that failed.

    `idp worker` delivers; it retries by itself for as long as the setting outbox.give_up_hours allows.
    """


@commands.command("list")
@click.option("--failed", "only_failed", is_flag=True, help="Only messages that are not retried automatically.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="The most messages of each kind to list.",
)
@json_option
@in_transaction
def listed(*, only_failed: bool, limit: int, as_json: bool) -> None:
    """List messages that wait and messages that failed, without their content."""
    messages = overview.failed(limit) + ([] if only_failed else overview.waiting(limit))
    rows = [{name: getattr(message, name) for name in _COLUMNS} for message in messages]
    show(rows, _COLUMNS, as_json=as_json, empty="Everything has been sent.")


@commands.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The most messages to list."
)
@json_option
@in_transaction
def texts(*, limit: int, as_json: bool) -> None:
    """List text messages, the newest first, and whether they reached the phone; without content and number.

    `provider_id` is the provider's id of the message: quote it to them. `delivered_at` needs delivery receipts.
    """
    rows = [{name: getattr(message, name) for name in _TEXT_COLUMNS} for message in overview.texts(limit)]
    show(rows, _TEXT_COLUMNS, as_json=as_json, empty="No text message has been posted.")


@commands.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@in_transaction
def retry(ids: tuple[str, ...]) -> None:
    """Send failed messages again: all that are named, or none if the link in one of them has expired."""
    for message_id in ids:
        deliver.retry(message_id)
    click.echo(f"{len(ids)} message{'' if len(ids) == 1 else 's'} will be retried.")
