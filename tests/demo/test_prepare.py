"""What a demonstration starts from."""

import subprocess

from idp.demo import places, prepare
from idp.partners import manifest as manifests


def test_the_partners_registration_follows_its_port(app):
    moved = prepare.manifest_at("http://localhost:6001")

    with app.app_context():
        manifests.parse_manifest(moved)
    assert moved["redirect_uris"] == ["http://localhost:6001/callback"]
    assert "5001" not in str(moved)
    assert moved["client_uri"] == "https://assembly.example"


def test_the_command_takes_files_from_the_folder_in_which_it_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "COMMAND", tmp_path / "idp")
    prepare._write_command(places.chosen({}))
    (tmp_path / "mine.toml").write_text("client_name = [", "utf-8")

    done = subprocess.run(
        ["./idp", "clients", "register", "mine.toml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "mine.toml" in done.stderr
    assert "does not exist" not in done.stderr
