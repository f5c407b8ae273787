"""CVE-2020-10770, CVE-2026-1180, CVE-2025-67494, CVE-2021-26715: only public addresses are fetched."""

import contextlib
import io
import socket
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from idp.foundation.errors import Refusal
from idp.foundation.settings import Fetch
from idp.foundation.web import fetch
from idp.oidc.clients import client_keys, oauth_client
from idp.outbox.channels import http_push, sms_http
from idp.outbox.outgoing import NotSent, OutgoingMessage
from idp.partners import sector
from idp.partners.metadata import InvalidClientMetadata
from idp.schools import download
from tests.factories import a_client
from tests.fuzz.responses import recorded_log
from tests.ports import free_port
from tests.raw_server import raw_server


def fetch_rules(*, operator_hosts=(), partner_hosts=(), **overrides):
    """The rules by which partners' addresses are fetched."""
    return fetch.for_partner(
        Fetch(operator_private_hosts=operator_hosts, partner_private_hosts=partner_hosts, **overrides)
    )


PUBLIC_ONLY = fetch_rules(timeout=60, allow_loopback=False, extra_ca="")
LOOPBACK_ALLOWED = fetch_rules(timeout=60, allow_loopback=True, extra_ca="")
SHORT_TIMEOUT = fetch_rules(timeout=1, allow_loopback=True, extra_ca="")


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/redirect-to-private":
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/latest")
                self.end_headers()
                return
            if self.path == "/slow":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(30):
                        self.wfile.write(b"x")
                        self.wfile.flush()
                        threading.Event().wait(0.2)
                return
            body = b"x" * (10_000_000 if self.path == "/large" else 12)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (5 if self.path == "/short" else 0)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_args):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "224.0.0.1", "[::1]", "[::127.0.0.1]",
        "[::ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]",
        "[fc00::1]", "[fec0::1]", "[fe80::1]", "[ff02::1]",
    ],
)  # fmt: skip
def test_no_connection_is_made_to_an_address_that_is_not_public(address):
    with pytest.raises(fetch.FetchFailed, match="leads to an IP address that is not public"):
        fetch.get(f"https://{address}/", PUBLIC_ONLY)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://2130706433/",
        "https://0177.0.0.1/", "https://0x7f.1/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:10.0.0.1]/",
        "https://10.1.2.3/", "https://192.168.0.1/", "https://172.16.0.1/", "https://0.0.0.0/", "https://[fe80::1]/",
        "https://localhost/", "https://[64:ff9b::7f00:1]/", "https://100.64.0.1/", "https://224.0.0.1/",
        "http://192.0.2.1/", "gopher://192.0.2.1/", "file:///etc/passwd", "https://user:pass@192.0.2.1/", "https:///x",
        "https://192.0.2.1:99999/", "nonsense", "", "https://xn--/",
    ],
)  # fmt: skip
def test_only_public_https_addresses_are_fetched(url):
    with pytest.raises(fetch.FetchFailed):
        fetch.get(url, PUBLIC_ONLY)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/s3cret", "http://192.0.2.1/?token=s3cret", "https://me:s3cret@192.0.2.1/",
        "https://s3cret@192.0.2.1/", "https://xn--/s3cret", "https://192.0.2.1:99999/s3cret",
    ],
)  # fmt: skip
def test_an_error_names_only_the_host_because_an_address_can_be_a_secret(url):
    with pytest.raises(fetch.FetchFailed) as error:
        fetch.get(url, PUBLIC_ONLY)
    assert "s3cret" not in str(error.value)


def test_a_connection_that_fails_is_named_by_its_host_alone():
    url = f"http://127.0.0.1:{free_port()}/s3cret?token=s3cret"
    with pytest.raises(fetch.FetchFailed, match=r"^http://127\.0\.0\.1:\d+: NewConnectionError$"):
        fetch.post(url, LOOPBACK_ALLOWED, body=b"", content_type="text/plain")
    with fetch.keep_open(url, LOOPBACK_ALLOWED) as kept, pytest.raises(fetch.FetchFailed) as error:
        kept.post(body=b"", content_type="text/plain", headers={})
    assert "s3cret" not in str(error.value)


def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch):
    private = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]
    public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [*public, *private])

    with pytest.raises(fetch.FetchFailed, match="not public"):
        fetch.get("https://rebinding.example/", PUBLIC_ONLY)


def test_the_name_is_resolved_once_and_that_address_is_used(monkeypatch, server):
    port = int(server.rsplit(":", 1)[1])
    names = []

    def resolve(*args, **_kwargs):
        names.append(args[0])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("idp.foundation.web.fetch.socket.getaddrinfo", resolve)
    monkeypatch.setattr("urllib3.util.connection.socket.getaddrinfo", resolve)

    fetch.get(f"http://partner.example:{port}/", LOOPBACK_ALLOWED)

    assert names[0] == "partner.example"
    assert set(names[1:]) <= {"127.0.0.1"}


def test_a_small_document_is_returned(server):
    assert fetch.get(server, LOOPBACK_ALLOWED).body == b"x" * 12


def test_a_redirect_is_not_followed(server):
    assert fetch.get(f"{server}/redirect-to-private", LOOPBACK_ALLOWED).status == 302


def test_a_document_that_is_too_large_is_refused(server):
    with pytest.raises(fetch.FetchFailed, match="more than"):
        fetch.get(f"{server}/large", LOOPBACK_ALLOWED)


def test_a_slow_response_ends_at_our_deadline(server):
    # It ends by our own deadline, or because the connection was closed.
    with pytest.raises(fetch.FetchFailed):
        fetch.get(f"{server}/slow", SHORT_TIMEOUT)


def test_a_download_shorter_than_announced_is_refused(server):
    with pytest.raises(fetch.FetchFailed):
        fetch.download(f"{server}/short", LOOPBACK_ALLOWED, io.BytesIO(), limit=1000)


STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
SLOW_RESPONSES = {
    "headers": STATUS_LINE + b"X-A: " + b"y" * 60 + b"\r\n\r\n{}",
    "many interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 4 + STATUS_LINE + b"\r\n{}",
    "the size of a chunk": STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"y" * 60,
    "a body without a length": STATUS_LINE + b"\r\n" + b"y" * 60,
}


@pytest.mark.parametrize("case", SLOW_RESPONSES)
def test_a_response_sent_byte_by_byte_ends_at_our_deadline(case):
    """Each byte arrives in time, but all of them take a quarter of a minute, for which a thread would wait."""
    began = time.monotonic()
    with raw_server() as server:
        server.response, server.delay, server.chunk_size = SLOW_RESPONSES[case], 0.2, 1
        with pytest.raises(fetch.FetchFailed):
            fetch.get(server.url, SHORT_TIMEOUT)
        seconds = time.monotonic() - began
    assert seconds < 10


@pytest.mark.parametrize("pause", [0, 1.5], ids=["at once", "after the first deadline"])
def test_each_request_of_a_connection_that_is_kept_open_has_its_own_deadline(pause):
    def serve(listener):
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            connection.recv(65_536)
            for byte in SLOW_RESPONSES["headers"]:
                connection.sendall(bytes([byte]))
                time.sleep(0.2)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        event = {"body": b"an event", "content_type": "text/plain", "headers": {}}
        with fetch.keep_open(f"http://127.0.0.1:{listener.getsockname()[1]}/", SHORT_TIMEOUT) as connection:
            assert connection.post(**event).status == 202
            time.sleep(pause)
            began = time.monotonic()
            with pytest.raises(fetch.FetchFailed):
                connection.post(**event)
            seconds = time.monotonic() - began
        thread.join(5)
    assert seconds < 10


def test_a_content_length_that_is_not_a_number_is_ignored():
    with raw_server() as server:
        server.response = STATUS_LINE + b"Content-Length: \xb2\r\n\r\nabc"
        assert fetch.download(server.url, LOOPBACK_ALLOWED, io.BytesIO(), limit=1000).status == 200


def test_malformed_headers_of_a_server_are_not_logged(app):
    with raw_server() as server, recorded_log() as log:
        server.response = STATUS_LINE + b"\x00: <zq9>" + b"x" * 60_000 + b"\r\n\r\nabc"
        assert fetch.get(server.url, LOOPBACK_ALLOWED).body == b"abc"
    log.check(["<zq9>"])


class TestPrivateHosts:
    """Two lists: a private host that our own settings may name is not allowed in addresses that partners register."""

    HOSTS = Fetch(
        timeout=1, allow_loopback=False, extra_ca="",
        operator_private_hosts=("gateway.internal",), partner_private_hosts=("partner.internal",),
    )  # fmt: skip

    @pytest.fixture(autouse=True)
    def private(self, monkeypatch):
        """Every name leads to a private address where nothing answers."""
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: addresses)

    @pytest.mark.parametrize(
        ("rules", "host", "is_allowed"),
        [
            (fetch.for_operator(HOSTS), "gateway.internal", True),
            (fetch.for_operator(HOSTS), "gateway.internal.", True),
            (fetch.for_operator(HOSTS), "GATEWAY.internal", True),
            (fetch.for_operator(HOSTS), "partner.internal", False),
            (fetch.for_partner(HOSTS), "partner.internal", True),
            (fetch.for_partner(HOSTS), "gateway.internal", False),
            (fetch.for_partner(HOSTS), "gateway.internal.", False),
            (fetch.for_partner(HOSTS), "x.partner.internal", False),
        ],
    )
    def test_each_list_of_private_hosts_allows_its_own_hosts_only(self, rules, host, is_allowed):
        with pytest.raises(fetch.FetchFailed) as error:
            fetch.get(f"https://{host}:1/", rules)
        assert ("not public" in str(error.value)) is not is_allowed

    def test_every_outgoing_request_uses_the_right_list_of_private_hosts(
        self, app, transaction, monkeypatch, change_settings
    ):
        """Every function that makes outgoing requests, and the rules that it uses."""
        used = {}
        for name in ("get", "post", "download"):

            def record(url, rules, *_args, **_more):
                used[url] = rules.private_hosts
                raise fetch.FetchFailed("noted")

            monkeypatch.setattr(fetch, name, record)
        settings = change_settings(fetch=dict(self.HOSTS), sms={"gateway_url": "https://sms"})
        outgoing = OutgoingMessage("m", "event", "x", "https://push", datetime.now(UTC), "", "{}", "")
        for channel in (sms_http, http_push):
            with channel.sender(settings) as send, contextlib.suppress(NotSent):
                send(outgoing)
        with transaction():
            client = oauth_client.find(a_client(jwks_uri="https://jwks").id)
            assert client is not None
            client_keys.for_client(client, "x")
            with contextlib.suppress(Refusal), download.from_url("https://register"):
                pass
            with contextlib.suppress(InvalidClientMetadata):
                sector.check("https://sector", ["https://a.example/cb"])
        operator_hosts, partner_hosts = {"gateway.internal"}, {"partner.internal"}
        assert used == {
            "https://sms": operator_hosts, "https://register": operator_hosts,
            "https://push": partner_hosts, "https://jwks": partner_hosts, "https://sector": partner_hosts,
        }  # fmt: skip
