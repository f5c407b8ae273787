"""What a demonstration starts from."""

from idp.demo import prepare
from idp.partners import manifest as manifests


def test_the_partners_registration_follows_its_port(app):
    moved = prepare.manifest_at("http://localhost:6001")

    with app.app_context():
        manifests.validated(moved)
    assert moved["redirect_uris"] == ["http://localhost:6001/callback"]
    assert "5001" not in str(moved)
    assert moved["client_uri"] == "https://assembly.example"
