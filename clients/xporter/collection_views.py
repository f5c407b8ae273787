"""The routes that partners read: `/v1/schools/me`, `/v1/{collection}` and `/v1/{collection}/{id}`.

Each check tells the caller more, so their order matters: the token, the school's status, the scope, and only then
whether there is data. A member of a record is served only if a granted scope names it (`fields`).
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec
from flask import Blueprint, Response, request
from msgspec import structs

from clients.xporter import bulk, cursors, pages, storage, web
from clients.xporter.cursors import Cursor, Position
from clients.xporter.extracts import format_time
from clients.xporter.fields import Grant
from clients.xporter.pages import View
from clients.xporter.problems import Problem
from clients.xporter.snapshots import Snapshot
from clients.xporter.storage import Collection, School
from clients.xporter.tokens import Access
from clients.xporter.web import Program

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
COLLECTION_ALIASES: Final = {"timetable": "lessons", "assessment": "assessments"}
"""Data areas whose collection has another name."""

_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines

log = logging.getLogger(__name__)
bp = Blueprint("collections", __name__, url_prefix="/v1")


@bp.get("/schools/me")
def school_of_the_token() -> Response:
    """The school, its status, the granted scopes, and the size of each granted collection."""
    program, access = web.current_program(), web.access()
    estab_id = access.require_school(verified=False)
    catalogue = program.fields.current()
    visible = [name for name in catalogue.collections if catalogue.grant(name, access.scopes).areas]
    with program.database.snapshot(one_statement=True) as connection:
        school, stored = storage.school_and_collections(connection, estab_id)
    shown = visible if access.estab_status == "verified" else []
    return _conditional(
        {
            "estab_id": estab_id,
            "estab_status": access.estab_status,
            "scopes": sorted(access.scopes & catalogue.scopes),
            "endpoint": {"last_extract_at": format_optional_time(school.last_extract_at) if school else None},
            "collections": {
                name: {"total": stored[name].total, "changed_at": format_optional_time(stored[name].changed_at)}
                if name in stored
                else {"total": 0, "changed_at": None}
                for name in shown
            },
        }
    )


@bp.get("/<collection>")
def list_records(collection: str) -> Response:
    """A page of the collection, or of what changed; with `Accept: application/x-ndjson` all of it, line by line."""
    program, access = web.current_program(), web.access()
    collection = COLLECTION_ALIASES.get(collection, collection)
    grant = _require_grant(program, access, collection)
    parameters = request.args.to_dict()
    limit, requested = _limit(parameters), _requested(grant, collection, parameters)
    if requested.position.kind == "listing" and requested.cursor is None and _prefers_lines():
        return _stream(program, access, grant, collection, requested)
    query = request.query_string.decode("ascii", "replace")
    if "If-None-Match" in request.headers:
        with program.database.snapshot(one_statement=True) as connection:
            view = _view(connection, grant, access, collection)
        requested.position_in(view)
        etag = _etag(view, requested.position.kind, limit, query)
        _check_if_match(etag)
        if request.if_none_match.contains_weak(etag):
            return _not_modified(etag)
    with program.database.snapshot(one_statement=True) as connection:
        stored = storage.page_of_school(
            connection, access.require_school(), collection, limit=limit + 1, **requested.bounds
        )  # fmt: skip
    school, state, rows = stored or (None, None, None)
    view = _view_of(school, state, grant, access, collection)
    position = requested.position_in(view)
    assert rows is not None
    page = pages.build(view, position, rows, limit)
    etag = _etag(view, position.kind, limit, query)
    _check_if_match(etag)
    count(program, access, grant.areas, page.size)
    document: dict[str, Any] = {collection: page.records}
    if page.deleted is not None:
        document["deleted"] = page.deleted
    resource = program.settings.resource
    document |= {
        "total": view.total, "next": _address(resource, collection, page.next, limit),
        "delta": _address(resource, collection, page.delta, limit),
    }  # fmt: skip
    return _with_etag(_encode(document), etag)


@bp.get("/<collection>/<record_id>")
def read_record(collection: str, record_id: str) -> Response:
    """One record."""
    program, access = web.current_program(), web.access()
    collection = COLLECTION_ALIASES.get(collection, collection)
    grant = _require_grant(program, access, collection)
    with program.database.snapshot(one_statement=True) as connection:
        stored = storage.record_of_school(connection, access.require_school(), collection, record_id)
    school, state, record = stored or (None, None, None)
    view = _view_of(school, state, grant, access, collection)
    if record is None:
        raise Problem("not_found")
    etag = _etag(view, "record", record.id, record.version)
    _check_if_match(etag)
    if request.if_none_match.contains_weak(etag):
        return _not_modified(etag)
    count(program, access, grant.areas, 1)
    return _with_etag(_encode(grant.filter.apply(record)), etag)


def school_of(connection: Snapshot, access: Access) -> School:
    """The school of the token. Raises `Problem` if it is not verified, or if nothing was ever received."""
    return _require_data(storage.school(connection, access.require_school()), access)


def count(program: Program, access: Access, areas: Iterable[str], records: int) -> None:
    """Count a response with this number of records, under each of the areas that is granted."""
    program.reads.count(access.require_school(), access.client_id, access.scopes.intersection(areas), records)
    program.reporter.ensure_running()


def format_optional_time(at: float | None) -> str | None:
    """`at` as `extracts.format_time` writes it; None if it is None."""
    return format_time(at) if at else None


def _require_grant(program: Program, access: Access, collection: str) -> Grant:
    """What the caller may see of the records of the collection. Raises `Problem`, also if it is nothing."""
    catalogue = program.fields.current()
    if collection not in catalogue.collections:
        raise Problem("not_found")
    access.require_school()
    grant = catalogue.grant(collection, access.scopes)
    if not grant.areas:
        access.require_scope(*catalogue.scopes_of(collection))
    return grant


def _view(connection: Snapshot, grant: Grant, access: Access, collection: str) -> View:
    """The collection as the caller may see it. Raises `Problem`."""
    school, state = storage.school_and_collection(connection, access.require_school(), collection) or (None, None)
    return _view_of(school, state, grant, access, collection)


def _view_of(school: School | None, state: Collection | None, grant: Grant, access: Access, collection: str) -> View:
    return View(_require_data(school, access), collection, grant, access.client_id, state)


def _require_data(school: School | None, access: Access) -> School:
    if school is None or school.last_extract_at is None:
        raise Problem("endpoint_not_registered", scheme=access.scheme)
    return school


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("limit")
    if text is None:
        return pages.DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not 1 <= int(text) <= pages.MAX_LIMIT:
        raise Problem("invalid_request", f"limit must be a number from 1 to {pages.MAX_LIMIT}.")
    return int(text)


class _Requested(NamedTuple):
    """Which part of the collection is requested."""

    position: Position
    """The position of a cursor, which is not checked yet, or the start of a listing, whose version is not known yet."""
    cursor: Cursor | None

    def position_in(self, view: View) -> Position:
        """The position, checked. Raises `Problem`."""
        if self.cursor is None:
            return structs.replace(self.position, version=view.school.version)
        self.cursor.check(view.school, view.bound_to)
        return self.position

    @property
    def bounds(self) -> dict[str, Any]:
        """The parameters of `storage.page_of_school`."""
        if self.position.kind == "changes":
            return {"since": self.position.version}
        position = self.position
        return {
            "after": position.after, "student": position.student, "date_from": position.date_from,
            "date_to": position.date_to,
        }  # fmt: skip


def _requested(grant: Grant, collection: str, parameters: Mapping[str, str]) -> _Requested:
    """The position of the cursor, or the beginning, narrowed by `student`, `from` and `to`. Raises `Problem`."""
    given = {name: value for name in ("student", "from", "to") if (value := parameters.get(name))}
    if text := parameters.get("cursor"):
        if given:
            raise Problem("invalid_request", f"{next(iter(given))} cannot be sent with a cursor: it is in the cursor.")
        cursor = cursors.read(text)
        return _Requested(cursor.position, cursor)
    for name in given:
        member = "student" if name == "student" else "date"
        if member not in grant.members:
            raise Problem("invalid_request", f"{collection} cannot be narrowed by {name} with these scopes.")
    for name in ("from", "to"):
        if name in given:
            given[name] = _day(name, given[name])
    position = Position(
        collection, "listing", 0, student=given.get("student"), date_from=given.get("from"), date_to=given.get("to")
    )  # fmt: skip
    return _Requested(position, None)


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Problem("invalid_request", f"{name} must be a date such as 2026-09-01.") from None


def _prefers_lines() -> bool:
    accepted = request.headers.get("Accept", "")
    return NDJSON in accepted and request.accept_mimetypes.best_match([JSON, NDJSON]) == NDJSON


def _stream(program: Program, access: Access, grant: Grant, collection: str, requested: _Requested) -> Response:
    """All records, one in each line; the last line has their number, and the URL of later changes."""

    def lines() -> Iterator[bytes]:
        sent, until = 0, time.monotonic() + bulk.MAX_SECONDS
        try:
            with program.database.snapshot() as connection:
                view = _view(connection, grant, access, collection)
                start = requested.position_in(view)
                for batch in pages.stream(connection, view, start):
                    sent += len(batch)
                    yield _encode_lines(batch)
                    if time.monotonic() > until:
                        log.warning("a response with all %s was ended, because it took too long", collection)
                        return
                delta = _address(resource, collection, pages.delta_after(view, start), pages.DEFAULT_LIMIT)
                yield _encode_lines([{"total": sent, "delta": delta}])
        finally:
            end()
            count(program, access, grant.areas, sent)

    resource = program.settings.resource
    with program.database.snapshot(one_statement=True) as connection:
        _view(connection, grant, access, collection)  # a refusal is a problem document, not a line
    end = program.bulk.start(access.client_id)
    response = Response(lines(), content_type=NDJSON)
    response.call_on_close(end)
    response.headers["Vary"] = "Accept, Authorization"
    return response


def _address(resource: str, collection: str, cursor: str | None, limit: int) -> str | None:
    if cursor is None:
        return None
    parameter = f"&limit={limit}" if limit != pages.DEFAULT_LIMIT else ""
    return f"{resource}/v1/{collection}?cursor={cursor}{parameter}"


def _etag(view: View, *parts: object) -> str:
    """An ETag of the data, of what the caller may see of it, and of whether the cursors in the response still work."""
    school = view.school
    content = "\0".join(map(str, [school.epoch, school.forgotten_version, view.version, *parts])).encode()
    return hashlib.blake2b(content + b"\0" + view.bound_to, digest_size=16).hexdigest()


def _conditional(document: Any) -> Response:
    content = _encode(document)
    etag = hashlib.blake2b(content, digest_size=16).hexdigest()
    _check_if_match(etag)
    return _not_modified(etag) if request.if_none_match.contains_weak(etag) else _with_etag(content, etag)


def _check_if_match(etag: str) -> None:
    """Raise `Problem` if the request has an `If-Match` without this tag (RFC 9110 §13.1.1)."""
    if "If-Match" in request.headers and not request.if_match.contains(etag):
        raise Problem("precondition_failed")


def _not_modified(etag: str) -> Response:
    return Response(status=304, headers=_validators(etag))


def _with_etag(content: bytes, etag: str) -> Response:
    return Response(content, content_type=JSON, headers=_validators(etag))


def _validators(etag: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
