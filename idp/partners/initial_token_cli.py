"""`idp clients initial-token`: let a partner register clients of its own."""

from pathlib import Path
from typing import Any

import click

from idp.foundation import scopes
from idp.foundation.command import acting_operator, format_time, in_transaction, json_option, show, show_json
from idp.partners import initial_tokens
from idp.partners.cli_options import duration, secret_file_option, write_secret
from idp.partners.models import InitialAccessToken

COLUMNS = ["id", "partner", "profile", "state", "used", "most", "expires_at"]


@click.group("initial-token")
def initial_token() -> None:
    """Initial access tokens: with one, a partner registers clients of its own, within the limits of the token."""


@initial_token.command("issue")
@click.argument("partner")
@click.option("--required", default="", help='Scopes that come with agreeing, separated by spaces: "openid email".')
@click.option("--optional", default="", help="Scopes that are a school's own choice.")
@click.option("--client", "client_scopes", default="", help="Scopes for the client itself, such as schools.list.")
@click.option("--profile", type=click.Choice(["oidc", "fapi2"]), default="oidc", show_default=True)
@click.option("--pkce/--no-pkce", default=True, help="Whether PKCE is required; public clients always need it.")
@click.option(
    "--max-clients", type=click.IntRange(1, 100_000), default=1, show_default=True,
    help="How many clients may be registered with it.",
)  # fmt: skip
@click.option("--lasts", default="7d", show_default=True, help="How long it can be used: 12h, 7d.")
@secret_file_option
@json_option
@in_transaction
def issue(
    *, partner: str, required: str, optional: str, client_scopes: str, profile: str, pkce: bool, max_clients: int,
    lasts: str, secret_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Issue a token for the company PARTNER. It is shown once, and never again: we keep only a digest."""
    scopes_by_kind = {
        "required": set(required.split()),
        "optional": set(optional.split()),
        "client": set(client_scopes.split()),
    }
    limits = {"profile": profile, "scopes": scopes_by_kind, "require_pkce": pkce, "most": max_clients}
    row, token = initial_tokens.issue(partner, limits, lasts=duration(lasts, "--lasts"), by=acting_operator())
    if secret_file:
        write_secret(secret_file, token)
    printed_token = None if secret_file else token
    if as_json:
        file = str(secret_file) if secret_file else None
        show_json(_token_row(row) | {"initial_access_token": printed_token, "secret_file": file})
        return
    click.echo(f"{row.partner.name} may register {row.most} client(s) until {format_time(row.expires_at)}.")
    click.echo(f"id     {row.id}")
    click.echo(f"token  {printed_token or f'is in {secret_file}, which only you can read'}")


@initial_token.command("list")
@json_option
@in_transaction
def list_tokens(*, as_json: bool) -> None:
    """List all tokens, what they allow, and how many clients were registered with them."""
    rows = [_token_row(row) for row in initial_tokens.all_tokens()]
    show(rows, COLUMNS, as_json=as_json, empty="No initial access token was issued yet.")


@initial_token.command("revoke")
@click.argument("token_id", metavar="ID")
@in_transaction
def revoke(*, token_id: str) -> None:
    """Revoke the token ID: no more clients are registered with it. Those that were stay."""
    row = initial_tokens.revoke(token_id, by=acting_operator())
    click.echo(f"{row.id} of {row.partner.name} is revoked. It registered {row.used} client(s), which keep working.")


def _token_row(row: InitialAccessToken) -> dict[str, Any]:
    kinds = {"required": row.required_scopes, "optional": row.optional_scopes, "client": row.client_scopes}
    return {
        "id": row.id, "partner": row.partner.name, "profile": row.profile, "state": initial_tokens.state(row),
        "used": row.used, "most": row.most, "require_pkce": row.require_pkce, "created_at": row.created_at,
        "expires_at": row.expires_at, **{f"{kind}_scopes": scopes.format(names) for kind, names in kinds.items()},
    }  # fmt: skip
