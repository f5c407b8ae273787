"""`GET /api/register/schools`: the school search of the registration page, for partners' own fields."""

import pytest

from idp.foundation.web import throttle
from idp.schools import index
from tests.factories import a_school


@pytest.fixture(autouse=True)
def schools(transaction):
    with transaction():
        willowbank = a_school(name="Willowbank School", town="Norwich", postcode="NR4 6JT", postcode_key="NR46JT")
        willow_lane = a_school(name="Willow Lane School", status_code="2", status_name="Closed")
        index.add({willowbank.id: {"willowbank", "school"}, willow_lane.id: {"willow", "lane", "school"}}, index.load())
        index.refresh_counts()


def test_schools_are_found_by_the_beginning_of_a_word(program):
    response = program.get("/api/register/schools?q=willo").json
    assert response["searched_as"] == "name"
    assert {school["name"]: school["can_register"] for school in response["schools"]} == {
        "Willowbank School": True, "Willow Lane School": False,
    }  # fmt: skip
    [found] = program.get("/api/register/schools?q=NR4+6JT").json["schools"]
    assert found["address"] == {"street": "1 High Street", "town": "Norwich", "postcode": "NR4 6JT"}
    assert set(found) == {
        "name", "urn", "dfe_number", "phase", "type", "status", "address", "local_authority", "can_register",
    }  # fmt: skip


def test_no_more_schools_are_returned_than_the_limit(program):
    response = program.get("/api/register/schools?q=willow&limit=1").json
    assert (len(response["schools"]), response["more"]) == (1, True)


def test_a_search_without_results_returns_an_empty_list(program):
    assert program.get("/api/register/schools?q=zzzzzz").json == {
        "schools": [], "more": False, "searched_as": "name",
    }  # fmt: skip


def test_a_search_needs_a_token_of_client_credentials_with_any_scope(program, new_program):
    program.request_token("invitations").get("/api/register/schools?q=willow")
    assert new_program().get("/api/register/schools?q=willow", status=401).json["code"] == "invalid_token"


def test_the_limit_of_1200_searches_a_minute_is_per_client(program, new_program, change_settings, app):
    change_settings(throttle={"factor": 1})
    other = new_program().request_token()
    with app.app_context():
        for _ in range(1199):
            throttle.count(1200, "search_register", program.partner.id)
    program.get("/api/register/schools?q=")
    refused = program.get("/api/register/schools?q=", status=429)
    assert refused.json["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 90
    other.get("/api/register/schools?q=")
