"""The key of rate limits: an IPv6 network counts as one address."""

import pytest

from idp.foundation.web.throttle import caller_key


@pytest.fixture
def counter_key(app):
    """`counter_key("192.0.2.1")` is the key under which requests from there are counted."""

    def key(address):
        with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
            return caller_key()

    return key


def test_every_ipv4_address_is_counted_separately(counter_key):
    assert counter_key("192.0.2.1") != counter_key("192.0.2.2")


@pytest.mark.parametrize("other", ["2001:db8:0:1::2", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:0DB8:0:1::1"])
def test_a_network_of_64_bits_counts_as_one_ip_address(counter_key, other):
    assert counter_key("2001:db8:0:1::1") == counter_key(other)


def test_another_ipv6_network_is_counted_separately(counter_key):
    assert counter_key("2001:db8:0:1::1") != counter_key("2001:db8:0:2::1")


def test_an_ipv4_address_counts_the_same_however_it_is_written(counter_key):
    """A server for IPv4 and IPv6 sees the mapped form (RFC 4291 §2.5.5.2)."""
    assert counter_key("::ffff:192.0.2.1") == counter_key("192.0.2.1")
    assert counter_key("::ffff:192.0.2.1") != counter_key("::ffff:192.0.2.2")


@pytest.mark.parametrize("address", ["", "unix:", "fe80::1%eth0"])
def test_a_remote_address_that_cannot_be_parsed_has_a_key_too(counter_key, address):
    assert counter_key(address) is not None


def test_the_rate_limit_of_a_view_counts_an_ipv6_network_as_one_address(web, change_settings):
    change_settings(throttle={"factor": 1})

    def request(last):
        return web.get("/set-up/unknown", environ_base={"REMOTE_ADDR": f"2001:db8:0:7::{last:x}"})

    assert 429 in {request(last).status_code for last in range(1, 33)}
