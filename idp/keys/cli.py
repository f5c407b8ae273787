"""`idp keys`: list, rotate and retire the signing keys."""

import click

from idp.foundation import runtime
from idp.foundation.command import acting_operator, in_transaction, json_option, show
from idp.keys import ring


@click.group("keys")
def commands() -> None:
    """List, rotate and retire the signing keys.

    A key is published before it signs, and verifies after it was replaced: rotating makes no token invalid.
    """


@commands.command("list")
@json_option
@in_transaction
def listed(*, as_json: bool) -> None:
    """List all keys, newest first.

    State: `next` is published and will sign, `signing` signs, `verifying` was replaced and waits for its last
    token to expire, `expired` and `retired` verify nothing.
    """
    columns = ("kid", "alg", "state", "created_at", "signs_from", "verifies_until", "retired_at")
    show(ring.list_keys(), columns, as_json=as_json, empty="There are no keys; `idp keys rotate` makes them.")


@commands.command()
@click.option("--alg", type=click.Choice(ring.ALGS), help="Only the key of this algorithm; each of them otherwise.")
@click.option("--now", "at_once", is_flag=True, help="Let the new key sign at once, because the old one has leaked.")
@in_transaction
def rotate(alg: str | None, *, at_once: bool) -> None:
    """Publish a new key, which takes over when every partner has had time to fetch it.

    With --now it takes over at once; tokens of the old key stay valid until they expire or you retire it.
    """
    wait = 0 if at_once else runtime.settings().keys.publish_before
    for algorithm in (alg,) if alg else ring.ALGS:
        kid = ring.rotate(algorithm, by=acting_operator(), at_once=at_once)
        click.echo(f"{algorithm}: {kid} is published and signs " + (f"in {wait} seconds." if wait else "now."))


@commands.command()
@click.argument("kid")
@click.option("--yes", is_flag=True, help="Do not ask.")
def retire(kid: str, *, yes: bool) -> None:
    """End the key KID now. The key that signs cannot be retired: rotate first."""
    _check(kid)
    if not yes:
        click.confirm("Every token this key signed will be refused from now on. Retire it?", abort=True)
    _retire(kid)


@in_transaction
def _check(kid: str) -> None:
    ring.check_retirable(kid)


@in_transaction
def _retire(kid: str) -> None:
    ring.retire(kid, by=acting_operator())
    click.echo(f"{kid} is retired.")
