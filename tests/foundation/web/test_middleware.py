"""The remote address, as reported by the proxies in front of the service."""

import pytest
from hypothesis import given, strategies as st

from idp.foundation.web import middleware
from idp.foundation.web.throttle import caller_key


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.1", "192.0.2.1"), (" 192.0.2.1 ", "192.0.2.1"), ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"), ("[2001:DB8::1]:4711", "2001:db8::1"),
        ("for=192.0.2.1", "192.0.2.1"), ('For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ("by=203.0.113.1; for=192.0.2.1;host=x", "192.0.2.1"),
        ("", None), ("unknown", None), ("for=_hidden", None), ("192.0.2.1.5", None), ("[192.0.2", None),
        ("for=", None), ("192.0.2.1:4711:1", None), ("evil.example", None),
        ("\N{ARABIC-INDIC DIGIT ONE}92.0.2.1", None),
    ],
)  # fmt: skip
def test_the_ip_address_in_an_entry_of_the_header_is_read(entry, address):
    assert middleware.address_in(entry) == address


@given(st.text())
def test_an_entry_of_any_text_is_an_ip_address_or_none(entry):
    address = middleware.address_in(entry)
    assert address is None or set(address) <= set("0123456789abcdef.:%") or "%" in address


@pytest.fixture
def remote_address():
    """`remote_address(1, "X-Forwarded-For", HTTP_X_FORWARDED_FOR="…")` is that of such a request behind one proxy."""

    def read(hops, header, **environ):
        full_environ = {"REMOTE_ADDR": "10.0.0.1", **environ}
        middleware._behind_proxies(lambda environ, _start: environ, hops, header)(full_environ, None)
        return full_environ["REMOTE_ADDR"]

    return read


@pytest.mark.parametrize(
    ("hops", "header", "expected"),
    [
        (1, "192.0.2.1", "192.0.2.1"), (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"), (2, "192.0.2.1, 10.0.0.2", "192.0.2.1"),
        (1, "192.0.2.1, [2001:db8::1]:443", "2001:db8::1"), (2, "192.0.2.1", "10.0.0.1"), (1, "", "10.0.0.1"),
        (1, "192.0.2.1, unknown", "10.0.0.1"),
    ],
)  # fmt: skip
def test_the_entry_of_our_outermost_proxy_is_used(remote_address, hops, header, expected):
    assert remote_address(hops, "X-Forwarded-For", HTTP_X_FORWARDED_FOR=header) == expected


def test_other_headers_are_ignored_if_forwarded_is_the_setting(remote_address):
    """`Forwarded` has no hyphen, so no header with an underscore gets the same name in the WSGI environment."""
    forged = {"HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_X_REAL_IP": "6.6.6.6"}

    assert remote_address(1, "Forwarded", HTTP_FORWARDED="for=192.0.2.1", **forged) == "192.0.2.1"
    assert remote_address(1, "Forwarded", **forged) == "10.0.0.1"


def test_requests_from_any_port_of_an_ip_address_are_counted_together(app, remote_address):
    keys = set()
    for port in range(1000, 1005):
        for sent in (f"192.0.2.1:{port}", f"[::ffff:192.0.2.1]:{port}"):
            address = remote_address(1, "X-Forwarded-For", HTTP_X_FORWARDED_FOR=sent)
            with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
                keys.add(caller_key())

    assert keys == {"192.0.2.1"}
