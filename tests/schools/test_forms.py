"""The page that finds a school, without JavaScript."""

import pytest

from tests.html import parse


class Page:
    """The response of the search page, and its elements."""

    def __init__(self, response):
        self.status = response.status_code
        self.location = response.headers.get("Location", "")
        self.html = parse(response.get_data(as_text=True))
        self.text = " ".join(self.html.get_text(" ").split())

    @property
    def radios(self):
        """The names of the schools that can be chosen, by id."""
        return {
            radio["value"]: self.html.find("label", {"for": radio["id"]}).get_text(strip=True)
            for radio in self.html.select("input[type=radio][name=school]:not([disabled])")
        }

    @property
    def selected(self):
        return [radio["value"] for radio in self.html.select("input[type=radio][checked]")]


@pytest.fixture
def page(register, web):
    """`page(q="…")` is the search page for that query."""
    return lambda **query: Page(web.get("/register", query_string=query))


def test_the_first_page_has_four_labelled_fields_and_no_results(page):
    first_page = page()

    labels = {label["for"]: label.get_text(strip=True) for label in first_page.html.select("label[for]")}
    assert labels == {
        "q": "Your school's name, postcode, DfE number or URN",
        "postcode": "School postcode",
        "dfe_number": "DfE number",
        "urn": "School URN",
    }
    assert first_page.status == 200
    assert not first_page.radios


def test_every_page_names_the_licence_the_source_and_the_date_of_the_register(page):
    for shown in (page(), page(q="willow"), page(q="nowhere at all xyz")):
        assert "Contains public sector information licensed under the Open Government Licence v3.0" in shown.text
        assert "Get Information about Schools , Department for Education, register of 28 April 2024." in shown.text


@pytest.mark.parametrize(
    "query", [{"q": "312/4567"}, {"dfe_number": "3124567"}, {"urn": "900001"}, {"postcode": "ub8 1wb"}]
)
def test_each_field_finds_the_school_and_selects_the_only_one(page, query):
    results = page(**query)

    assert list(results.radios.values()) == ["Willow Bank Primary School"]
    assert results.selected == list(results.radios)
    for detail in ("Willow Bank Lane, Uxbridge, UB8 1WB", "URN 900001", "312/4567", "Primary · Open"):
        assert detail in results.text


def test_the_typed_text_stays_in_its_field(page):
    assert page(q="st josephs").html.find(id="q")["value"] == "st josephs"
    assert page(postcode="b78").html.find(id="postcode")["value"] == "b78"
    assert page(postcode="b78").html.find("details").has_attr("open")


def test_of_several_matches_none_is_selected_at_first(page):
    results = page(q="st josephs")

    assert len(results.radios) == 6
    assert results.selected == []
    school_id = list(results.radios)[3]
    assert page(q="st josephs", school=school_id).selected == [school_id]


def test_next_continues_with_the_chosen_school(page):
    results = page(q="312/4567")

    response = page(q="312/4567", school=results.selected[0], choose="1", next="/oauth/authorize?client_id=x")

    assert response.status == 303
    assert f"school={results.selected[0]}" in response.location
    assert "next=/oauth/authorize" in response.location.replace("%2F", "/")


def test_next_without_a_chosen_school_is_an_error_above_the_same_list(page):
    results = page(q="st josephs", choose="1")

    assert results.html.select_one(".error-summary a")["href"] == "#school"
    assert "Select your school from the list." in results.text
    assert len(results.radios) == 6


def test_a_closed_school_cannot_be_chosen_by_its_id(page):
    closed = page(q="last bell").html.select_one("section[id^=school-]")["id"].removeprefix("school-")

    results = page(q="last bell", school=closed, choose="1")

    assert "This school has closed" in results.html.select_one(".error-summary").get_text()


@pytest.mark.parametrize("query", [{"q": ""}, {"q": " ", "choose": "1"}, {"postcode": "", "dfe_number": "", "urn": ""}])
def test_an_empty_search_says_what_to_type(page, query):
    results = page(**query)

    assert "Type your school's name, postcode, DfE number or URN." in results.text


def test_a_single_letter_is_not_searched_for(page):
    results = page(q="x")

    assert "Type at least two letters or digits." in results.text


def test_the_result_for_a_closed_school_says_since_when_and_offers_its_successor(page):
    results = page(urn="900109")

    assert "Closed on 31 August 2018" in results.text
    assert list(results.radios.values()) == ["Birch Green Academy"]
    assert "Follows Birch Green Primary School" in results.text
    assert results.selected == list(results.radios)


def test_the_result_for_a_closed_school_without_successor_explains_what_to_do(page):
    results = page(q="last bell")

    assert "so it cannot register. The register does not say which school followed it." in results.text
    assert "If your school now has a new name or a new number, search for that." in results.text
    assert results.html.select("#school a[href^='mailto:']")
    assert not results.html.select("input[type=radio]")
    assert not results.html.find(id="next")


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"urn": "999999", "dfe_number": "3124567"}, "urn", "No school in the register has the URN 999999."),
        ({"urn": "nonsense", "dfe_number": "3124567"}, "urn", "A URN has five or six digits."),
        ({"postcode": "!!", "urn": "900001"}, "postcode", "Type a postcode"),
        ({"postcode": "ZZ9 9ZZ", "urn": "900001"}, "postcode", "No school in the register has the postcode ZZ9 9ZZ."),
        ({"postcode": "SW1P 4AU", "urn": "900001"}, "postcode", "different school"),
    ],
)
def test_an_invalid_field_beside_a_valid_number_is_reported(page, query, field, message):
    results = page(**query)

    assert message in results.html.find(id=f"{field}-error").get_text()
    assert [error["href"] for error in results.html.select(".error-summary a")] == [f"#{field}"]
    assert list(results.radios.values()) == ["Willow Bank Primary School"]
    assert results.html.find(id=field)["value"] == query[field]


def test_two_fields_find_the_school_that_matches_both(page):
    results = page(postcode="SW1P 4AU", dfe_number="", urn="")
    assert len(results.html.select("#school input[type=radio], #school section")) == 2
    school_id = next(iter(results.radios))
    urn = results.html.find(id=f"school-{school_id}-detail").get_text().split("URN ")[1][:6]

    assert list(page(postcode="SW1P 4AU", urn=urn).radios) == [school_id]


def test_every_successor_of_a_school_that_was_split_is_offered(page):
    assert list(page(q="great divide school").radios.values())[-2:] == [
        "Great Divide East Academy",
        "Great Divide West Academy",
    ]


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ("early bird school", "will be followed by Early Bird Academy on 1 September 2031."),
        ("gone before primary", "followed by Never Listed Academy, which is not in the register."),
        ("last bell", "The register does not say which school followed it."),
        ("ouroboros lower", "The register does not say which school followed it."),
        ("wharfside", "It was followed by Wharfside Academy."),
    ],
)
def test_a_successor_that_cannot_be_chosen_is_marked(page, closed, message):
    assert message in page(q=closed).text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Marram Children's Centre", "universities are in the register, but cannot register with us"),
        ("Garden Quarter Primary School", "Not open yet, opens on 1 September 2031"),
        ("Old Foundry School", "Open, closing on 31 December 2030"),
    ],
)
def test_the_result_describes_the_state_of_the_school(page, name, message):
    assert message in page(q=name).text


def test_a_corrected_word_and_a_dropped_one_are_mentioned(page):
    assert 'No school has "wilow" in its name, so we looked for "willow".' in page(q="wilow bank").text
    assert 'so we left out "leeds".' in page(q="willow bank leeds").text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"urn": "999999"}, "We looked for the URN 999999"),
        ({"postcode": "ZZ1 1ZZ"}, "We looked for the postcode ZZ1 1ZZ"),
        ({"q": "xylophonique"}, 'We looked for the name or town "xylophonique"'),
    ],
)
def test_a_search_without_results_says_what_was_looked_for_and_where_else_to_look(page, query, message):
    without_results = page(**query)

    assert message in without_results.text
    assert without_results.html.find("a", href="https://get-information-schools.service.gov.uk/")
    assert without_results.html.find("a", href=lambda href: href and href.startswith("mailto:"))
    assert without_results.status == 200


def test_show_more_shows_more_results_of_the_same_search(page, web):
    results = page(q="school", next="/oauth/authorize")
    more = results.html.find("a", string="Show more schools")["href"]

    assert len(results.html.select("input[type=radio]")) == 20
    assert "More than 20 schools found" in results.text
    further = Page(web.get(more.split("#")[0]))
    assert len(further.html.select("input[type=radio]")) >= 40
    assert further.html.find("input", {"name": "next"})["value"] == "/oauth/authorize"


@pytest.mark.parametrize(
    "query",
    [
        {"q": "\0"}, {"q": "<script>alert(1)</script>"}, {"q": "school", "show": "9" * 5000},
        {"q": "school", "show": "-1"}, {"q": "school", "show": "x"},
        {"q": "school", "school": "9" * 30, "choose": "1"}, {"q": "school", "school": "x", "choose": "1"},
        {"q": "x" * 2000}, {"urn": "\uff19\uff10\uff10"}, {"postcode": "'"}, {"school": "1"}, {"choose": "1"},
    ],
)  # fmt: skip
def test_unusual_input_gives_a_page_or_404_without_its_script(page, query):
    results = page(**query)

    assert results.status in {200, 404}
    assert not results.html.find("script", string=True)


def test_ids_of_elements_on_a_page_of_results_are_unique(page):
    for query in ("great divide", "confluence", "chain lane", "school"):
        ids = [tag["id"] for tag in page(q=query).html.select("[id]")]
        assert len(ids) == len(set(ids)), query
