"""Slow requests are limited, so that quick ones always have a thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from idp.foundation import runtime
from idp.foundation.crypto import Passwords
from idp.foundation.errors import Busy
from idp.foundation.settings import HASHING_PLACES
from idp.foundation.web import admission, busy_page, fetch
from idp.foundation.web.admission import FairSemaphore
from tests.conftest import a_browser
from tests.factories import PASSWORD
from tests.html import parse
from tests.processes import eventually


def test_a_semaphore_with_two_places_refuses_the_third():
    semaphore = FairSemaphore(2, max_waiting=0)

    assert [semaphore.acquire() for _ in range(3)] == [True, True, False]
    semaphore.release()
    assert [semaphore.acquire() for _ in range(2)] == [True, False]


def test_places_are_given_in_the_order_of_arrival():
    semaphore, arrived = FairSemaphore(1), []
    semaphore.acquire()
    waiting = []

    def arrive(number):
        semaphore.acquire()
        arrived.append(number)

    for number in range(5):
        waiting.append(threading.Thread(target=arrive, args=(number,)))
        waiting[-1].start()
        eventually(lambda number=number: len(semaphore._queue) == number + 1)
    for number in range(5):
        semaphore.release()
        waiting[number].join(60)
        assert arrived == list(range(number + 1))


def test_a_thread_whose_wait_timed_out_does_not_get_a_place_later():
    semaphore = FairSemaphore(1, timeout=0.01)
    semaphore.acquire()

    assert not semaphore.acquire()
    semaphore.release()
    assert semaphore.acquire()


class BlockedHashing:
    """Blocks each check of a password until `unblocked` is set; `started` is how many have begun."""

    def __init__(self, monkeypatch):
        self.unblocked, self.started = threading.Event(), 0
        original = Passwords.matches

        def wait_and_match(passwords, stored, typed):
            self.started += 1
            assert self.unblocked.wait(60)
            return original(passwords, stored, typed)

        monkeypatch.setattr(Passwords, "matches", wait_and_match)


@pytest.fixture
def hashing(monkeypatch):
    """Checks of passwords, which are blocked until the test unblocks them."""
    hashing = BlockedHashing(monkeypatch)
    yield hashing
    hashing.unblocked.set()


def sign_in(browser, **fields):
    token = parse(browser.get("/sign-in").text).find("input", attrs={"name": "csrf_token"})
    form = {"username": "Nobody & Söhne", "password": PASSWORD, "csrf_token": token["value"]} | fields
    return browser.post("/sign-in?next=/manage", data=form)


@pytest.fixture
def finish_blocked_sign_ins(app, new_browser, hashing):
    """As many people sign in as may wait, and all are blocked.

    `finish_blocked_sign_ins()` unblocks them and returns their statuses.
    """
    count = HASHING_PLACES + admission.MAX_HASHING_QUEUE
    browsers = [new_browser() for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        responses = [pool.submit(sign_in, browser) for browser in browsers]
        semaphore = admission.ADMISSION.for_app(app).hashing
        eventually(lambda: hashing.started == HASHING_PLACES and len(semaphore._queue) == admission.MAX_HASHING_QUEUE)

        def finish():
            hashing.unblocked.set()
            return [response.result(60).status_code for response in responses]

        yield finish
        hashing.unblocked.set()


def test_a_sign_in_beyond_the_queue_is_refused_at_once_and_other_requests_are_served(
    app, settings, web, finish_blocked_sign_ins
):
    response = sign_in(web)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) == busy_page.RETRY_AFTER_SECONDS
    for path in ("/healthz", "/readyz", "/sign-in", "/oauth/jwks", "/register?q=oakhill"):
        assert a_browser(app, settings).get(path).status_code == 200, path
    assert set(finish_blocked_sign_ins()) == {422}  # there is no such user name
    assert sign_in(web, username="someone else").status_code == 422


def test_the_page_to_try_again_has_the_typed_fields_except_the_password(web, finish_blocked_sign_ins):
    response = sign_in(web, username='<b>"Ann" & Söhne', **{"sign-in": ""})

    page = parse(response.text)
    hidden_fields = {field["name"]: field["value"] for field in page.select("form input[type=hidden]")}
    assert hidden_fields["username"] == '<b>"Ann" & Söhne'
    assert hidden_fields["sign-in"] == ""
    assert "password" not in hidden_fields
    assert PASSWORD not in response.text
    password = page.find("input", id="password")
    assert password["type"] == "password"
    assert "value" not in password.attrs
    assert "action" not in page.form.attrs, "it is sent to the same URL, with `next` in it"
    finish_blocked_sign_ins()
    second = web.post("/sign-in?next=/manage", data=hidden_fields | {"password": PASSWORD})
    assert second.status_code == 422
    assert parse(second.text).find("input", id="username")["value"] == '<b>"Ann" & Söhne'


def test_the_page_to_try_again_has_the_security_headers(web, finish_blocked_sign_ins):
    refused, other = sign_in(web), web.get("/sign-in")

    for name in ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control", "Content-Type"):
        assert refused.headers[name] == other.headers[name]
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    assert "unsafe" not in refused.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"x" * 100_000, "application/x-www-form-urlencoded"),
        (b"username=\xff\xfe&password=%ff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=%d" % number for number in range(500)), "application/x-www-form-urlencoded"),
        (b'{"username": "x"}', "application/json"),
        (b"", ""),
    ],
)
def test_a_form_that_cannot_be_parsed_gets_the_page_to_try_again_without_fields(
    web, finish_blocked_sign_ins, body, content_type
):
    response = web.post("/sign-in", data=body, content_type=content_type)

    assert response.status_code == 503
    assert "try-again" in response.text


def test_refusals_are_logged_with_their_number_and_nothing_typed(
    app, web, finish_blocked_sign_ins, caplog, monkeypatch
):
    # Another test may have just logged this, and it is logged once in a while.
    monkeypatch.setattr(admission.ADMISSION.for_app(app).busy_page._refusals, "_logged_at", float("-inf"))
    for _ in range(3):
        sign_in(web, username="someone@oakhill.example")
    logged = str([record.msg for record in caplog.records])

    assert "too many are waiting to hash" in logged
    assert "someone@oakhill.example" not in logged


def test_hashing_in_a_view_that_does_not_declare_it_raises(app, settings):
    with app.test_request_context("/healthz"), pytest.raises(RuntimeError, match=r"admission\.hashes_passwords"):
        runtime.passwords()


def test_a_request_that_waits_for_another_server_releases_its_place_meanwhile(app):
    semaphore = FairSemaphore(1)
    semaphore.acquire()
    with (
        app.test_request_context("/healthz", environ_overrides={admission.PLACE_KEY: semaphore}),
        admission.place_released(),
    ):
        assert semaphore.acquire(), "another request can run meanwhile"
        with admission.place_released():
            pass
        semaphore.release()
    assert semaphore._free == 0, "it has its place again"


def test_a_request_to_another_server_beyond_the_limit_is_refused(app):
    places = admission.ADMISSION.for_app(app).outbound
    for _ in range(admission.MAX_OUTBOUND):
        assert places.acquire()
    semaphore = FairSemaphore(1)
    semaphore.acquire()
    try:
        with (
            app.test_request_context("/healthz", environ_overrides={admission.PLACE_KEY: semaphore}),
            pytest.raises(Busy),
        ):
            fetch.get("https://keys.example/", runtime.settings().fetch)
        assert semaphore._free == 0
    finally:
        for _ in range(admission.MAX_OUTBOUND):
            places.release()
