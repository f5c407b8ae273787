"""The list of schools that a browser fetches while a person types."""

import pytest

from idp.foundation.web.throttle import limiter


@pytest.fixture
def type_ahead(register, web):
    """`type_ahead("…")` is the response for what has been typed so far."""
    return lambda text: web.get("/schools/search.json", query_string={"q": text})


def test_each_school_in_the_list_has_its_place_number_and_status(type_ahead):
    response = type_ahead("312/4567").json

    assert response["more"] is False
    (school,) = response["results"]
    assert school.pop("id") > 0
    assert school == {
        "name": "Willow Bank Primary School",
        "place": "Willow Bank Lane, Uxbridge, UB8 1WB",
        "urn": "900001",
        "dfe_number": "312/4567",
        "phase": "Primary",
        "status": "Open",
        "can_register": True,
    }


def test_the_list_has_eight_schools_and_says_whether_there_are_more(type_ahead):
    response = type_ahead("school").json

    assert (len(response["results"]), response["more"]) == (8, True)


def test_a_closed_school_is_in_the_list_as_closed(type_ahead):
    (school,) = type_ahead("last bell").json["results"]

    assert (school["status"], school["can_register"]) == ("Closed on 31 August 2020", False)


def test_the_list_may_be_cached_publicly_and_sets_no_cookie(type_ahead):
    response = type_ahead("willow")

    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("text", ["", "x", "\0", "%00", "ﬀ" * 5000, "\ud83c", "%", "_", "12345678901"])
def test_no_typed_text_is_an_error(type_ahead, text):
    response = type_ahead(text.encode("utf-8", "surrogatepass"))

    assert response.status_code == 200
    assert response.json["results"] == []


def test_without_a_register_nothing_is_found(web):
    assert web.get("/schools/search.json?q=school").json == {"results": [], "more": False}


def test_the_list_does_not_name_head_teachers(type_ahead, sample):
    text = type_ahead("school").get_data(as_text=True)

    assert not [row["HeadLastName"] for row in sample if f"{row['HeadFirstName']} {row['HeadLastName']}" in text]


def test_one_ip_address_is_limited_after_1200_searches(web, register, change_settings):
    change_settings(throttle={"factor": 1})
    limiter.reset()
    statuses = [web.get("/schools/search.json?q=x").status_code for _ in range(1201)]
    limiter.reset()

    assert set(statuses[:1200]) == {200}
    assert statuses[1200] == 429
