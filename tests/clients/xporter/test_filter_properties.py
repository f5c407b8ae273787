"""For every set of scopes: no answer holds a member that no granted scope names, and all that is granted is there."""

import json
import re

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.clients.xporter.school_data import DATA_SCOPES, SCOPE_OF, Stored, a_school, expected
from tests.clients.xporter.support import RESOURCE

MARK = re.compile(r"<(\w+\.\w+)/")
scope_sets = st.frozensets(st.sampled_from(DATA_SCOPES))
for_every_set = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


def collections():
    return sorted({name.partition(".")[0] for name in SCOPE_OF})


def visible(collection, scopes):
    return {name for name, scope in SCOPE_OF.items() if name.startswith(f"{collection}.") and scope in scopes}


def leaked(text, scopes):
    """Members whose values stand in an answer though no granted scope names them."""
    return {member for member in MARK.findall(text) if SCOPE_OF[member] not in scopes}


def answers(api, collection):
    """The records of a collection in each form in which they are given out, with the texts of the answers."""
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
    yield [answer.json for answer in single], [answer.text for answer in single]


def test_no_answer_holds_what_is_not_granted_and_all_that_is_granted_is_there(api, app, granted):
    stored = Stored(app, a_school())

    @given(scope_sets)
    @for_every_set
    def check(scopes):
        granted.grant(*scopes, "openid", "offline_access")
        for collection in collections():
            if not visible(collection, scopes):
                assert api.get(f"/v1/{collection}").json["code"] == "insufficient_scope"
                continue
            wanted = [expected(collection, key, record, scopes) for key, record in stored.data[collection].items()]
            for records, texts in answers(api, collection):
                assert records == wanted
                assert not leaked("".join(texts), scopes)

    check()


def test_no_delta_holds_what_is_not_granted_and_all_that_is_granted_is_there(api, app, granted):
    stored = Stored(app, a_school())

    @given(scope_sets)
    @for_every_set
    def check(scopes):
        granted.grant(*scopes)
        shown = [collection for collection in collections() if visible(collection, scopes)]
        deltas = {collection: api.get(f"/v1/{collection}").json["delta"] for collection in shown}
        again = {collection: dict(there) for collection, there in stored.data.items()}
        stored.put(again)
        for collection, delta in deltas.items():
            answer = api.get(delta.removeprefix(RESOURCE))
            wanted = [expected(collection, key, record, scopes) for key, record in again[collection].items()]
            assert answer.json[collection] == wanted
            assert not leaked(answer.text, scopes)

    check()


def test_the_marks_of_the_test_find_a_leak(api, app, granted, monkeypatch):
    """With a filter that lets everything pass, the checks above fail."""
    Stored(app, a_school())
    granted.grant("students.sen")
    monkeypatch.setattr("clients.xporter.fields._only", lambda members, key, stored: {"id": key, **stored})
    assert leaked(api.get("/v1/students").text, {"students.sen"}) >= {"students.upn", "students.ethnicity"}
