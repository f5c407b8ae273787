"""The routes of OneRoster 1.2: REST for rostering, and all of it as CSV."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, request, send_file

from clients.xporter import oneroster, oneroster_csv, oneroster_queries, pages, storage, web
from clients.xporter.collection_views import count, format_optional_time, school_of
from clients.xporter.fields import Catalogue
from clients.xporter.oneroster import BASE, RESOURCES, Item, Resource, Roster
from clients.xporter.problems import Problem
from clients.xporter.tokens import Access
from clients.xporter.web import Program

JSON: Final = "application/json"
CSV_PATH: Final = "/ims/oneroster/v1p2/csv"
MAX_IN_MEMORY: Final = 1 << 20
"""How many bytes of a zip are kept in memory; a longer one goes to a temporary file."""
SCHOOL_COLLECTIONS: Final = frozenset({"classes", "courses", "enrollments", "students", "teachers", "terms", "users"})
_CODE_MINOR: Final = {
    400: "invaliddata", 401: "unauthorisedrequest", 403: "forbidden", 404: "unknownobject", 409: "unknownobject",
    503: "server_busy",
}  # fmt: skip

bp = Blueprint("oneroster", __name__)


@bp.get(f"{BASE}/<name>")
def list_items(name: str) -> Response:
    """A page of one resource."""
    return _list(name)


@bp.get(f"{BASE}/<name>/<sourced_id>")
def read_item(name: str, sourced_id: str) -> Response:
    """One item."""
    program, access, catalogue, resource = _prepare(name)
    query = oneroster_queries.read(request.args, resource.fields)
    with _roster(program, access, catalogue, resource.members) as roster:
        item = next((item for item in roster.items(name) if item["sourcedId"] == sourced_id), None)
    if item is None:
        raise Problem("not_found")
    count(program, access, catalogue.scopes_naming(resource.members), 1)
    return Response(msgspec.json.encode({resource.singular: query.select(item)}), content_type=JSON)


@bp.get(f"{BASE}/<parent>/<parent_id>/<name>")
def list_items_of(parent: str, parent_id: str, name: str) -> Response:
    """A page of what belongs to a school, of a class's people, or of a person's classes."""
    return _list(name, parent, parent_id)


@bp.get(CSV_PATH)
def all_as_csv() -> Response:
    """Everything that is granted, as a zip."""
    program, access = web.current_program(), web.access()
    catalogue = _catalogue(program, access)
    written = [RESOURCES[name] for name in oneroster_csv.FILES if name in RESOURCES]
    names = [resource.name for resource in written if _is_available(resource, catalogue, access)]
    members = frozenset(member for name in names for member in RESOURCES[name].members)
    with ExitStack() as cleanup:
        target = cleanup.enter_context(tempfile.SpooledTemporaryFile(MAX_IN_MEMORY))
        with _roster(program, access, catalogue, members) as roster:
            rows = oneroster_csv.write(target, roster, names)
        target.seek(0)
        response = send_file(target, "application/zip", as_attachment=True, download_name="oneroster.zip", etag=False)
        response.call_on_close(cleanup.pop_all().close)
    count(program, access, catalogue.scopes_naming(members), rows)
    return response


@bp.errorhandler(Problem)
def _refused(problem: Problem) -> Response:
    """The refusal in OneRoster's form, with the same headers as elsewhere."""
    response = web.refused(problem)
    value = problem.members.get("code_minor") or _CODE_MINOR.get(problem.kind.status, "internal_server_error")
    field = {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": value}
    description = f"{problem.code}: {problem.detail or problem.kind.meaning}"
    response.set_data(
        msgspec.json.encode(
            {
                "imsx_codeMajor": "failure",
                "imsx_severity": "error",
                "imsx_description": description,
                "imsx_CodeMinor": {"imsx_codeMinorField": [field]},
            }
        )
    )
    response.content_type = JSON
    return response


def _list(name: str, parent: str = "", parent_id: str = "") -> Response:
    program, access, catalogue, resource = _prepare(name)
    query = oneroster_queries.read(request.args, resource.fields)
    members = resource.members
    if parent and parent != "schools":  # the response shows who learns or teaches in a class
        _require(RESOURCES["enrollments"], catalogue, access)
        members |= RESOURCES["enrollments"].members
    with _roster(program, access, catalogue, members) as roster:
        page, total = query.apply(_items_of(roster, name, parent, parent_id) if parent else roster.items(name))
    count(program, access, catalogue.scopes_naming(members), len(page))
    response = Response(msgspec.json.encode({oneroster.PLURALS[resource.singular]: page}), content_type=JSON)
    response.headers["X-Total-Count"] = str(total)
    url = program.settings.resource + quote(request.path)
    response.headers["Link"] = oneroster_queries.links(url, request.args, query, total)
    return response


def _items_of(roster: Roster, name: str, parent: str, parent_id: str) -> Iterator[Item]:
    """The items that belong to the parent. Raises `Problem` where there is no such relation."""
    if parent == "schools" and name in SCHOOL_COLLECTIONS:
        if parent_id not in {org["sourcedId"] for org in roster.items("schools")}:
            raise Problem("not_found")
        return roster.items(name)
    if parent == "classes" and name in {"students", "teachers"}:
        ids = roster.members_of(parent_id)
    elif parent in {"students", "teachers", "users"} and name == "classes":
        ids = roster.classes_of(parent_id)
    else:
        raise Problem("not_found")
    return (item for item in roster.items(name) if item["sourcedId"] in ids)


def _prepare(name: str) -> tuple[Program, Access, Catalogue, Resource]:
    """What a response about a resource needs, if enough is granted. Raises `Problem`."""
    program, access = web.current_program(), web.access()
    resource = RESOURCES.get(name)
    if resource is None:
        raise Problem("not_found")
    catalogue = _catalogue(program, access)
    _require(resource, catalogue, access)
    return program, access, catalogue, resource


def _catalogue(program: Program, access: Access) -> Catalogue:
    """The catalogue, for a token with at least one data scope. Raises `Problem`."""
    catalogue = program.fields.current()
    access.require_school()
    access.require_scope(*catalogue.scopes)
    return catalogue


def _require(resource: Resource, catalogue: Catalogue, access: Access) -> None:
    """Raise `Problem` unless enough is granted for the resource."""
    if not _is_available(resource, catalogue, access):
        needed = catalogue.scopes_naming(member for members in resource.needs for member in members)
        raise Problem("insufficient_scope", scheme=access.scheme, scope=" ".join(sorted(needed)))


def _is_available(resource: Resource, catalogue: Catalogue, access: Access) -> bool:
    return resource.is_available(lambda collection: catalogue.granted(collection, access.scopes))


@contextmanager
def _roster(program: Program, access: Access, catalogue: Catalogue, members: frozenset[str]) -> Iterator[Roster]:
    """The roster, from records with those of the `members` that are granted. Raises `Problem`."""
    with program.database.snapshot() as connection:
        school = school_of(connection, access)
        stored = storage.all_collections(connection, school.id)

        def records(collection: str) -> Iterator[Item]:
            shown = frozenset(
                name for name in catalogue.granted(collection, access.scopes) if f"{collection}.{name}" in members
            )
            if not shown:
                return iter(())
            return pages.stream_all(connection, school, collection, catalogue.filter(shown))

        changed_at = {name: format_optional_time(state.changed_at) or "" for name, state in stored.items()}
        yield Roster(school.estab_id, program.settings.resource, changed_at, records)
