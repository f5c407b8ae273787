"""`idp developers`: a partner's people, who sign in at /developers."""

import click

from idp.foundation.command import acting_operator, in_transaction, json_option, show
from idp.partners import registry
from idp.signin import developers
from idp.signin.cli import EmailAddress


@click.group("developers")
def commands() -> None:
    """Invite a partner's people, who look after its applications at /developers, or remove them."""


@commands.command("invite")
@click.argument("partner")
@click.argument("name")
@click.argument("email", type=EmailAddress())
@click.option("--owner", is_flag=True, help="They may invite and remove others of the same partner.")
@in_transaction
def invite(partner: str, name: str, email: str, *, owner: bool) -> None:
    """Invite NAME, of the company PARTNER, by a mail to EMAIL with a link that works once, for 24 hours.

    Run again for a person who has not used their link yet, the command sends a new one, and the old one stops working.
    """
    company = registry.partner(partner)
    invited = developers.invite(company, name, email, is_owner=owner, by=acting_operator())
    click.echo(f"{invited.name} of {company.name} has been invited by a mail to {invited.email}.")


@commands.command("list")
@click.argument("partner")
@json_option
@in_transaction
def list_developers(partner: str, *, as_json: bool) -> None:
    """List the people of the company PARTNER, those who were removed too."""
    rows = [
        {
            "id": developer.id, "name": developer.name, "email": developer.email, "owner": developer.is_owner,
            "invited": developer.invited_at,
            "set_up": developer.set_up_at, "removed": developer.disabled_at,
        }
        for developer in developers.list_for_partner(registry.partner(partner).id)
    ]  # fmt: skip
    columns = ["name", "email", "owner", "invited", "set_up", "removed"]
    show(rows, columns, as_json=as_json, empty="Nobody was invited yet.")


@commands.command("remove")
@click.argument("partner")
@click.argument("email")
@in_transaction
def remove(partner: str, email: str) -> None:
    """Remove the person with the address EMAIL from the company PARTNER at once; their sessions end too."""
    developer = developers.find(partner, email)
    removed = developers.remove(developer.partner_id, developer.id, by=acting_operator())
    click.echo(f"{removed.name} can no longer sign in.")
