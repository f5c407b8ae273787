"""The catalogue of the provider decides which members are given out; without one, none is."""

import copy
import json
from dataclasses import replace

import pytest

from clients.xporter.app import create_app
from clients.xporter.fields import Catalogue, InvalidCatalogue
from tests.clients.xporter.school_data import DATA_SCOPES, PUBLISHED, SCOPE_OF


def restart(settings, provider, granted):
    """The program after a restart, with the same access of requests."""
    app = create_app(settings, http=provider)
    app.extensions["xporter"] = replace(app.extensions["xporter"], tokens=granted)
    return app


def without(member):
    """The catalogue as it would be published without a member."""
    changed = copy.deepcopy(PUBLISHED)
    for entry in changed["scopes"]:
        for field in entry["fields"]:
            field["members"] = [name for name in field["members"] if name != member]
    return changed


def test_every_member_that_is_published_has_its_scope():
    catalogue = Catalogue(PUBLISHED)
    assert catalogue.scopes == set(DATA_SCOPES)
    for name, scope in SCOPE_OF.items():
        collection, member = name.split(".")
        assert member in catalogue.granted(collection, frozenset({scope}))
        assert member not in catalogue.granted(collection, frozenset(DATA_SCOPES) - {scope})


def test_without_a_catalogue_requests_are_refused_until_one_is_fetched(api, stored, provider, monkeypatch):
    published = provider.documents.pop("/api/scopes")
    for url in ("/v1/students", "/v1/schools/me", "/v1/students/student-0001"):
        refused = api.get(url)
        assert (refused.status_code, refused.json["code"]) == (503, "temporarily_unavailable")
        assert refused.headers["Retry-After"] == "5"
    provider.documents["/api/scopes"] = published
    monkeypatch.setattr(stored.fields, "_refresh_at", float("-inf"))
    assert api.get("/v1/students").status_code == 200


def test_the_last_valid_catalogue_is_used_after_a_restart_without_the_provider(
    api, stored, granted, settings, provider
):
    assert api.get("/v1/students").status_code == 200
    provider.introspection = None  # it cannot be reached
    restarted = restart(settings, provider, granted)
    assert restarted.test_client().get("/v1/students").status_code == 200
    restarted.extensions["xporter"].close()


def test_after_a_restart_a_newer_catalogue_is_fetched_before_the_stored_one_is_used(
    api, stored, granted, settings, provider
):
    assert "upn" in api.get("/v1/students/student-0001").json
    provider.documents["/api/scopes"] = without("students.upn")
    restarted = restart(settings, provider, granted)
    assert "upn" not in restarted.test_client().get("/v1/students/student-0001").json
    restarted.extensions["xporter"].close()


def test_a_member_that_is_no_longer_published_is_left_out(api, stored, granted, provider, monkeypatch):
    granted.grant("students")
    assert "upn" in api.get("/v1/students/student-0001").json
    provider.documents["/api/scopes"] = without("students.upn")
    monkeypatch.setattr(stored.fields, "_refresh_at", float("-inf"))
    stored.fields.refresh()
    assert "upn" not in api.get("/v1/students/student-0001").json


@pytest.mark.parametrize(
    "document",
    [
        {}, [], None, {"scopes": []}, {"scopes": [{"scope": "a", "kind": "data"}]},
        {"scopes": [{"scope": "a", "kind": "data", "fields": [{"members": ["s.x"]}, {"members": ["s.x"]}]}]},
        {"scopes": [{"scope": "a", "kind": "data", "fields": [{"members": ["s.id"]}]}]},
        {"scopes": [{"scope": "a", "kind": "data", "fields": [{"members": ["x"]}]}]},
        {"scopes": [{"scope": "a", "kind": "identity", "fields": [{"members": ["s.x"]}]}]},
    ],
)  # fmt: skip
def test_an_invalid_catalogue_is_refused_and_the_one_before_stays(api, stored, provider, monkeypatch, document):
    with pytest.raises(InvalidCatalogue):
        Catalogue(document)
    assert api.get("/v1/students").status_code == 200
    provider.documents["/api/scopes"] = document
    monkeypatch.setattr(stored.fields, "_refresh_at", float("-inf"))
    stored.fields.refresh()
    assert "upn" in api.get("/v1/students/student-0001").json


def test_a_stored_catalogue_that_is_damaged_is_fetched_again(settings, provider, granted, stored, api):
    assert api.get("/v1/students").status_code == 200
    (settings.data / "scopes.json").write_text("{")
    restarted = restart(settings, provider, granted)
    assert restarted.test_client().get("/v1/students").status_code == 200
    assert json.loads((settings.data / "scopes.json").read_text()) == PUBLISHED
    restarted.extensions["xporter"].close()
