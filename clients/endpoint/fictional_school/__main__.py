"""The command: makes the school, changes it, serves it."""

import json
from pathlib import Path

import click

from . import changes, exports, server
from .school import build

MIS = tuple(exports.EXPORTS)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--pupils", default=600, show_default=True, type=click.IntRange(1, 5000))
@click.option("--seed", default=1, show_default=True, help="The same number makes the same school.")
@click.option("--mis", type=click.Choice(MIS), multiple=True, help="Write this system's export only; may be repeated.")
@click.option("--change", type=click.Choice(changes.CHANGES), help="Let something happen in the school that is there.")
@click.option("--serve", "port", type=click.IntRange(0, 65535), help="Serve Arbor's and iSAMS' answers on this port.")
def main(folder: Path, pupils: int, seed: int, mis: tuple[str, ...], change: str | None, port: int | None) -> None:
    """Write what each MIS of a fictional school exports into FOLDER, each in a folder of its own."""
    notes = folder / "school.json"
    made = json.loads(notes.read_text("utf-8")) if notes.exists() else None
    if change and made is None:
        raise click.UsageError(f"There is no school in {folder} yet. Make it first, without --change.")
    if made is None or not (change or port is not None):
        made = {"pupils": pupils, "seed": seed, "mis": list(mis or MIS), "changes": []}
        _write(folder, made)
        click.echo(
            f"A fictional school of {made['pupils']} pupils: {', '.join(str(folder / name) for name in made['mis'])}"
        )
    if change:
        made["changes"].append(change)
        click.echo(_write(folder, made))
    if port is not None:
        with server.make_server(folder, port) as serving:
            at = f"http://127.0.0.1:{serving.server_port}"
            click.echo(f"Arbor and iSAMS at {at}, username {server.USERNAME}, password {server.PASSWORD}. Ctrl-C ends.")
            serving.serve_forever()


def _write(folder: Path, made: dict[str, object]) -> str:
    """Build the school anew with all its changes, and write it; returns what happened last."""
    school, happened = build(int(str(made["pupils"])), int(str(made["seed"]))), ""
    for change in made["changes"] if isinstance(made["changes"], list) else ():
        happened = changes.apply(school, change)
    for name in made["mis"] if isinstance(made["mis"], list) else ():
        exports.write(school, folder / name, name)
    (folder / "school.json").write_text(json.dumps(made), "utf-8")
    return happened


if __name__ == "__main__":
    main()
