"""The pages on which a device's code is typed, and its request allowed or refused, in a real browser."""

from itertools import count
from types import SimpleNamespace

import pytest
import requests
from playwright.sync_api import expect

from tests.factories import PASSWORD, a_client, a_school, an_administrator, an_estab, secret_of
from tests.oidc.devices import GRANT

_numbers = count(1)


@pytest.fixture
def username(transaction):
    """The username of the owner of a new school."""
    number = next(_numbers)
    with transaction():
        school = a_school(register_id=f"{760000 + number}", dfe_number=f"{9970000 + number}", name="St Bede's School")
        return an_administrator(an_estab(school), name="Jo Bloggs").username


@pytest.fixture
def device(transaction, issuer):
    """`device.request_codes(scope)` requests codes; `device.poll(codes)` polls for a decision."""
    with transaction():
        client = a_client(
            client_name="School Connector", grant_types=frozenset({GRANT}),
            purpose="To send what your school shares from its own server.",
        )  # fmt: skip
        auth = (client.id, secret_of(client.id))

    def request_codes(scope="openid school students attendance students.sen"):
        return requests.post(
            f"{issuer}/oauth/device_authorization", auth=auth, data={"scope": scope}, timeout=60
        ).json()

    def poll(codes):
        form = {"grant_type": GRANT, "device_code": codes["device_code"]}
        return requests.post(f"{issuer}/oauth/token", auth=auth, data=form, timeout=60).json()

    return SimpleNamespace(request_codes=request_codes, poll=poll)


def sign_in(page, username):
    page.fill("#username", username)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")


def test_a_device_is_connected_by_typing_its_code(page, issuer, username, device, check_page):
    codes = device.request_codes()
    page.goto(f"{issuer}/device")
    sign_in(page, username)
    expect(page.locator("h1")).to_have_text("Connect a device or program")
    check_page(page, "device")

    page.fill("#user_code", "1234")
    page.click("#continue")
    expect(page.locator(".error-summary")).to_contain_text("The code has letters only, no numbers")
    check_page(page, "device-wrong")

    page.fill("#user_code", codes["user_code"].lower())
    page.click("#continue")
    expect(page.locator("h1")).to_have_text("Connect School Connector?")
    expect(page.locator("#main")).to_contain_text(codes["user_code"])
    check_page(page, "device-consent")
    assert device.poll(codes)["error"] == "authorization_pending"

    page.check("#authority")
    page.click("#allow")
    expect(page.locator("h1")).to_have_text("School Connector is connected")
    check_page(page, "device-done")
    assert device.poll(codes)["scope"] == "openid school students"

    second = device.request_codes()
    page.goto(second["verification_uri_complete"])
    expect(page.locator("#user_code")).to_have_value(second["user_code"])
    page.click("#continue")
    expect(page.locator("h1")).to_have_text("Connect School Connector?")
    check_page(page, "device-confirm")
    page.click("#deny")
    expect(page.locator("h1")).to_have_text("School Connector is not connected")
    check_page(page, "device-denied")
    assert device.poll(second)["error"] == "access_denied"
