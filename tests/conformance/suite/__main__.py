"""`python -m tests.conformance.suite`: prepare a test machine for the OpenID Foundation's conformance suite.

* `prepare`     registers the clients, the person and the initial access token of `config/conformance.toml`
* `plans`       the suite's configurations, with the controls of our pages for its browser

docs/conformance.md has the next steps. The tests beside this folder use `prepare` too.
"""

import json
from pathlib import Path

import click

from idp.app import create_app
from idp.foundation import runtime
from idp.foundation.command import in_transaction
from idp.foundation.setting_types import ROOT
from idp.partners.cli_options import write_secret
from tests.conformance.suite import plans, prepare


@click.command()
@click.option("--suite", help="The suite's URL with its alias; that of config/conformance.toml otherwise.")
@click.option("--api", help="The URL at which the suite reaches `python -m clients.xporter`.")
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write the suite's configurations to; var/conformance beside the product otherwise.",
)  # fmt: skip
@in_transaction
def main(*, suite: str | None, api: str | None, into: Path | None) -> None:
    """Register the suite's clients and its person, and write a configuration for each of its plans.

    Run again, it replaces them: secrets, keys and password are new each time. Production refuses it.
    """
    prepared = prepare.prepare_all(suite, api)
    folder = into or ROOT / "var" / "conformance"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, configuration in plans.all_configurations(prepared).items():
        write_secret(folder / name, json.dumps(configuration, indent=2))
        click.echo(f"wrote {folder / name}")
    click.echo(f"The suite at {prepared.suite} finds its clients at {runtime.settings().server.issuer}.")


if __name__ == "__main__":
    main(obj=create_app, prog_name="python -m tests.conformance.suite")
