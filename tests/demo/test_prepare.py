"""The data of a demonstration."""

import subprocess

import pytest

from idp.demo import prepare, services
from idp.partners import manifest as manifests


def test_the_partners_registration_has_its_port(app):
    moved = prepare.manifest_at("http://localhost:6001")

    with app.app_context():
        manifests.parse_manifest(moved)
    assert moved["redirect_uris"] == ["http://localhost:6001/callback"]
    assert "5001" not in str(moved)
    assert moved["client_uri"] == "https://assembly.example"


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """The folder of the scripts."""
    for name in ("COMMAND", "SERVER_COMMAND", "MIS_COMMAND"):
        monkeypatch.setattr(services, name, tmp_path / getattr(services, name).name)
    prepare._write_commands(services.from_environment({}))
    return tmp_path


def test_scripts_do_not_import_packages_of_the_folder_in_which_they_are_run(scripts, tmp_path):
    for name in ("idp", "clients"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / "elsewhere" / name / "__init__.py").write_text("raise SystemExit('another checkout')", "utf-8")

    for name in ("idp", "school-server", "school-mis"):
        done = subprocess.run(
            [scripts / name, "--help"], cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_script_finds_files_in_the_folder_in_which_it_is_run(scripts, tmp_path):
    (tmp_path / "mine.toml").write_text("client_name = [", "utf-8")

    done = subprocess.run(
        ["./idp", "clients", "register", "mine.toml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "mine.toml" in done.stderr
    assert "does not exist" not in done.stderr
