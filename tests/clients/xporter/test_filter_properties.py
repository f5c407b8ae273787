"""For every set of scopes: a response has all members that a granted scope names, and no other."""

import io
import json
import re
import zipfile

from hypothesis import HealthCheck, given, settings, strategies as st

from clients.xporter.fields import Catalogue
from clients.xporter.oneroster import RESOURCES
from tests.clients.xporter.school_data import DATA_SCOPES, SCOPE_OF, Stored, a_school, expected
from tests.clients.xporter.support import RESOURCE

LITERALS = {
    "2012-01-31": "students.birth_date", "2023-09-02": "students.entry_date", "2030-07-20": "students.leaving_date",
    "09:07": "periods.starts_at", "10:11": "periods.ends_at", "2026-09-03": "terms.starts_on",
    "2026-12-18": "terms.ends_on", "2026-12-19": "terms.ends_on", "2026-11-0": "attendance.date",
    "2026-10-09": "assessments.date", "contact-1": "contacts.students",
}  # fmt: skip
"""Values that are not generated texts, but appear in one member only."""
TRANSLATED = {"staff.role", "contacts.students", "terms.academic_year", "students.year_group", "terms.ends_on"}
"""Members that OneRoster shows in its own words, or by way of another member."""
MARK_PATTERN = re.compile(r"<(\w+\.\w+)/")
scope_sets = st.frozensets(st.sampled_from(DATA_SCOPES))
for_every_set = settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))


def collections():
    return sorted({name.partition(".")[0] for name in SCOPE_OF})


def granted_members(collection, scopes):
    """The members of a collection that these scopes name."""
    return {name for name, scope in SCOPE_OF.items() if name.startswith(f"{collection}.") and scope in scopes}


def shown_in(text):
    """The members whose values appear in a response."""
    return {*MARK_PATTERN.findall(text), *(member for literal, member in LITERALS.items() if literal in text)}


def leaked(text, scopes):
    """The members in a response that no granted scope names."""
    return {member for member in shown_in(text) if SCOPE_OF[member] not in scopes}


def responses(api, collection):
    """The records of a collection in each form in which they are served, with the texts of the responses."""
    first = api.get(f"/v1/{collection}?limit=2")
    paged, texts, page = list(first.json[collection]), [first.text], first
    while page.json["next"]:
        page = api.get(page.json["next"].removeprefix(RESOURCE))
        texts.append(page.text)
        paged += page.json[collection]
    yield paged, texts

    streamed = api.get(f"/v1/{collection}", headers={"Accept": "application/x-ndjson"})
    yield [json.loads(line) for line in streamed.text.splitlines()][:-1], [streamed.text]

    single = [api.get(f"/v1/{collection}/{record['id']}") for record in paged]
    yield [response.json for response in single], [response.text for response in single]


def test_responses_have_exactly_the_granted_members(api, app, granted):
    stored = Stored(app, a_school())

    @given(scope_sets)
    @for_every_set
    def check(scopes):
        granted.grant(*scopes, "openid", "offline_access")
        for collection in collections():
            if not granted_members(collection, scopes):
                assert api.get(f"/v1/{collection}").json["code"] == "insufficient_scope"
                continue
            expected_records = [
                expected(collection, key, record, scopes) for key, record in stored.data[collection].items()
            ]
            for records, texts in responses(api, collection):
                assert records == expected_records
                assert not leaked("".join(texts), scopes)

    check()


def test_deltas_have_exactly_the_granted_members(api, app, granted):
    stored = Stored(app, a_school())

    @given(scope_sets)
    @for_every_set
    def check(scopes):
        granted.grant(*scopes)
        shown = [collection for collection in collections() if granted_members(collection, scopes)]
        deltas = {collection: api.get(f"/v1/{collection}").json["delta"] for collection in shown}
        same_records = {collection: dict(records) for collection, records in stored.data.items()}
        stored.put(same_records)
        for collection, delta in deltas.items():
            response = api.get(delta.removeprefix(RESOURCE))
            expected_records = [
                expected(collection, key, record, scopes) for key, record in same_records[collection].items()
            ]
            assert response.json[collection] == expected_records
            assert not leaked(response.text, scopes)

    check()


def must_show(resource, scopes):
    """The members that a OneRoster resource must show unchanged under these scopes."""
    granted = {member for member in resource.members if SCOPE_OF[member] in scopes} - TRANSLATED
    if resource.name == "teachers" and "classes" not in scopes:  # by which the one member of staff is a teacher
        return set()
    hidden = {"classes.students", "classes.teachers"}  # references
    if "students" not in scopes:  # a grade is shown with a pupil
        hidden.add("year_groups.national_curriculum_year")
    if resource.name == "classes":  # refers to terms
        hidden |= {member for member in granted if member.startswith("terms.")}
    if resource.name == "courses":  # a class has its name there if it has no subject
        hidden.add("classes.name")
    return granted - hidden


def all_files(api, scopes):
    with api.get("/ims/oneroster/v1p2/csv") as response:
        assert response.status_code == (200 if scopes else 403)
        content = response.data
    if not scopes:
        return ""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


def test_oneroster_shows_what_is_granted_and_nothing_else(api, app, granted):
    Stored(app, a_school())

    @given(scope_sets)
    @for_every_set
    def check(scopes):
        granted.grant(*scopes)
        required = set()
        for name, resource in RESOURCES.items():
            response = api.get(f"/ims/oneroster/rostering/v1p2/{name}")
            is_open = not resource.needs or any(
                {SCOPE_OF[member] for member in members} <= scopes for members in resource.needs
            )
            assert response.status_code == (200 if is_open and scopes else 403)
            assert not leaked(response.text, scopes)
            if response.status_code == 200:
                assert must_show(resource, scopes) <= shown_in(response.text), name
                required |= must_show(resource, scopes)
        text = all_files(api, scopes)
        assert not leaked(text, scopes)
        assert required <= shown_in(text)

    check()


def test_a_filter_that_leaks_is_found_by_these_tests(api, app, granted, monkeypatch):
    """With a filter that lets everything pass, the checks above fail."""
    Stored(app, a_school())
    granted.grant("students.sen")
    all_members = frozenset(name.partition(".")[2] for name in SCOPE_OF)
    monkeypatch.setattr(Catalogue, "granted", lambda *_anything: all_members)
    assert leaked(api.get("/v1/students").text, {"students.sen"}) >= {"students.upn", "students.ethnicity"}
