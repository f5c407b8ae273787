"""The catalogue of scopes as partners and resource servers read it."""

from idp.foundation import scopes


def test_the_catalogue_names_the_members_that_each_title_stands_for(web):
    response = web.get("/api/scopes")

    listed = {entry["scope"]: entry for entry in response.json["scopes"]}
    assert list(listed) == list(scopes.catalogue())
    assert listed["students"]["kind"] == "data"
    assert {"title": "UPN", "members": ["students.upn"]} in listed["students"]["fields"]
    assert listed["students.sen"]["special_category"] is True
    assert listed["profile"]["fields"] == [{"title": "Name", "members": []}, {"title": "Username", "members": []}]


def test_the_catalogue_may_be_cached_by_anyone_and_read_by_any_page(web):
    first = web.get("/api/scopes", headers={"Origin": "https://docs.example"})

    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    again = web.get("/api/scopes", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_catalogue_is_described_as_needing_no_token(web):
    operation = web.get("/api/openapi.json").json["paths"]["/api/scopes"]["get"]

    assert operation["security"] == []
    assert "401" not in operation["responses"]
