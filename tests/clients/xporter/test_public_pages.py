"""Pages for people who open a URL of XporterOnDemand in a browser."""

from clients.xporter.problems import KINDS
from tests.html import parse


def test_the_front_page_links_to_the_documentation_and_to_each_problem(api):
    page = parse(api.get("/").text)

    assert page.h1.text == "An API for schools' data"
    linked = [link["href"] for link in page.find_all("a")]
    assert "https://idp.example/developers" in linked
    assert {f"/problems/{code}" for code in KINDS} <= set(linked)


def test_each_problem_has_a_page_that_says_what_to_do(api):
    for code, kind in KINDS.items():
        page = parse(api.get(f"/problems/{code}").text)
        assert (page.h1.text, kind.action in page.text) == (kind.title, True)
    assert api.get("/problems/none").status_code == 404
