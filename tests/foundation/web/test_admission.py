"""Slow requests are counted before they wait: whatever they do, quick ones have a thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from bs4 import BeautifulSoup

from idp.foundation import runtime
from idp.foundation.crypto import Passwords
from idp.foundation.errors import Busy
from idp.foundation.settings import HASHING
from idp.foundation.web import admission, busy, fetch
from idp.foundation.web.admission import Turnstile
from tests.conftest import a_browser
from tests.factories import PASSWORD
from tests.processes import eventually


def test_a_turnstile_lets_so_many_in_and_refuses_whoever_is_one_too_many():
    turnstile = Turnstile(2, waiting=0)

    assert [turnstile.enter() for _ in range(3)] == [True, True, False]
    turnstile.leave()
    assert [turnstile.enter() for _ in range(2)] == [True, False]


def test_those_who_wait_come_in_in_the_order_they_came():
    turnstile, came = Turnstile(1), []
    turnstile.enter()
    waiting = []

    def comes(number):
        turnstile.enter()
        came.append(number)

    for number in range(5):
        waiting.append(threading.Thread(target=comes, args=(number,)))
        waiting[-1].start()
        eventually(lambda number=number: len(turnstile._queue) == number + 1)
    for number in range(5):
        turnstile.leave()
        waiting[number].join(60)
        assert came == list(range(number + 1))


def test_whoever_waited_too_long_is_refused_and_takes_nobodys_place():
    turnstile = Turnstile(1, patience=0.01)
    turnstile.enter()

    assert not turnstile.enter()
    turnstile.leave()
    assert turnstile.enter()


class Hashing:
    """Holds every hash back until `goes_on` is set."""

    def __init__(self, monkeypatch):
        self.goes_on, self.began = threading.Event(), 0
        original = Passwords.matches

        def held(passwords, stored, typed):
            self.began += 1
            assert self.goes_on.wait(60)
            return original(passwords, stored, typed)

        monkeypatch.setattr(Passwords, "matches", held)


@pytest.fixture
def hashing(monkeypatch):
    held = Hashing(monkeypatch)
    yield held
    held.goes_on.set()


def signs_in(browser, **typed):
    token = BeautifulSoup(browser.get("/sign-in").text, "html.parser").find("input", attrs={"name": "csrf_token"})
    form = {"username": "Nobody & Söhne", "password": PASSWORD, "csrf_token": token["value"]} | typed
    return browser.post("/sign-in?next=/manage", data=form)


@pytest.fixture
def crowd(app, another, hashing):
    """As many people sign in as there is room for; none of them gets on. Then `crowd()` says what became of them."""
    most = HASHING + admission.WAITING
    browsers = [another() for _ in range(most)]
    with ThreadPoolExecutor(most) as pool:
        answers = [pool.submit(signs_in, browser) for browser in browsers]
        turnstile = admission.ADMISSION.of(app).hashing
        eventually(lambda: hashing.began == HASHING and len(turnstile._queue) == admission.WAITING)

        def ends():
            hashing.goes_on.set()
            return [each.result(60).status_code for each in answers]

        yield ends
        hashing.goes_on.set()


def test_whoever_finds_no_room_is_refused_at_once_and_everybody_else_is_answered(app, settings, web, crowd):
    answer = signs_in(web)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) == busy.RETRY_AFTER
    for path in ("/healthz", "/readyz", "/sign-in", "/oauth/jwks", "/register?q=oakhill"):
        assert a_browser(app, settings).get(path).status_code == 200, path
    assert set(crowd()) == {422}  # nobody has that name
    assert signs_in(web, username="somebody else").status_code == 422


def test_the_page_keeps_what_was_typed_but_the_password(web, crowd):
    answer = signs_in(web, username='<b>"Ann" & Söhne', **{"sign-in": ""})

    page = BeautifulSoup(answer.text, "html.parser")
    kept = {each["name"]: each["value"] for each in page.select("form input[type=hidden]")}
    assert kept["username"] == '<b>"Ann" & Söhne'
    assert kept["sign-in"] == ""
    assert "password" not in kept
    assert PASSWORD not in answer.text
    password = page.find("input", id="password")
    assert password["type"] == "password"
    assert "value" not in password.attrs
    assert "action" not in page.form.attrs, "it is sent to the same address, with the way back in it"
    crowd()
    again = web.post("/sign-in?next=/manage", data=kept | {"password": PASSWORD})
    assert again.status_code == 422
    assert BeautifulSoup(again.text, "html.parser").find("input", id="username")["value"] == '<b>"Ann" & Söhne'


def test_the_page_is_dressed_like_any_other(web, crowd):
    refused, usual = signs_in(web), web.get("/sign-in")

    for name in ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control", "Content-Type"):
        assert refused.headers[name] == usual.headers[name]
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    assert "unsafe" not in refused.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x" * 100_000, "application/x-www-form-urlencoded"),
        (b"username=\xff\xfe&password=%ff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=%d" % number for number in range(500)), "application/x-www-form-urlencoded"),
        (b'{"username": "x"}', "application/json"),
        (b"", ""),
    ],
)
def test_what_cannot_be_kept_is_left_out(web, crowd, body, kind):
    answer = web.post("/sign-in", data=body, content_type=kind)

    assert answer.status_code == 503
    assert "try-again" in answer.text


def test_refusals_are_told_in_the_log_with_their_number_and_nothing_typed(app, web, crowd, caplog, monkeypatch):
    monkeypatch.setattr(
        admission.ADMISSION.of(app).refuse._refused, "_written", float("-inf")
    )  # by the test before, just now
    for _ in range(3):
        signs_in(web, username="somebody@oakhill.example")
    told = str([record.msg for record in caplog.records])

    assert "too many are waiting to hash" in told
    assert "somebody@oakhill.example" not in told


def test_a_view_that_hashes_without_saying_so_is_a_fault(app, settings):
    with app.test_request_context("/healthz"), pytest.raises(RuntimeError, match=r"admission\.hashes"):
        runtime.passwords()


def test_whoever_waits_for_another_server_leaves_its_place_to_the_quick(app):
    only = Turnstile(1)
    only.enter()
    with app.test_request_context("/healthz", environ_overrides={admission.TURNSTILE: only}), admission.aside():
        assert only.enter(), "somebody else runs meanwhile"
        with admission.aside():
            pass
        only.leave()
    assert only._free == 0, "it has its place again"


def test_no_more_than_so_many_wait_for_other_servers(app):
    places = admission.ADMISSION.of(app).aside
    for _ in range(admission.ASIDE):
        assert places.enter()
    mine = Turnstile(1)
    mine.enter()
    try:
        with (
            app.test_request_context("/healthz", environ_overrides={admission.TURNSTILE: mine}),
            pytest.raises(Busy),
        ):
            fetch.get("https://keys.example/", runtime.settings().fetch)
        assert mine._free == 0
    finally:
        for _ in range(admission.ASIDE):
            places.leave()
