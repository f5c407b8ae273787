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


def test_any_cache_may_keep_it_and_any_page_may_read_it(web):
    first = web.get("/api/scopes", headers={"Origin": "https://docs.example"})

    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    again = web.get("/api/scopes", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_it_needs_no_token_and_says_so(web):
    operation = web.get("/api/openapi.json").json["paths"]["/api/scopes"]["get"]

    assert operation["security"] == []
    assert "401" not in operation["responses"]
