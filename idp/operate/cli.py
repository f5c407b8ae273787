"""`idp estabs`: find, show, suspend and restore schools' accounts, and end their sessions."""

from typing import Any

import click

from idp.estabs import accounts, people
from idp.estabs.models import Estab, Membership
from idp.foundation.command import acting_operator, format_time, in_transaction, json_option, show, show_json
from idp.operate import suspension
from idp.sharing import closures, releases

COLUMNS = ("estab_id", "name", "town", "state", "registered_at")

CLOSING_COLUMNS = ("estab_id", "name", "state", "closes", "followed_by")

estab_argument = click.argument("estab", metavar="ESTAB")


@click.group()
def estabs() -> None:
    """Schools' accounts. ESTAB is an Estab ID, a DfE number, a URN, or our internal id (est_...), in any spelling."""


@estabs.command("find")
@click.argument("text", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The most accounts to list.")
@json_option
@in_transaction
def find(text: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """Find accounts by a number, by words of the school's name or town, or by a person's e-mail address.

    Schools that have no account are found by `idp schools search`.
    """
    rows = [_row(estab) for estab in accounts.search(" ".join(text), limit=limit)]
    show(rows, COLUMNS, as_json=as_json, empty="No school account matches.")


@estabs.command("show")
@estab_argument
@json_option
@in_transaction
def show_command(estab: str, *, as_json: bool) -> None:
    """Show one account: its school, its state, and who acts for it."""
    account = accounts.look_up(estab)
    members = [_person(member) for member in people.list_for_estab(account.id)]
    if as_json:
        show_json(_row(account) | {"id": account.id, "urn": account.school.urn, "mis": account.mis, "people": members})
        return
    click.echo(
        f"{account.name}, Estab ID {account.estab_id}: {account.state} since {format_time(account.state_changed_at)}"
    )
    click.echo(f"  internal id   {account.id}")
    click.echo(f"  URN           {account.school.urn or 'none'}")
    click.echo(f"  DfE number    {account.school.dfe_number or 'none'}")
    click.echo(f"  registered    {format_time(account.registered_at)}")
    click.echo(f"  system (MIS)  {account.mis or 'not known yet'}")
    click.echo("Who acts for it:" if members else "No one acts for it.")
    for person in members:
        click.echo(f"  {person['name']}, {person['email']}, {person['role']}, signs in as {person['username']}")


@estabs.command("suspend")
@estab_argument
@click.option("--reason", required=True, help="Why, for the audit log.")
@in_transaction
def suspend(estab: str, reason: str) -> None:
    """Suspend the account at once: its people cannot act, and partners receive no data.

    Its agreements stand; `restore` undoes it.
    """
    account = suspension.suspend(estab, by=acting_operator(), reason=reason)
    click.echo(
        f"{account.name} ({account.estab_id}) has been suspended; `idp estabs restore {account.estab_id}` undoes it."
    )


@estabs.command("restore")
@estab_argument
@click.option("--reason", default="", help="Why, for the audit log.")
@in_transaction
def restore(estab: str, reason: str) -> None:
    """Let a suspended account work again: verified if our staff had verified it, unverified otherwise."""
    account = suspension.restore(estab, by=acting_operator(), reason=reason)
    click.echo(f"{account.name} ({account.estab_id}) is {account.state} again.")


@estabs.command("end-sessions")
@estab_argument
@in_transaction
def end_sessions(estab: str) -> None:
    """End all sessions of the school's people. Clients with back-channel logout are notified."""
    account, count = suspension.end_sessions(estab, by=acting_operator())
    click.echo(f"{count} session{'' if count == 1 else 's'} of {account.name} ({account.estab_id}) ended.")


@estabs.command("closing")
@json_option
@in_transaction
def closing(*, as_json: bool) -> None:
    """List accounts whose school has closed in the register, or is about to, with their successors.

    Sharing never moves by itself: an owner releases it to a successor. Use `release` for a school without owners.
    """
    rows = [
        {
            "estab_id": estab.estab_id, "name": estab.name, "state": estab.state, "closes": closing.description,
            "followed_by": "; ".join(
                f"{step.name} ({step.school.urn if step.school else 'not in the register'})"
                for step in closing.successors
            ),
        }
        for estab, closing in closures.all_closing()
    ]  # fmt: skip
    show(rows, CLOSING_COLUMNS, as_json=as_json, empty="No school with an open account is closing.")


@estabs.command("release")
@estab_argument
@click.argument("successor", metavar="SUCCESSOR")
@in_transaction
def release(estab: str, successor: str) -> None:
    """Let SUCCESSOR, the account of a successor in the register, continue what ESTAB shares.

    For a closed school without owners. Call both schools first. The owners of SUCCESSOR decide.
    """
    account, school = releases.release_by_staff(estab, successor, by=acting_operator())
    click.echo(f"{school.name} may continue what {account.name} ({account.estab_id}) shares; its owners decide.")


def _row(estab: Estab) -> dict[str, Any]:
    return {
        "estab_id": estab.estab_id, "name": estab.name, "town": estab.school.town, "state": estab.state,
        "registered_at": estab.registered_at,
    }  # fmt: skip


def _person(member: Membership) -> dict[str, Any]:
    person = member.person
    return {
        "id": person.id,
        "name": person.name,
        "email": person.email,
        "username": person.username,
        "role": member.role,
    }
