"""`idp partners` and `idp clients`: who schools share data with."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from idp.foundation import clock, scopes
from idp.foundation.command import acting_operator, format_time, in_transaction, json_option, show, show_json
from idp.partners import event_streams, failure_log, manifest, registry, request_cli
from idp.partners.cli_options import duration, secret_file_option, write_secret
from idp.partners.initial_token_cli import initial_token
from idp.partners.models import Client, ClientEvent, Partner

manifest_argument = click.argument(
    "file", metavar="MANIFEST", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.group()
def partners() -> None:
    """The companies that schools share data with. Their applications are `idp clients`."""


@partners.command("add")
@click.argument("name")
@click.option("--website", required=True, help="The company's own site, https.")
@click.option("--email", required=True, help="The address to write to about its applications.")
@json_option
@in_transaction
def partners_add(*, name: str, website: str, email: str, as_json: bool) -> None:
    """Add the company NAME, so that its applications can be registered."""
    added = registry.add_partner(name, website=website, contact_email=email, by=acting_operator())
    if as_json:
        show_json(_partner_row(added))
    else:
        click.echo(f"{added.name} is added. Register its applications with: idp clients register MANIFEST.toml")


@partners.command("list")
@json_option
@in_transaction
def partners_list(*, as_json: bool) -> None:
    """List every company."""
    rows = [_partner_row(partner) for partner in registry.all_partners()]
    show(rows, ["name", "website", "contact_email", "enabled"], as_json=as_json, empty="No partner was added yet.")


@partners.command("disable")
@click.argument("name")
@in_transaction
def partners_disable(*, name: str) -> None:
    """Stop the company NAME with all its applications, at once."""
    registry.switch_partner(name, on=False, by=acting_operator())
    click.echo(f"{name} and its applications are disabled; `idp partners enable` undoes it.")


@partners.command("enable")
@click.argument("name")
@in_transaction
def partners_enable(*, name: str) -> None:
    """Let a disabled company's applications work again."""
    registry.switch_partner(name, on=True, by=acting_operator())
    click.echo(f"{name} is enabled.")


@click.group()
def clients() -> None:
    """Partners' applications: OAuth clients. Each is registered from a manifest, a TOML or JSON file.

    clients/assembly/client.toml is an example that explains every line.
    """


clients.add_command(initial_token)
clients.add_command(request_cli.commands)


@clients.command("register")
@manifest_argument
@secret_file_option
@json_option
@in_transaction
def clients_register(*, file: Path, secret_file: Path | None, as_json: bool) -> None:
    """Register an application. Its secret is shown once, and never again: we keep only a digest.

    All errors in a manifest are reported together, and nothing is registered then. The names are those of RFC 7591,
    in TOML or JSON, and these, which schools are shown: partner, purpose, agreement_uri, agreement_version. In JSON,
    scope may be used instead of scopes.

    A client that proves itself by private_key_jwt gives its public keys as jwks, or their URL as jwks_uri. In
    TOML:

    \b
      token_endpoint_auth_method = "private_key_jwt"
      [[jwks.keys]]
      kty = "EC"
      crv = "P-256"
      alg = "ES256"
      use = "sig"
      kid = "2026-01"
      x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
      y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

    The same in JSON:

    \b
      "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "2026-01",
                         "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
    """  # noqa: D301  \b is click's sign for "leave these lines as they are"
    added, secret = registry.register(manifest.read_file(file), by=acting_operator())
    _print_client(added, secret, secret_file, as_json=as_json, done="registered")


@clients.command("update")
@manifest_argument
@secret_file_option
@json_option
@in_transaction
def clients_update(*, file: Path, secret_file: Path | None, as_json: bool) -> None:
    """Replace the registration of the client that the manifest names by client_id.

    Its secret stays, and so do schools' agreements: schools are asked for new scopes, and scopes that were
    removed are withheld at once.
    """
    client, secret = registry.change(manifest.read_file(file), by=acting_operator())
    _print_client(client, secret, secret_file, as_json=as_json, done="updated")


@clients.command("list")
@json_option
@in_transaction
def clients_list(*, as_json: bool) -> None:
    """List every application."""
    rows = [
        {
            "client_id": client.id, "partner": client.partner_name, "name": client.client_name,
            "profile": client.profile, "authenticates_by": client.token_endpoint_auth_method,
            "sandbox": client.is_sandbox,
            "enabled": client.enabled and client.partner.disabled_at is None,
        }
        for client in registry.all_clients()
    ]  # fmt: skip
    columns = ["client_id", "partner", "name", "profile", "authenticates_by", "sandbox", "enabled"]
    show(rows, columns, as_json=as_json, empty="No client was registered yet.")


@clients.command("show")
@click.argument("client_id")
@json_option
@in_transaction
def clients_show(*, client_id: str, as_json: bool) -> None:
    """Show everything registered about one application, except secrets, which cannot be read again."""
    facts = _client_row(registry.find(client_id))
    if as_json:
        show_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for index, line in enumerate(lines or [""]):
            click.echo(f"{'' if index else name:<{width}}  {_to_text(line)}".rstrip())


@clients.command("events")
@click.argument("client_id")
@click.option("--reference", default="", help="Only those with this reference, from an error page or X-Request-ID.")
@json_option
@in_transaction
def clients_events(*, client_id: str, reference: str, as_json: bool) -> None:
    """Show why requests of an application failed: which parameter was wrong, and how. Newest first, never a secret.

    Failures of the same kind are counted. A redirect URI is compared with each that is registered.
    """
    client = registry.find(client_id)
    failures = failure_log.list_for_partner(client.partner_id, reference=reference, client_id=client.id)
    rows = [_event_row(event) for event, _ in failures]
    if as_json:
        show_json(rows)
    elif not rows:
        click.echo(
            "No failed request of this client has this reference."
            if reference
            else "No request of this client has failed recently."
        )
    else:
        for row in rows:
            _print_event(row)


@clients.command("rotate-secret")
@click.argument("client_id")
@click.option("--overlap", default="7d", show_default=True, help="How long the old secret still works: 30m, 12h, 7d.")
@secret_file_option
@json_option
@in_transaction
def clients_rotate_secret(*, client_id: str, overlap: str, secret_file: Path | None, as_json: bool) -> None:
    """Give an application a new secret, shown once. The old one stays valid for the overlap; 0d ends it at once."""
    overlap_duration = duration(overlap, "--overlap")
    secret = registry.rotate_secret(client_id, overlap=overlap_duration, by=acting_operator())
    _print_client(registry.find(client_id), secret, secret_file, as_json=as_json, done="given a new secret")
    if not as_json:
        click.echo(f"Its old secret works until {format_time(clock.now() + overlap_duration)} at the latest.")


@clients.command("event-header")
@click.argument("client_id")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file whose only line is the header; without it the command asks for it.",
)
@click.option("--remove", is_flag=True, help="Send no such header any more.")
@in_transaction
def clients_event_header(*, client_id: str, file: Path | None, remove: bool) -> None:
    """Set the Authorization header with which events are pushed to an application, such as: Bearer 8Zb...

    It is stored encrypted and never shown. It is removed when the URL for events changes.
    """
    event_streams.check_pushed(client_id)  # before it is typed
    header = None
    if not remove:
        header = file.read_text("utf-8").rstrip("\r\n") if file else click.prompt("Authorization", hide_input=True)
    event_streams.set_authorization(client_id, header, by=acting_operator())
    click.echo(f"Events are pushed to {client_id} {'without the' if remove else 'with this'} Authorization header.")


@clients.command("disable")
@click.argument("client_id")
@in_transaction
def clients_disable(*, client_id: str) -> None:
    """Stop an application at once: no sign-ins, no tokens, and those it holds are refused."""
    registry.disable(client_id, by=acting_operator())
    click.echo(f"{client_id} is disabled; `idp clients enable {client_id}` undoes it.")


@clients.command("enable")
@click.argument("client_id")
@in_transaction
def clients_enable(*, client_id: str) -> None:
    """Let a disabled application work again, under the agreements schools have given it."""
    registry.enable(client_id, by=acting_operator())
    click.echo(f"{client_id} is enabled.")


def _print_client(client: Client, secret: str | None, file: Path | None, *, as_json: bool, done: str) -> None:
    """Print what was done, and the secret, unless it is written to `file`."""
    if secret and file:
        write_secret(file, secret)
    printed_secret = secret if not file else None
    if as_json:
        show_json({"client_id": client.id, "client_secret": printed_secret, "secret_file": str(file) if file else None})
        return
    click.echo(f"{client.client_name} of {client.partner_name} is {done}.")
    click.echo(f"client_id      {client.id}")
    if printed_secret:
        click.echo(f"client_secret  {printed_secret}")
        click.echo("The secret is not shown again. If it is lost: idp clients rotate-secret " + client.id)
    elif secret:
        click.echo(f"The secret is in {file}, which only you can read.")


def _partner_row(partner: Partner) -> dict[str, Any]:
    return {
        "name": partner.name, "website": partner.website, "contact_email": partner.contact_email,
        "enabled": partner.disabled_at is None, "created_at": partner.created_at,
    }  # fmt: skip


def _event_row(event: ClientEvent) -> dict[str, Any]:
    return {
        "last_at": event.last_at, "first_at": event.first_at, "count": event.count, "endpoint": event.endpoint,
        "error": event.error, "parameter": event.parameter or None, "fact": event.fact, "comparison": event.comparison,
        "references": event.request_ids.split(),
    }  # fmt: skip


def _print_event(row: dict[str, Any]) -> None:
    times = "" if row["count"] == 1 else f"  {row['count']} times since {format_time(row['first_at'])}"
    click.echo(f"{format_time(row['last_at'])}  {row['endpoint']}  {row['error']}{times}")
    click.echo(f"  {row['parameter']}: {row['fact']}" if row["parameter"] else f"  {row['fact']}")
    if row["references"]:
        click.echo(f"    references  {' '.join(row['references'])}")
    for index, difference in enumerate(row["comparison"] or ()):
        if not index:
            click.echo(f"    sent        {difference['sent']}")
        click.echo(f"    registered  {difference['registered']}  (differs in {', '.join(difference['differs_in'])})")


def _client_row(client: Client) -> dict[str, Any]:
    """A registration under the manifest's names, then the partner's state and the secrets' dates."""
    columns = {column.key: getattr(client, column.key) for column in Client.__table__.columns}
    del columns["logo_uri"]  # not accepted any more; the previous release reads the column
    identity = {"client_id": columns.pop("id"), "partner": client.partner_name}
    del columns["partner_id"]
    if columns["events_authorization"] is not None:
        columns["events_authorization"] = "is set, and not shown"
    for name, value in columns.items():
        if isinstance(value, frozenset):
            is_scopes = name.endswith("_scopes")
            columns[name] = scopes.format(value).split() if is_scopes else sorted(value)
    secrets = [
        f"made {secret.created_at:%Y-%m-%d}" + (f", ends {format_time(secret.expires_at)}" if secret.expires_at else "")
        for secret in registry.secrets_of(client.id)
    ]
    return identity | columns | {"partner_enabled": client.partner.disabled_at is None, "secrets": secrets}


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else format_time(value) if isinstance(value, datetime) else str(value)
