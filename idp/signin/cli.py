"""`idp operators`: the accounts of our own staff."""

import click
from email_validator import EmailNotValidError, validate_email

from idp.foundation.command import acting_operator, in_transaction, json_option, show, show_json
from idp.signin import operators


class EmailAddress(click.ParamType[str]):
    """An e-mail address whose syntax is checked, and not whether it exists."""

    name = "email"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address, with an internationalised domain as the DNS has it."""
        try:
            address = validate_email(value, check_deliverability=False).ascii_email
        except EmailNotValidError as error:
            self.fail(str(error), param, ctx)
        return address or self.fail("the part before the @ must have plain letters only", param, ctx)


@click.group("operators")
def commands() -> None:
    """Add our own staff by a one-time set-up link."""


@commands.command("add")
@click.argument("name")
@click.argument("email", type=EmailAddress())
@json_option
@in_transaction
def add(name: str, email: str, *, as_json: bool) -> None:
    """Add NAME, an operator with the address EMAIL, and print their set-up link.

    The link is shown once and works once, for 24 hours: give it only to that person. With it they choose a
    password and set up an authenticator app. Run again for a person who has not used their link yet, the
    command prints a new link, and the old one stops working.
    """
    operator, link = operators.add(name, email, by=acting_operator())
    if as_json:
        show_json({"id": operator.id, "email": operator.email, "link": link})
    else:
        click.echo(f"{operator.name} can set up their account here, once, within 24 hours:\n\n  {link}\n")


@commands.command("list")
@json_option
@in_transaction
def list_operators(*, as_json: bool) -> None:
    """List all operators, disabled ones too, and whether they can sign in."""
    rows = [
        {
            "id": operator.id, "name": operator.name, "email": operator.email, "added": operator.created_at,
            "set_up": operator.set_up_at, "disabled": operator.disabled_at,
        }
        for operator in operators.all_operators()
    ]  # fmt: skip
    show(rows, ["name", "email", "added", "set_up", "disabled"], as_json=as_json, empty="There are no operators yet.")


@commands.command("disable")
@click.argument("email")
@in_transaction
def disable(email: str) -> None:
    """Disable the operator with the address EMAIL at once; their sessions end too."""
    operator = operators.disable(email, by=acting_operator())
    click.echo(f"{operator.name} can no longer sign in.")
