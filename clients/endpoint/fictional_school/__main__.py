"""The command that makes a fictional school, changes it, and serves it."""

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
@click.option("--change", type=click.Choice(changes.CHANGES), help="Change the school that was written before.")
@click.option("--serve", "port", type=click.IntRange(0, 65535), help="Serve Arbor's and iSAMS' responses on this port.")
def main(folder: Path, pupils: int, seed: int, mis: tuple[str, ...], change: str | None, port: int | None) -> None:
    """Write what each MIS of a fictional school exports into FOLDER, each in a folder of its own."""
    settings_file = folder / "school.json"
    settings = json.loads(settings_file.read_text("utf-8")) if settings_file.exists() else None
    if change and settings is None:
        raise click.UsageError(f"There is no school in {folder} yet. Make it first, without --change.")
    if settings is None or not (change or port is not None):
        settings = {"pupils": pupils, "seed": seed, "mis": list(mis or MIS), "changes": []}
        _write(folder, settings)
        folders = ", ".join(str(folder / name) for name in settings["mis"])
        click.echo(f"A fictional school of {settings['pupils']} pupils: {folders}")
    if change:
        settings["changes"].append(change)
        click.echo(_write(folder, settings))
    if port is not None:
        with server.make_server(folder, port) as serving:
            url = f"http://127.0.0.1:{serving.server_port}"
            sign_in = f"username {server.USERNAME}, password {server.PASSWORD}"
            click.echo(f"Arbor and iSAMS at {url}, {sign_in}. Ctrl-C ends.")
            serving.serve_forever()


def _write(folder: Path, settings: dict[str, object]) -> str:
    """Build the school with all its changes, and write it; returns a sentence about the last change."""
    school, sentence = build(int(str(settings["pupils"])), int(str(settings["seed"]))), ""
    for change in settings["changes"] if isinstance(settings["changes"], list) else ():
        sentence = changes.apply(school, change)
    for name in settings["mis"] if isinstance(settings["mis"], list) else ():
        exports.write(school, folder / name, name)
    (folder / "school.json").write_text(json.dumps(settings), "utf-8")
    return sentence


if __name__ == "__main__":
    main()
