"""`idp sandbox`: sandbox applications and fictional schools, by the functions of the console."""

from typing import TextIO

import click

from idp.developers import quick_starts, sandbox
from idp.developers.sandbox import Staff
from idp.estabs import fictional
from idp.foundation.command import acting_operator, in_transaction, json_option, show, show_json
from idp.partners import jwks, mis_catalogue, registry, sandbox_clients
from idp.schools.fictional import KINDS

partner_argument = click.argument("partner")
school_argument = click.argument("estab_id")


@click.group("sandbox")
def commands() -> None:
    """What a partner tries its software with: sandbox applications, and fictional schools that only they can reach."""


@commands.command("list")
@partner_argument
@json_option
@in_transaction
def list_command(partner: str, *, as_json: bool) -> None:
    """List the sandbox applications and the fictional schools of the company PARTNER."""
    company = registry.partner(partner)
    rows = [
        {"kind": "application", "id": client.id, "name": client.client_name, "state": _state(client.enabled)}
        for client in sandbox_clients.list_for_partner(company.id)
    ]
    rows += [
        {"kind": "school", "id": estab.estab_id, "name": estab.name, "state": estab.state}
        for estab in fictional.list_for_partner(company.id)
    ]
    show(rows, ["kind", "id", "name", "state"], as_json=as_json, empty="It has none.")


@commands.command("add-application")
@partner_argument
@click.argument("name")
@click.option("--software", required=True, help="The id of a quick start, such as authlib.")
@click.option("--address", default=quick_starts.ADDRESS, show_default=True, help="Where it runs, without a path.")
@click.option(
    "--security",
    type=click.Choice(["private_key_jwt", "fapi2"]),
    help="How it signs, if not as its quick start does.",
)
@click.option("--jwks", "jwks_file", type=click.File(), help="The public half of its key, as a JWK or a key set.")
@json_option
@in_transaction
def add_application(
    partner: str, name: str, software: str, address: str, security: str | None, jwks_file: TextIO | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Make a sandbox application NAME of the company PARTNER. Its secret, if it has one, is shown once."""
    if (bool(security) or quick_starts.find(software).has_key) != bool(jwks_file):
        raise click.BadParameter("is for software that signs with a key, and needed by it", param_hint="--jwks")
    try:
        keys = jwks.parse(jwks_file.read()) if jwks_file else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--jwks") from None
    client, secret = sandbox.make_application(
        _staff(partner), name=name, quick_start_id=software, address=address, security=security or "", jwks=keys
    )
    if as_json:
        show_json({"client_id": client.id, "client_secret": secret, "redirect_uris": client.redirect_uris})
        return
    click.echo(f"client_id      {client.id}")
    if secret:
        click.echo(f"client_secret  {secret}")


@commands.command("remove-application")
@partner_argument
@click.argument("client_id")
@in_transaction
def remove_application(partner: str, client_id: str) -> None:
    """Remove a sandbox application at once: it cannot be used again, and leaves the partner's pages."""
    client = sandbox.remove_application(_staff(partner), client_id)
    click.echo(f"{client.client_name} has been removed.")


@commands.command("add-school")
@partner_argument
@click.option("--kind", type=click.Choice(sorted(KINDS)), default="primary", show_default=True)
@click.option("--mis", default="sims", show_default=True, help="A code of config/mis.toml.")
@click.option("--unverified", is_flag=True, help="Leave it unverified, as a new school is.")
@json_option
@in_transaction
def add_school(partner: str, kind: str, mis: str, *, unverified: bool, as_json: bool) -> None:
    """Make a fictional school of the company PARTNER. Its password is shown once."""
    if mis not in mis_catalogue.catalogue():
        raise click.BadParameter(f"one of {', '.join(mis_catalogue.catalogue())}", param_hint="--mis")
    password = sandbox.generate_password()
    school = sandbox.make_school(_staff(partner), kind, mis=mis, password=password, is_verified=not unverified)
    _print(school, as_json=as_json)


@commands.command("school-password")
@partner_argument
@school_argument
@json_option
@in_transaction
def school_password(partner: str, estab_id: str, *, as_json: bool) -> None:
    """Give the owner of a fictional school another password, shown once. Their sessions end."""
    password = sandbox.generate_password()
    _print(sandbox.replace_password(_staff(partner), estab_id, password=password), as_json=as_json)


@commands.command("verify-school")
@partner_argument
@school_argument
@in_transaction
def verify_school(partner: str, estab_id: str) -> None:
    """Verify a fictional school that was left unverified."""
    click.echo(f"{sandbox.verify(_staff(partner), estab_id).name} has been verified.")


@commands.command("remove-school")
@partner_argument
@school_argument
@in_transaction
def remove_school(partner: str, estab_id: str) -> None:
    """Remove a fictional school at once: its owner is signed out, and what it shared ends."""
    click.echo(f"{sandbox.remove_school(_staff(partner), estab_id).name} has been removed.")


def _staff(partner: str) -> Staff:
    return Staff(acting_operator(), registry.partner(partner))


def _state(enabled: bool) -> str:
    return "works" if enabled else "disabled"


def _print(school: sandbox.NewSchool, *, as_json: bool) -> None:
    if as_json:
        show_json({"estab_id": school.estab.estab_id, "username": school.username, "password": school.password})
        return
    click.echo(f"{school.estab.name}, Estab ID {school.estab.estab_id}")
    click.echo(f"password  {school.password}")
