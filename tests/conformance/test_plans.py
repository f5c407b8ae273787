"""The commands that the suite's browser is given work our pages: here they are carried out, as the suite would."""

import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

import pytest

from idp.conformance import plans
from idp.foundation.web.transactions import work as a_request


@pytest.fixture
def written(served, known):
    with a_request(served[0]):
        return plans.everything(known)


class Player:
    """Follows the visits of a configuration: tasks by the address that is open, then their commands."""

    def __init__(self, browser, visits):
        self.browser, self.visits, self.pictures = browser, [dict(each) for each in visits], 0

    def goes_to(self, url):
        """Open `url` and do what the first visit that it matches says; what the partner got, or None."""
        visit = next(each for each in self.visits if fnmatchcase(url, each["match"]) and each.get("match-limit") != 0)
        if "match-limit" in visit:
            visit["match-limit"] -= 1
        arrived = self.browser.opens(url)
        for task in visit["tasks"]:
            here = self.browser.shown.url if arrived is None else arrived.address
            if not fnmatchcase(here, task["match"]):
                assert task.get("optional"), f"{task['task']}: the browser is at {here}"
                continue
            arrived = self.does(task.get("commands", []), arrived)
        return arrived

    def does(self, commands, arrived):
        typed = {}
        for verb, by, control, *more in commands:
            assert by == "id"
            if verb == "text":
                typed[control] = more[0]
            elif verb == "click":
                arrived = self.browser.presses(control, **typed)
            elif arrived is None:  # wait, and perhaps take a picture
                assert re.search(more[1], self.browser.shown.soup.find(id=control).get_text())
                self.pictures += len(more) > 2
        return arrived


@pytest.mark.parametrize("file", ["static.json", "registered.json"])
def test_signing_in_and_agreeing(written, browser, client, file):
    player = Player(browser, written[file]["browser"])
    client.completes(player.goes_to(client.asks(prompt="login consent")))
    client.completes(player.goes_to(client.asks()))


def test_signing_in_again_has_its_picture_taken(written, browser, client):
    for name in plans.SIGN_IN_AGAIN:
        player = Player(browser, written["static.json"]["override"][name]["browser"])
        client.completes(player.goes_to(client.asks(prompt="login")))
        assert player.pictures == 1


def test_an_unregistered_redirect_uri_has_its_picture_taken(written, browser, client):
    override = written["static.json"]["override"]["oidcc-ensure-registered-redirect-uri"]
    player = Player(browser, override["browser"])
    assert player.goes_to(client.asks(redirect_uri="https://elsewhere.example/")) is None
    assert player.pictures == 1


def logout_of(client, provider, known, module, hint):
    """What the module sends to the end-session endpoint."""
    away = f"{known.suite}/post_logout_redirect"
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": away, "state": "x"}
    differs: dict[str, dict[str, Any]] = {
        "bad-post-logout-redirect-uri": {"post_logout_redirect_uri": f"{away}/bad"},
        "query-added-to-post-logout-redirect-uri": {"post_logout_redirect_uri": f"{away}?foo=bar"},
        "modified-id-token-hint": {"id_token_hint": f"{hint}x"}, "bad-id-token-hint": {"id_token_hint": "bad"},
        "no-id-token-hint": {"id_token_hint": None},
        "no-params": {"id_token_hint": None, "post_logout_redirect_uri": None, "state": None},
        "no-post-logout-redirect-uri": {"post_logout_redirect_uri": None},
        "only-state": {"id_token_hint": None, "post_logout_redirect_uri": None},
    }  # fmt: skip
    there = {name: value for name, value in {**sent, **differs.get(module, {})}.items() if value is not None}
    return f"{provider.said['end_session_endpoint']}?{urlencode(there)}"


@pytest.mark.parametrize("module", [*plans.LOGOUT_FAULTS, *plans.LOGOUT_ASKS, "no-post-logout-redirect-uri"])
def test_logout_that_ends_on_a_page(written, browser, client, provider, known, module):
    override = written["static.json"]["override"][f"oidcc-rp-initiated-logout-{module}"]
    player = Player(browser, override["browser"])
    found = client.completes(player.goes_to(client.asks()))
    assert player.goes_to(logout_of(client, provider, known, module, found.id_token)) is None
    assert player.pictures == 1


def test_logout_that_comes_back(written, browser, client, provider, known):
    player = Player(browser, written["static.json"]["browser"])
    found = client.completes(player.goes_to(client.asks()))
    back = player.goes_to(logout_of(client, provider, known, "", found.id_token))
    assert back.query == [("state", "x")]


@pytest.fixture
def fapi(a_fapi_client):
    return a_fapi_client("conf-fapi-1", scope="openid")


def of_fapi(written, module):
    return written["fapi2-openid.json"]["override"][f"fapi2-security-profile-final-{module}"]["browser"]


def test_turning_back_at_the_sign_in_page(written, browser, fapi):
    player = Player(browser, of_fapi(written, "user-rejects-authentication"))
    fapi.is_refused(player.goes_to(fapi.asks()), "access_denied")


def test_leaving_and_coming_again(written, browser, fapi):
    module = "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds"
    player, link = Player(browser, of_fapi(written, module)), fapi.asks()
    assert player.goes_to(link) is None
    fapi.completes(player.goes_to(link))


def test_a_request_that_was_answered_has_its_picture_taken(written, browser, fapi):
    player, link = Player(browser, of_fapi(written, "par-attempt-reuse-request_uri")), fapi.asks()
    fapi.completes(player.goes_to(link))
    assert player.goes_to(link) is None
    assert player.pictures == 1


@pytest.mark.parametrize(
    "module", ["par-attempt-to-use-expired-request_uri", "par-attempt-to-use-request_uri-for-different-client"]
)
def test_a_request_that_cannot_be_used_has_its_picture_taken(written, browser, fapi, wait, module):
    player, link = Player(browser, of_fapi(written, module)), fapi.asks()
    wait(91)
    assert player.goes_to(link) is None
    assert player.pictures == 1
