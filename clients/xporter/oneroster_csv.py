"""OneRoster 1.2 CSV: a zip with the manifest and a file for each resource that is granted, complete (`bulk`)."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final

from clients.xporter.oneroster import Item, Roster

_COMMON: Final = ("sourcedId", "status", "dateLastModified")
FILES: Final = {
    "academicSessions": (*_COMMON, "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"),
    "classes": (
        *_COMMON, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
        "termSourcedIds", "subjects", "subjectCodes", "periods",
    ),
    "courses": (
        *_COMMON, "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes",
    ),
    "demographics": (
        *_COMMON, "birthDate", "sex", "americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican",
        "nativeHawaiianOrOtherPacificIslander", "white", "demographicRaceTwoOrMoreRaces", "hispanicOrLatinoEthnicity",
        "countryOfBirthCode", "stateOfBirthAbbreviation", "cityOfBirth", "publicSchoolResidenceStatus",
    ),
    "enrollments": (
        *_COMMON, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
    ),
    "orgs": (*_COMMON, "name", "type", "identifier", "parentSourcedId"),
    "roles": (
        *_COMMON, "userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId",
    ),
    "users": (
        *_COMMON, "enabledUser", "username", "userIds", "givenName", "familyName", "middleName", "identifier", "email",
        "sms", "phone", "agentSourcedIds", "grades", "password", "userMasterIdentifier", "preferredGivenName",
        "preferredMiddleName", "preferredFamilyName", "primaryOrgSourcedId", "pronouns",
    ),
}  # fmt: skip
"""The columns of each file that we write, in the order of the binding."""
_RESOURCE_OF: Final = {"roles": "users"}
_ABSENT: Final = (
    "categories", "classResources", "courseResources", "lineItemLearningObjectiveIds", "lineItems",
    "lineItemScoreScales", "resources", "resultLearningObjectiveIds", "results", "resultScoreScales", "scoreScales",
    "userProfiles", "userResources",
)  # fmt: skip
"""Files of the binding that we never write; the manifest says so."""


def write(target: IO[bytes], roster: Roster, resources: Iterable[str]) -> int:
    """Write the zip with these resources to `target`, row by row; returns how many rows it has."""
    wanted, rows = set(resources), 0
    present = [name for name in FILES if _RESOURCE_OF.get(name, name) in wanted]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_file(archive, "manifest", ("propertyName", "value"), _manifest(present))
        for name in present:
            items = roster.items(_RESOURCE_OF.get(name, name))
            rows += _write_file(archive, name, FILES[name], (row for item in items for row in _ROWS[name](item)))
    return rows


def _manifest(present: list[str]) -> Iterator[dict[str, Any]]:
    files = {
        f"file.{name}": "bulk" if name in present else "absent" for name in sorted([*FILES, *_ABSENT], key=str.lower)
    }
    properties = {
        "manifest.version": "1.0",
        "oneroster.version": "1.2",
        **files,
        "source.systemName": "XporterOnDemand",
    }
    return ({"propertyName": name, "value": value} for name, value in properties.items())


def _write_file(
    archive: zipfile.ZipFile, name: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]
) -> int:  # fmt: skip
    with archive.open(f"{name}.csv", "w") as binary, io.TextIOWrapper(binary, "utf-8", newline="") as text:
        writer = csv.DictWriter(text, columns, extrasaction="ignore")
        writer.writeheader()
        number = 0
        for number, row in enumerate(rows, 1):  # noqa: B007  the number of the last is how many there are
            writer.writerow({column: _cell(row.get(column)) for column in columns})
    return number


def _cell(value: Any) -> str:
    """The text of a value: a list is joined by commas, which RFC 4180 quotes, and an unknown value is empty."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _plain(item: Item) -> Iterator[Item]:
    """The item without what a bulk file must leave empty, and references as ids."""
    row = {name: value for name, value in item.items() if name not in {"status", "dateLastModified"}}
    for name, column in (("parent", "parentSourcedId"), ("course", "courseSourcedId"), ("school", "schoolSourcedId"),
                         ("org", "orgSourcedId"), ("class", "classSourcedId"), ("user", "userSourcedId")):  # fmt: skip
        if name in row:
            row[column] = row.pop(name)["sourcedId"]
    yield row


def _class(item: Item) -> Iterator[Item]:
    for row in _plain(item):
        yield row | {"termSourcedIds": [term["sourcedId"] for term in item["terms"]]}


def _user(item: Item) -> Iterator[Item]:
    yield item | {
        "status": "", "dateLastModified": "",
        "userIds": [f"{{{one['type']}:{one['identifier']}}}" for one in item.get("userIds", ())],
        "agentSourcedIds": [agent["sourcedId"] for agent in item.get("agents", ())],
        "preferredGivenName": item.get("preferredFirstName"), "preferredFamilyName": item.get("preferredLastName"),
        "primaryOrgSourcedId": item["primaryOrg"]["sourcedId"],
    }  # fmt: skip


def _roles(item: Item) -> Iterator[Item]:
    for number, role in enumerate(item["roles"], 1):
        sourced_id = f"{item['sourcedId']}-{number}"
        yield role | {
            "sourcedId": sourced_id, "userSourcedId": item["sourcedId"], "orgSourcedId": role["org"]["sourcedId"],
        }  # fmt: skip


_ROWS: Final[dict[str, Callable[[Item], Iterator[Item]]]] = dict.fromkeys(FILES, _plain) | {
    "classes": _class, "users": _user, "roles": _roles,
}  # fmt: skip
