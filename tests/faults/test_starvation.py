"""Many people sign in at once, and connections are idle: programs and `/healthz` still get responses."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import requests

from tests import factories
from tests.faults.conftest import HOST
from tests.html import parse
from tests.oidc.signing import ASSERTION, Signer
from tests.oidc.support import obtain_tokens

CONCURRENT_SIGN_INS = 60


class HangingServer(ThreadingHTTPServer):
    """A partner's `jwks_uri`, which does not respond until `may_respond` is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.connections, self.may_respond = 0, threading.Event()
        self.uri = f"http://127.0.0.1:{self.server_port}/keys"

    def finish_request(self, request, _address):
        self.connections += 1
        self.may_respond.wait(60)
        request.close()


@pytest.fixture
def hanging_server():
    with HangingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.may_respond.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def slow_instance(instance):
    """An instance with password hashes as slow as in production, on two threads."""
    with instance(environment="development", server__threads=2) as running:
        yield running


@pytest.fixture
def sign_in(outside, slow_instance):
    """`sign_in(number)` sends a wrong password; returns the response."""
    page = outside.get(slow_instance.url + "/sign-in", timeout=60)
    token = parse(page.text).find("input", attrs={"name": "csrf_token"})["value"]
    cookies = outside.cookies.get_dict()

    def sign_in_wrongly(number):
        form = {"username": f"unknown-{number}", "password": "not the right one", "csrf_token": token}
        return requests.post(slow_instance.url + "/sign-in", data=form, cookies=cookies, headers=HOST, timeout=60)

    return sign_in_wrongly


def test_during_many_sign_ins_each_gets_a_response_or_retry_after_and_programs_are_served(
    slow_instance, sign_in, outside, world, web
):
    process, url = slow_instance
    token = obtain_tokens(web, world.partner, world.username)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    with ThreadPoolExecutor(CONCURRENT_SIGN_INS) as pool:
        sign_ins = [pool.submit(sign_in, number) for number in range(CONCURRENT_SIGN_INS)]
        other_statuses = []
        while not all(request.done() for request in sign_ins):
            other_statuses.append(outside.get(url + "/healthz", timeout=60).status_code)
            other_statuses.append(
                outside.post(f"{url}/oauth/token", data=form, headers=world.partner.basic).status_code
            )
        responses = [request.result() for request in sign_ins]

    assert set(other_statuses) == {200}
    assert {response.status_code for response in responses} == {422, 503}
    refused = [response for response in responses if response.status_code == 503]
    assert all(response.headers["Retry-After"] and "unknown-" in response.text for response in refused)
    assert max(response.elapsed.total_seconds() for response in responses) < 30, (
        "no request waits for more than a few hashes"
    )
    assert sign_in(CONCURRENT_SIGN_INS).status_code == 422
    assert "unforeseen" not in process.output


def test_idle_connections_do_not_block_others(slow_instance):
    host, port = urlsplit(slow_instance.url).hostname, urlsplit(slow_instance.url).port
    health_request = f"GET /healthz HTTP/1.1\r\nHost: {HOST['Host']}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(200):  # a proxy keeps some for each of its workers
            connection = stack.enter_context(socket.create_connection((host, port), 60))
            connection.sendall(health_request)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_clients_that_never_complete_their_form_do_not_use_up_the_admission_limit(slow_instance, sign_in, outside):
    host_and_port = urlsplit(slow_instance.url).hostname, urlsplit(slow_instance.url).port
    with ExitStack() as stack:
        for path in ("/oauth/token", "/sign-in") * 4:
            connection = stack.enter_context(socket.create_connection(host_and_port, 60))
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {HOST['Host']}\r\nContent-Length: 1000\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=".encode()
            )
        assert outside.get(slow_instance.url + "/readyz", timeout=60).status_code == 200
        assert outside.post(slow_instance.url + "/oauth/token", timeout=60).status_code == 400
        assert sign_in(1).status_code == 422


def test_a_slow_jwks_uri_delays_only_its_own_partner(instance, outside, world, hanging_server):
    keys = {"token_endpoint_auth_method": "private_key_jwt", "grant_types": frozenset({"client_credentials"}),
            "client_scopes": frozenset({"schools.list"}), "jwks": None, "jwks_uri": hanging_server.uri}  # fmt: skip
    with world.transaction():
        partners = [Signer(factories.a_client(**keys).id) for _ in range(6)]

    def authenticate(partner, url):
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION,
                "client_assertion": partner.assertion()}  # fmt: skip
        return requests.post(url + "/oauth/token", data=form, headers=HOST, timeout=60)

    with instance(server__threads=2, fetch__timeout=40) as (process, url), ThreadPoolExecutor(6) as pool:
        requests_sent = [pool.submit(authenticate, partner, url) for partner in partners]
        process.wait_until(lambda: hanging_server.connections == 6)
        for path in ("/healthz", "/readyz", "/sign-in"):
            assert outside.get(url + path, timeout=60).status_code == 200
        assert not any(request.done() for request in requests_sent)
        hanging_server.may_respond.set()
        assert {request.result().status_code for request in requests_sent} == {401}
