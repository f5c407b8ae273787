"""Where a request came from, as the proxies in front of us say."""

import pytest
from hypothesis import given, strategies as st

from idp.foundation.web import middleware
from idp.foundation.web.throttle import caller


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
def test_the_address_in_an_entry(entry, address):
    assert middleware.address_in(entry) == address


@given(st.text())
def test_whatever_is_sent_it_is_an_address_or_nothing(entry):
    found = middleware.address_in(entry)
    assert found is None or set(found) <= set("0123456789abcdef.:%") or "%" in found


@pytest.fixture
def seen():
    """`seen(1, "X-Forwarded-For", HTTP_X_FORWARDED_FOR="…")` is where such a request comes from, behind one proxy."""

    def ask(hops, header, **environ):
        there = {"REMOTE_ADDR": "10.0.0.1", **environ}
        middleware._behind_proxies(lambda environ, _start: environ, hops, header)(there, None)
        return there["REMOTE_ADDR"]

    return ask


@pytest.mark.parametrize(
    ("hops", "sent", "from_"),
    [
        (1, "192.0.2.1", "192.0.2.1"), (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"), (2, "192.0.2.1, 10.0.0.2", "192.0.2.1"),
        (1, "192.0.2.1, [2001:db8::1]:443", "2001:db8::1"), (2, "192.0.2.1", "10.0.0.1"), (1, "", "10.0.0.1"),
        (1, "192.0.2.1, unknown", "10.0.0.1"),
    ],
)  # fmt: skip
def test_the_entry_of_the_outermost_proxy_of_ours_counts(seen, hops, sent, from_):
    assert seen(hops, "X-Forwarded-For", HTTP_X_FORWARDED_FOR=sent) == from_


def test_where_the_proxy_says_forwarded_no_other_name_is_believed_however_it_is_written(seen):
    """`Forwarded` has no hyphen, so no name with an underscore becomes the same one on its way to us."""
    forged = {"HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_X_REAL_IP": "6.6.6.6"}

    assert seen(1, "Forwarded", HTTP_FORWARDED="for=192.0.2.1", **forged) == "192.0.2.1"
    assert seen(1, "Forwarded", **forged) == "10.0.0.1"


def test_another_port_is_no_other_caller(app, seen):
    keys = set()
    for port in range(1000, 1005):
        for sent in (f"192.0.2.1:{port}", f"[::ffff:192.0.2.1]:{port}"):
            there = seen(1, "X-Forwarded-For", HTTP_X_FORWARDED_FOR=sent)
            with app.test_request_context("/", environ_base={"REMOTE_ADDR": there}):
                keys.add(caller())

    assert keys == {"192.0.2.1"}
