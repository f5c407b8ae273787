"""`idp doctor` requests the public URL, through a proxy with TLS that is configured correctly or not."""

import json
from datetime import timedelta

import pytest

from idp.foundation import clock as clocks, runtime
from idp.foundation.web import doctor, transactions
from tests.certificates import a_certificate
from tests.ports import free_port
from tests.serving import a_provider, serving


@pytest.fixture(autouse=True)
def _in_production(monkeypatch):
    monkeypatch.setattr(doctor, "_is_production", lambda: True)


def append_address(environ, header):
    """As nginx does: the caller's IP address is added to the header that the caller sent."""
    return f"{header}, {environ['REMOTE_ADDR']}" if header else environ["REMOTE_ADDR"]


def pass_on(environ, header):
    """A proxy that does not change the header that the caller sent."""
    return header or environ["REMOTE_ADDR"]


@pytest.fixture
def run(databases, tmp_path):
    """`run(check)` is the only finding of a check, where a proxy with TLS is in front of the service."""

    def findings(check, proxy=append_address, **server):
        cert, tls = a_certificate(tmp_path)
        server = {"trusted_proxies": 1} | server
        with a_provider(databases, tls, fetch={"extra_ca": str(cert)}, server=server) as (app, _):
            wsgi_app = app.wsgi_app

            def with_header(environ, start_response):
                environ["HTTP_X_FORWARDED_FOR"] = proxy(environ, environ.get("HTTP_X_FORWARDED_FOR"))
                return wsgi_app(environ, start_response)

            app.wsgi_app = with_header  # type: ignore[method-assign]
            with transactions.transaction(app):
                (finding,) = check()
                return finding

    return findings


@pytest.fixture
def run_elsewhere(change_settings, transaction, tmp_path):
    """`run_elsewhere(check, 403, {…})` is what a check finds where the public URL leads to another server."""
    cert, tls = a_certificate(tmp_path)

    def findings(check, status, document, *, is_trusted=True):
        def respond(_, start_response):
            start_response(f"{status} Something", [("Content-Type", "application/json")])
            return [json.dumps(document).encode()]

        port = free_port()
        change_settings(
            server={"issuer": f"https://localhost:{port}"}, fetch={"extra_ca": str(cert) if is_trusted else ""}
        )
        with serving(respond, port, tls), transaction():
            (finding,) = check()
            return finding

    return findings


class TestPublicUrl:
    def test_a_public_url_that_leads_to_the_service_is_ok(self, run):
        finding = run(doctor.public_url)
        assert (finding.level, finding.message.endswith(" leads here")) == ("ok", True)

    @pytest.mark.parametrize(
        ("status", "document"), [(200, {"issuer": "https://another.example"}), (502, []), (200, [])]
    )
    def test_a_public_url_that_leads_to_another_server_is_a_fault(self, run_elsewhere, status, document):
        finding = run_elsewhere(doctor.public_url, status, document)
        assert finding.level == "fault"
        assert f"leads to something else, which responds with {status}" in finding.message
        assert finding.do == "let the proxy pass on every path unchanged"

    @pytest.mark.parametrize("check", [doctor.public_url, doctor.certificate])
    def test_a_public_url_that_cannot_be_reached_is_a_warning(self, change_settings, transaction, check):
        change_settings(server={"issuer": "https://localhost:1"})
        with transaction():
            (finding,) = check()
        assert finding.level == "warning"
        assert "cannot be" in finding.message


class TestCertificate:
    def test_a_certificate_that_expires_soon_is_a_warning(self, run):
        finding = run(doctor.certificate)
        assert (finding.level, finding.message) == ("warning", "ends in 0 days")

    def test_a_certificate_that_expires_in_20_days_is_ok(self, run):
        with clocks.fixed(clocks.now() - timedelta(days=20)):
            finding = run(doctor.certificate)
        assert (finding.level, finding.message) == ("ok", "ends in 20 days")

    def test_a_certificate_that_is_not_trusted_is_a_fault(self, run_elsewhere):
        finding = run_elsewhere(doctor.certificate, 200, {}, is_trusted=False)
        assert finding.level == "fault"
        assert finding.message.startswith("is refused by browsers and partners: ")


class TestForgedAddress:
    def test_a_forged_header_that_the_proxy_extends_is_ok(self, run):
        finding = run(doctor.forged_address)
        assert (finding.level, finding.message) == ("ok", "cannot pretend to have another IP address")

    @pytest.mark.parametrize(
        ("proxy", "server"), [(pass_on, {}), (append_address, {"trusted_proxies": 2})],
        ids=["a proxy that passes the header on", "more proxies expected than there are"],
    )  # fmt: skip
    def test_a_forged_address_that_the_service_accepts_is_a_fault(self, run, proxy, server):
        finding = run(doctor.forged_address, proxy, **server)
        assert finding.level == "fault"
        assert "by the header X-Forwarded-For: limits do not hold" in finding.message
        assert "server.trusted_proxies" in finding.do

    def test_a_proxy_that_hides_the_path_is_a_warning(self, run_elsewhere):
        finding = run_elsewhere(doctor.forged_address, 403, {"address": doctor.FORGED_ADDRESS})
        assert finding.level == "warning"
        assert "/healthz responds with 403" in finding.message

    def test_a_forged_address_is_not_tested_if_nothing_responds(self, change_settings, transaction):
        change_settings(server={"issuer": "https://localhost:1"})
        with transaction():
            assert list(doctor.forged_address()) == []


def test_nothing_is_requested_outside_production(transaction, monkeypatch):
    monkeypatch.undo()
    with transaction():
        assert runtime.settings().environment == "test"
        assert [finding for check in doctor.CHECKS for finding in check()] == []
