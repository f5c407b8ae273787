"""What a person at the server sees: the code to approve, and the progress of an extract."""

import sys

import click
import segno

from .provider import DeviceCode

CLEAR_LINE = "\r\x1b[K"


class Terminal:
    """Shows progress: on a terminal in one line that is rewritten, otherwise in a line for each collection."""

    def __init__(self) -> None:
        self._is_live = sys.stdout.isatty()
        self._last = ""

    def reading(self, collection: str, count: int) -> None:
        """See `agent.View.reading`."""
        text = f"Reading {collection.replace('_', ' ')}: {count:,}"
        if self._is_live:
            click.echo(f"{CLEAR_LINE}{text}", nl=False)
        elif collection != self._last:
            click.echo(f"Reading {collection.replace('_', ' ')}")
        self._last = collection

    def sending(self, sent: int, total: int) -> None:
        """See `agent.View.sending`."""
        percent = 100 * sent // total if total else 100
        if self._is_live:
            click.echo(f"{CLEAR_LINE}Sending: {percent} % of {total / 1e6:.1f} MB", nl=sent == total)
        else:
            click.echo(f"Sending: {percent} %")


def show_code(code: DeviceCode) -> None:
    """Show the code, the link, and the link as a QR code for a telephone."""
    minutes = code.expires_in // 60
    click.echo("\nOpen this page in a browser, on any computer or telephone:\n")
    click.echo(f"    {code.verification_uri}\n")
    click.echo("Sign in with the school's Estab ID and password, and type this code:\n")
    click.echo(f"    {code.user_code}\n")
    if sys.stdout.isatty():
        # A compact QR code is made of half blocks, which some consoles lack.
        is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        segno.make(code.verification_uri_complete, error="l").terminal(compact=is_unicode, border=2)
        click.echo("")
    click.echo(f"Or follow this link, which includes the code:\n\n    {code.verification_uri_complete}\n")
    click.echo(f"The page says which program asks and from where. The code is valid for {minutes} minutes. Waiting ...")
