"""A fake provider and receiver, which behave as docs/design/xporter.md says, and fail where a test sets it. They also
give responses that our own servers never give, which an agent has to handle as well.
"""

import gzip
import hashlib
import json
import logging
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from joserfc import jws
from joserfc.jwk import ECKey
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler, make_server

PIECE_BYTES = 2048


@dataclass
class Servers:
    """The URL of the servers, how they respond to the next requests, and the requests that they received."""

    issuer: str = ""
    clock_ahead: float = 0.0
    """Seconds that their clock is ahead of ours."""
    nonce: str = ""
    """The nonce required in proofs, if set."""
    has_bare_challenges: bool = False
    """Whether a 401 has no body, and the error in its challenge stands without quotation marks."""
    rotates: bool = False
    lifetime: int = 600
    decisions: list[str] = field(default_factory=lambda: ["authorization_pending"])
    """The errors of the responses to the next polls; afterwards the code is approved."""
    estab_status: str = "verified"
    other_endpoint: str = ""
    """The name of another endpoint of the school."""
    endpoint_ended: bool = False
    """Whether the endpoint was replaced or removed, while its access token is still valid."""
    extract_wanted: bool = False
    revoked: bool = False
    paused: bool = False
    """Whether the school has paused this server."""
    forgets_extracts: bool = False
    refuses_extract: str = ""
    error_statuses: dict[str, list[int]] = field(default_factory=dict)
    """Statuses of the next responses by endpoint, after the request was carried out; 0 leaves the response as it is."""
    hangs_at: str = ""
    """The next request that hangs: `before piece` or `after piece`, before or after that request is carried out."""
    hanging: threading.Event = field(default_factory=threading.Event)
    codes: int = 0
    user_code: str = "WDJB-MJHT"
    refresh_token: str = ""
    tokens: set[str] = field(default_factory=set)
    jtis: set[str] = field(default_factory=set)
    jkt: str = ""
    reports: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    extracts: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytearray] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The receiver's records by collection and key."""
    unregistered: bool = False

    def apply(self, identifier: str) -> None:
        """Apply an extract as docs/design/xporter.md §3 says."""
        announcement, content = self.extracts[identifier], bytes(self.contents[identifier])
        assert hashlib.sha256(content).hexdigest() == announcement["sha256"]
        lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
        header = lines.pop(0)
        assert header["format"] == 1
        assert header["made_at"] == announcement["made_at"]
        before = dict(self.data)
        for collection in header["complete"]:
            self.data[collection] = {}
        for line in lines:
            collection, key = line["collection"], line["key"]
            if not line.get("kept"):
                self.data.setdefault(collection, {})[key] = line["data"]
            elif key in before.get(collection, {}):
                self.data[collection][key] = before[collection][key]
        self.applied.append(identifier)
        announcement["state"] = "refused" if self.refuses_extract else "applied"

    def describe(self, identifier: str) -> dict[str, Any]:
        """The document about an extract."""
        announcement = self.extracts[identifier]
        return {
            "id": identifier, "state": announcement["state"], "offset": len(self.contents[identifier]),
            "bytes": announcement["bytes"], "max_piece_bytes": PIECE_BYTES, "counts": {"students": {"added": 12}},
            "problems": [{"line": 1, "message": self.refuses_extract}] if self.refuses_extract else [],
        }  # fmt: skip


def _problem(status: int, code: str, **members: Any) -> ResponseReturnValue:
    return jsonify(
        {"type": f"/problems/{code}", "code": code, "title": code, "detail": f"{code} occurred", **members}
    ), status


def _app(servers: Servers) -> Flask:  # noqa: C901, PLR0915  one function for each endpoint
    app = Flask("servers")

    def name() -> str:
        return str(request.endpoint)

    def hang(moment: str) -> None:
        if servers.hangs_at == f"{moment} {name()}":
            servers.hangs_at = ""
            servers.hanging.set()
            time.sleep(60)

    @app.before_request
    def before() -> ResponseReturnValue | None:
        servers.requests.append(name())
        hang("before")
        if name() in {"None", "discovery", "device_authorization", "revoke"}:
            return None
        error = _proof_error(servers)
        if error:
            return (jsonify(error=error), 400) if name() == "token" else _unauthorized(error)
        if name() != "token" and request.headers.get("Authorization", "")[5:] not in servers.tokens:
            return _unauthorized("invalid_token")
        return None

    @app.after_request
    def after(response: Response) -> Response:
        if servers.nonce:
            response.headers["DPoP-Nonce"] = servers.nonce
        statuses = servers.error_statuses.get(name(), [])
        if statuses and (status := statuses.pop(0)):
            response.status_code = status
            response.data = b"<html>Bad Gateway</html>"
        hang("after")
        return response

    def _unauthorized(error: str) -> ResponseReturnValue:
        if servers.has_bare_challenges:
            return "", 401, {"WWW-Authenticate": f'Bearer, DPoP algs="ES256", Error = {error}'}
        response = jsonify(error=error)
        response.headers["WWW-Authenticate"] = f'DPoP error="{error}"'
        response.status_code = 401
        return response

    @app.get("/.well-known/openid-configuration")
    def discovery() -> ResponseReturnValue:
        issuer = servers.issuer
        return jsonify(
            issuer=issuer, token_endpoint=f"{issuer}/token",
            device_authorization_endpoint=f"{issuer}/device_authorization", revocation_endpoint=f"{issuer}/revoke",
        )  # fmt: skip

    @app.post("/device_authorization")
    def device_authorization() -> ResponseReturnValue:
        assert request.form["client_id"] == "xporter-endpoint"
        assert request.form["scope"] == "endpoint offline_access"
        servers.codes += 1
        page = f"{servers.issuer}/device"
        return jsonify(
            device_code=f"device-{servers.codes}", user_code=servers.user_code, verification_uri=page,
            verification_uri_complete=f"{page}?user_code=WDJB-MJHT", expires_in=900, interval=0,
        )  # fmt: skip

    @app.post("/token")
    def token() -> ResponseReturnValue:
        if request.form["grant_type"].endswith("device_code"):
            decision = servers.decisions.pop(0) if servers.decisions else ""
            if decision:
                return jsonify(error=decision), 400
            servers.refresh_token = "refresh-0"
        elif servers.paused:
            return jsonify(error="access_denied", error_description="refresh_token: the school has paused sharing"), 400
        elif servers.revoked or not _is_refresh_token(servers, request.form["refresh_token"]):
            return jsonify(error="invalid_grant"), 400
        elif servers.rotates and request.form["refresh_token"] == servers.refresh_token:
            servers.refresh_token = f"refresh-{int(servers.refresh_token[8:]) + 1}"
        access_token = f"access-{len(servers.tokens)}"
        servers.tokens.add(access_token)
        first = request.form["grant_type"] != "refresh_token"
        new = {"refresh_token": servers.refresh_token} if first or servers.rotates else {}
        return jsonify(access_token=access_token, token_type="DPoP", expires_in=servers.lifetime, **new)

    @app.post("/revoke")
    def revoke() -> ResponseReturnValue:
        servers.revoked = True
        return "", 200

    @app.route("/api/endpoint", methods=["PUT", "DELETE"])
    def endpoint() -> ResponseReturnValue:
        if request.method == "DELETE":
            servers.unregistered = servers.revoked = True
            return "", 204
        body = request.get_json()
        if servers.endpoint_ended:
            return _problem(409, "endpoint_ended")
        assert {"name", "mis", "agent_version", "platform", "last_extract", "last_error"} <= body.keys()
        if servers.other_endpoint and not body.get("replaces"):
            return _problem(409, "endpoint_exists", name=servers.other_endpoint)
        servers.other_endpoint = ""
        servers.reports.append(body)
        extract_wanted, servers.extract_wanted = servers.extract_wanted, False
        return jsonify(
            estab_id="3124567", estab_status=servers.estab_status, state="registered", report_every_seconds=900,
            extract_wanted=extract_wanted, resource=servers.issuer, server_time="2026-11-29T15:00:00Z",
            connected_until="2027-11-29T15:00:00Z",
        )  # fmt: skip

    @app.post("/v1/extracts")
    def begin() -> ResponseReturnValue:
        if servers.estab_status != "verified":
            return _problem(403, "school_unverified")
        announcement = request.get_json()
        is_new = announcement["id"] not in servers.extracts
        if is_new:
            servers.extracts[announcement["id"]] = announcement | {"state": "receiving"}
            servers.contents[announcement["id"]] = bytearray()
        return jsonify(servers.describe(announcement["id"])), 201 if is_new else 200

    @app.patch("/v1/extracts/<identifier>")
    def piece(identifier: str) -> ResponseReturnValue:
        if servers.forgets_extracts:
            servers.forgets_extracts = False
            servers.extracts.clear()
        if identifier not in servers.extracts:
            return _problem(404, "not_found")
        content = servers.contents[identifier]
        if int(request.headers["Upload-Offset"]) != len(content):
            return _problem(409, "offset_mismatch", offset=len(content))
        assert len(request.data) <= PIECE_BYTES
        content += request.data
        if len(content) < servers.extracts[identifier]["bytes"]:
            return jsonify(servers.describe(identifier))
        servers.extracts[identifier]["state"] = "checking"
        response = jsonify(servers.describe(identifier))
        servers.apply(identifier)
        return response, 202

    @app.get("/v1/extracts/<identifier>")
    def extract_status(identifier: str) -> ResponseReturnValue:
        return jsonify(servers.describe(identifier))

    @app.delete("/v1/data")
    def delete_data() -> ResponseReturnValue:
        servers.data.clear()
        return "", 204

    return app


def _is_refresh_token(servers: Servers, token: str) -> bool:
    """Whether it is the newest refresh token, or the one before it: the response with the newest may have been lost."""
    number = int(servers.refresh_token[8:])
    return token in {servers.refresh_token, f"refresh-{number - 1}"}


def _proof_error(servers: Servers) -> str:
    """What is wrong with the DPoP proof of this request (RFC 9449 §4.3), or nothing."""
    extracted = jws.extract_compact(request.headers["DPoP"].encode())
    header, claims = extracted.protected, json.loads(extracted.payload)
    key = ECKey.import_key(header["jwk"])
    jws.deserialize_compact(request.headers["DPoP"], key, algorithms=["ES256"])
    assert header["typ"] == "dpop+jwt"
    assert "d" not in header["jwk"]
    assert (claims["htm"], claims["htu"]) == (request.method, request.base_url)
    assert claims["jti"] not in servers.jtis
    servers.jtis.add(claims["jti"])
    if servers.nonce and claims.get("nonce") != servers.nonce:
        return "use_dpop_nonce"
    if abs(claims["iat"] - time.time() - servers.clock_ahead) > 60:
        return "invalid_dpop_proof"
    thumbprint = key.thumbprint()
    servers.jkt = servers.jkt or thumbprint
    assert thumbprint == servers.jkt
    token = request.headers.get("Authorization", "")[5:]
    if token:
        assert claims["ath"] == urlsafe_b64encode(sha256(token.encode()).digest()).decode().rstrip("=")
    return ""


class _Handler(WSGIRequestHandler):
    servers: Servers
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  Werkzeug's signature
        logging.getLogger("tests.clients.endpoint").debug(message, *args)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.servers.clock_ahead, usegmt=True)


@contextmanager
def running() -> Iterator[Servers]:
    """Serve both on one free port of this machine, until the block ends."""
    servers = Servers()
    handler = type("Handler", (_Handler,), {"servers": servers})
    server = make_server("127.0.0.1", 0, Flask("nothing"), threaded=True, request_handler=handler)
    assert isinstance(server, ThreadedWSGIServer)
    server.daemon_threads = True
    server.block_on_close = False
    servers.issuer = f"http://127.0.0.1:{server.server_port}"
    server.app = _app(servers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield servers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
