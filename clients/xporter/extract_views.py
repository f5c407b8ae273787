"""The routes to which endpoints send extracts: for a token of the scope `endpoint`, and a verified school."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from clients.xporter import extracts, web
from clients.xporter.extracts import Announcement, Extract, format_time
from clients.xporter.problems import Problem

bp = Blueprint("extracts", __name__)


@bp.post("/v1/extracts")
def announce() -> tuple[Response, int]:
    """Announce an extract; repeated for the same file, the response has its current state."""
    estab_id, program = web.access().require_endpoint(), web.current_program()
    try:
        document = request.get_json(force=True)
    except (BadRequest, RecursionError):  # arrays nested too deeply
        raise Problem("invalid_request", "The body must be JSON.") from None
    now = program.now()
    extract, is_new = extracts.announce(program.database, estab_id, Announcement.read(document, now), now)
    response = {"id": extract.id, "state": extract.state, "offset": extract.offset}
    return jsonify(response | {"max_piece_bytes": extracts.MAX_PIECE_BYTES}), 201 if is_new else 200


@bp.patch("/v1/extracts/<extract_id>")
def add_piece(extract_id: str) -> tuple[Response, int]:
    """Append a piece to the extract."""
    estab_id, program = web.access().require_endpoint(), web.current_program()
    if request.mimetype != "application/octet-stream":
        raise Problem("invalid_request", "The Content-Type of a piece is application/octet-stream.")
    offset = request.headers.get("Upload-Offset", "")
    if not offset.isascii() or not offset.isdigit() or len(offset) > 12:
        raise Problem("invalid_request", "The header Upload-Offset must be the number of bytes before the piece.")
    data = request.get_data()
    if not data:
        raise Problem("invalid_request", "The piece is empty.")
    extract = extracts.add_piece(program.database, estab_id, extract_id, int(offset), data, program.now())
    if extract.state == "checking":
        program.worker.wake()
    return jsonify(state=extract.state, offset=extract.offset), 202 if extract.state == "checking" else 200


@bp.get("/v1/extracts/<extract_id>")
def status(extract_id: str) -> Response:
    """The state of the extract."""
    estab_id = web.access().require_endpoint()
    return jsonify(_describe(extracts.find(web.current_program().database, estab_id, extract_id)))


@bp.delete("/v1/data")
def delete_everything() -> tuple[str, int]:
    """Delete everything of the school."""
    extracts.delete_all(web.current_program().database, web.access().require_endpoint(verified=False))
    return "", 204


def _describe(extract: Extract) -> dict[str, Any]:
    applied_at = format_time(extract.applied_at) if extract.applied_at is not None else None
    response = {
        "id": extract.id, "state": extract.state, "offset": extract.offset, "bytes": extract.bytes,
        "counts": extract.counts, "problems": extract.problems, "applied_at": applied_at,
    }  # fmt: skip
    return response | ({"code": extract.refusal} if extract.refusal else {})
