"""Read a school's data from the API of XporterOnDemand with an access token. Only this module has its URLs.

The first time a collection is read page by page; afterwards only what has changed, from the URL `delta` of the last
response. If that has expired, because the school shares more or less than before, it is read anew.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from clients.assembly.errors import ProviderUnreachable
from clients.assembly.provider import Provider

KINDS = {"students": "Pupils", "staff": "Staff", "classes": "Classes"}
"""The collections that we read, and their names for people."""
SAMPLE_SIZE = 5
"""How many records are kept to be shown."""
PAGE_SIZE = 1000
"""How many records one request asks for."""
REFERENCES = {"id", "year_group", "registration_group", "house"}
"""Members that hold ids of other records; they are not shown."""
NAME_PREFIXES = ("name", "legal_", "preferred_")
"""The beginnings of members that name someone; they are shown first."""
STOPPED_CODES = {"authorisation_paused", "authorisation_ended", "invalid_token"}
"""The problem codes after which the token does not work: the school shares no more, or not for now."""


class TokenRefused(Exception):
    """The API refuses the token: it has expired, or the school has paused or stopped sharing."""


class Problem(Exception):
    """The API refuses for another reason: the `code` of its problem document (RFC 9457)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read(provider: Provider, api: str, access_token: str, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The school's data as it is now; with what was received `before`, only changes are read.

    `areas` are the scopes of the token, `totals` the numbers of records of all collections, and `kinds` has for each
    shared one of `KINDS` the count, a sample, the changes, and the URL of the next changes. If the API refuses,
    `refusal` is the code of its problem document. Raises `TokenRefused` and `ProviderUnreachable`.
    """
    previous = (before or {}).get("kinds", {})
    received: dict[str, Any] = {"areas": [], "totals": {}, "kinds": {}, "refusal": None}
    try:
        school = _get(provider, f"{api}/v1/schools/me", access_token)
        received["areas"] = school.get("scopes", [])
        received["totals"] = {name: state.get("total", 0) for name, state in school.get("collections", {}).items()}
        for kind in KINDS:
            if kind in received["totals"]:
                received["kinds"][kind] = _read_kind(provider, api, kind, access_token, previous.get(kind))
        if school.get("estab_status") not in {None, "verified"}:
            received["refusal"] = "school_unverified"
    except Problem as error:
        received["refusal"] = error.code
        received["kinds"] = {}
    return received


def _read_kind(
    provider: Provider, api: str, kind: str, access_token: str, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    if before and before.get("delta"):
        try:
            return _read_changes(provider, kind, access_token, before)
        except Problem as error:
            if error.code != "cursor_expired":
                raise
    return _read_all(provider, f"{api}/v1/{kind}?limit={PAGE_SIZE}", kind, access_token)


def _read_all(provider: Provider, url: str, kind: str, access_token: str) -> dict[str, Any]:
    """Read all records; the URL of the next changes is that of the first page, as some may change meanwhile."""
    count, delta = 0, None
    sample: list[Any] = []
    for page in _pages(provider, url, access_token):
        delta = delta or page.get("delta")
        records = page[kind]
        count += len(records)
        sample += records[: SAMPLE_SIZE - len(sample)]
    return {"count": count, "sample": sample, "delta": delta, "changed": None, "gone": None}


def _read_changes(provider: Provider, kind: str, access_token: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Apply what changed since `before`: records that came or changed, and those that are gone."""
    sample = {record["id"]: record for record in before["sample"]}
    changed, gone, last = 0, 0, dict(before)
    for page in _pages(provider, str(before["delta"]), access_token):
        last = {"count": page["total"], "delta": page["delta"]}
        changed, gone = changed + len(page[kind]), gone + len(page["deleted"])
        for record in page[kind]:
            if record["id"] in sample or len(sample) < SAMPLE_SIZE:
                sample[record["id"]] = record
        for record_id in page["deleted"]:
            sample.pop(record_id, None)
    if not changed and not gone:
        # The numbers of the last change are shown until there is another.
        changed, gone = before["changed"], before["gone"]
    return {**last, "sample": list(sample.values()), "changed": changed, "gone": gone}


def _pages(provider: Provider, url: str, access_token: str) -> Iterator[dict[str, Any]]:
    """The pages from a URL on, until one has no `next`."""
    while url:
        page = _get(provider, url, access_token)
        yield page
        url = page.get("next") or ""


def table(sample: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A table of records for people: the headings, and a row for each record."""
    names = dict.fromkeys(name for record in sample for name in record if name not in REFERENCES)
    members = sorted(names, key=lambda name: (not name.startswith(NAME_PREFIXES), "preferred" in name))
    headings = [name.upper() if name == "upn" else name.replace("_", " ").capitalize() for name in members]
    return headings, [[_text(record.get(name)) for name in members] for record in sample]


def _text(value: Any) -> str:
    """The text that shows a value; for a list of other records, their number."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return str(len(value))
    return "" if value is None else str(value)


def _get(provider: Provider, url: str, access_token: str) -> dict[str, Any]:
    """The JSON document at a URL. Raises `TokenRefused`, `Problem` and `ProviderUnreachable`."""
    response = provider.call("GET", url, access_token, headers={"Accept": "application/json"})
    try:
        document = response.json()
    except ValueError as error:
        if response.status_code == 401:
            raise TokenRefused(response.headers.get("WWW-Authenticate", "")) from None
        raise ProviderUnreachable(f"{url} did not respond with JSON") from error
    code = str(document.get("code", "")) if isinstance(document, dict) else ""
    if response.status_code == 401 or code in STOPPED_CODES:
        raise TokenRefused(code)
    if response.status_code >= 400:
        raise Problem(code or str(response.status_code))
    if response.status_code != 200 or not isinstance(document, dict):
        raise ProviderUnreachable(f"{url} responded with {response.status_code}")
    return document
