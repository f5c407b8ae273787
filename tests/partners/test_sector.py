"""Several hosts in one sector, as the document at `sector_identifier_uri` lists them."""

import http.server
import json
import threading

import pytest

from idp.partners import sector
from idp.partners.metadata import InvalidClientMetadata

URIS = ["https://a.example/cb", "https://b.example/cb"]


@pytest.fixture
def serve(app):
    """`serve(body)` serves a document on this machine; returns its URL."""
    servers = []

    def start(body, status=200):
        class Document(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Document)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/sector.json"

    with app.app_context():
        yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_document_that_lists_all_uris_is_accepted(serve):
    sector.check(serve(json.dumps([*URIS, "https://c.example/cb"]).encode()), URIS)


def test_without_a_url_nothing_is_downloaded(serve):
    sector.check(None, URIS)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps(URIS[:1]).encode(), 200),
        (b"{}", 200),
        (b"<html>", 200),
        (b"\xff", 200),
        (json.dumps(URIS).encode(), 404),
    ],
)
def test_any_other_document_is_refused(serve, body, status):
    with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri"):
        sector.check(serve(body, status), URIS)


def test_an_unreachable_url_is_refused(serve):
    with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri"):
        sector.check("http://127.0.0.1:1/sector.json", URIS)
