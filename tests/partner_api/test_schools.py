"""`GET /api/schools`: the schools that authorised a client, and the state of each."""

from collections import Counter
from datetime import timedelta
from itertools import product
from typing import get_args

import pytest
from sqlalchemy import select, update

from idp.estabs.models import Estab, Membership
from idp.foundation import crypto
from idp.oidc.basis import Basis
from idp.oidc.clients import oauth_client
from idp.oidc.tokens import access_tokens
from idp.partner_api import responses
from idp.partner_events import facts
from idp.partners import registry
from idp.schools.models import School, SchoolLink
from idp.sharing import agreement_state, authorise, mis, releases, reviewing, reviews
from idp.sharing.models import Authorisation
from idp.xporter.models import Endpoint
from tests.factories import a_school, an_administrator, an_estab


def estab_id_of(owner):
    return owner.memberships[0].estab.estab_id


@pytest.fixture
def oakhill_owner(add_authorised_school, program):
    return add_authorised_school(program, "Oakhill School")


def test_a_school_is_listed_with_its_state_and_the_scope_of_tokens(program, oakhill_owner, clock):
    [school] = program.get("/api/schools").json["schools"]
    assert school.pop("authorised_at") == clock.now().isoformat().replace("+00:00", "Z")
    assert school.pop("until") > school.pop("changed_at")
    register = school.pop("register")
    assert (register["name"], register["address"]["postcode"]) == ("Oakhill School", "SW1P 4AU")
    assert school == {
        "estab_id": estab_id_of(oakhill_owner), "status": "active", "verification": "verified", "mis": "sims",
        "scope": "openid organisation offline_access school students attendance", "agreement_version": "2026-01",
        "connection": "awaiting_endpoint", "endpoint": {"state": "none"},
    }  # fmt: skip


def test_a_school_that_is_not_verified_has_its_data_withheld(program, add_authorised_school):
    owner = add_authorised_school(program, "New School", state="unverified")
    school = program.schools()[estab_id_of(owner)]
    assert (school["verification"], school["scope"]) == ("unverified", "openid organisation offline_access")
    assert school["withheld_scope"] == "school students attendance"


def test_paused_withdrawn_and_expired_authorisations_have_different_statuses(
    program, add_authorised_school, transaction, clock
):
    owners = {name: add_authorised_school(program, name) for name in ("active", "paused", "withdrawn")}
    owners["expired"] = add_authorised_school(program, "expired", days=1)
    clock.move(timedelta(days=2))
    with transaction():
        for name, act in (("paused", authorise.pause), ("withdrawn", authorise.withdraw)):
            member = owners[name].memberships[0]
            act(member.estab_id, program.partner.id, by=member)
    program.request_token()
    schools = program.schools()
    assert {name: schools[estab_id_of(owner)]["status"] for name, owner in owners.items()} == {
        name: name for name in owners
    }
    assert [schools[estab_id_of(owners[name])]["scope"] for name in ("paused", "withdrawn", "expired")] == [""] * 3
    assert "students" in schools[estab_id_of(owners["withdrawn"])]["withheld_scope"]
    for name, owner in owners.items():
        assert set(program.schools(f"/api/schools?status={name}")) == {estab_id_of(owner)}


def test_a_school_that_authorised_again_is_listed_once_with_the_newest_authorisation(
    program, oakhill_owner, transaction, clock, add_authorised_school
):
    member = oakhill_owner.memberships[0]
    with transaction():
        authorise.withdraw(member.estab_id, program.partner.id, by=member)
    clock.move(timedelta(minutes=1))
    with transaction():
        client = registered_client(program)
        authorise.give(
            client, frozenset({"openid", "school"}), by=member, agreement_version="2026-01",
            until=clock.now() + timedelta(days=9), second_step=True,
        )  # fmt: skip
    [school] = program.get("/api/schools").json["schools"]
    assert (school["status"], school["scope"]) == ("active", "openid school")


def registered_client(program):
    return registry.client(program.partner.id)


def test_pages_list_every_school_once(program, add_authorised_school):
    expected = {estab_id_of(add_authorised_school(program, f"School {number}")) for number in range(7)}
    response, pages = program.get("/api/schools?limit=3").json, []
    while True:
        pages.append([school["estab_id"] for school in response["schools"]])
        if "next" not in response:
            break
        response = program.get(f"/api/schools?limit=3&cursor={response['next']}").json
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {estab for page in pages for estab in page} == expected


def test_changed_since_finds_every_kind_of_change_and_nothing_else(program, add_authorised_school, transaction, clock):
    names = ("nothing", "paused", "resumed", "withdrawn", "verified", "mis", "expires")
    owners = {name: add_authorised_school(program, name, days=3 if name == "expires" else 365) for name in names}
    member = {name: owner.memberships[0] for name, owner in owners.items()}
    with transaction():
        authorise.pause(member["resumed"].estab_id, program.partner.id, by=member["resumed"])
    clock.move(timedelta(days=5))
    since = clock.now().isoformat().replace("+", "%2B")
    program.request_token()
    assert program.schools(f"/api/schools?changed_since={since}") == {}
    clock.move(timedelta(minutes=1))
    with transaction() as database:
        authorise.pause(member["paused"].estab_id, program.partner.id, by=member["paused"])
        authorise.resume(member["resumed"].estab_id, program.partner.id, by=member["resumed"])
        authorise.withdraw(member["withdrawn"].estab_id, program.partner.id, by=member["withdrawn"])
        database.get_one(Estab, member["verified"].estab_id).state_changed_at = clock.now()
        mis.set_by_school("arbor", by=member["mis"])
    changed = program.schools(f"/api/schools?changed_since={since}")
    assert set(changed) == {estab_id_of(owners[name]) for name in ("paused", "resumed", "withdrawn", "verified", "mis")}
    assert {school["changed_at"] for school in changed.values()} == {clock.now().isoformat().replace("+00:00", "Z")}
    before = (clock.now() - timedelta(days=4)).isoformat().replace("+", "%2B")
    assert estab_id_of(owners["expires"]) in program.schools(f"/api/schools?changed_since={before}")


@pytest.fixture
def close_school(program, add_authorised_school, transaction, clock):
    """`close_school("Old School")` closes the school, whose agreement continues at a successor; returns the Estab IDs
    of both.
    """

    def close(name):
        owner = add_authorised_school(program, name)
        with transaction() as database:
            school = database.get_one(School, owner.memberships[0].estab.school_id)
            school.status_code, school.status_name = "2", "Closed"
            after = an_estab(a_school(name=f"{name} Academy"))
            database.add(
                SchoolLink(
                    from_urn=school.register_id, to_urn=after.school.register_id, kind="Successor", is_succession=True,
                    name=after.name, since=clock.today(),
                )
            )  # fmt: skip
            estab_id = owner.memberships[0].estab_id
            agreement = database.scalars(select(Authorisation).where(Authorisation.estab_id == estab_id)).one()
            agreement.withdrawn_at, agreement.moved_to = clock.now(), after.id
        return estab_id_of(owner), after.estab_id

    return close


def test_a_closed_school_is_listed_with_its_successors(program, close_school):
    estab_id, continued_as = close_school("Old School")
    school = program.schools()[estab_id]
    assert (school["register"]["status"], school["continues_as"]) == ("Closed", continued_as)
    [successor] = school["register"]["successors"]
    assert (successor["name"], len(successor["urn"])) == ("Old School Academy", 6)


@pytest.mark.usefixtures("unexpired_caches")
def test_a_page_of_many_closed_schools_takes_as_many_statements_as_one(program, close_school, record_statements):
    program.schools()  # fills the caches
    statement_counts = []
    for count in (1, 4):
        for number in range(count):
            close_school(f"School {count} {number}")
        with record_statements() as statements:
            schools = program.schools()
        assert all("continues_as" in school and school["register"]["successors"] for school in schools.values())
        statement_counts.append(len(statements))
    assert statement_counts[0] == statement_counts[1] > 0


def test_an_unchanged_list_is_304_for_its_etag(program, oakhill_owner, transaction):
    first = program.get("/api/schools")
    assert program.get("/api/schools", status=304, **{"If-None-Match": first.headers["ETag"]}).data == b""
    member = oakhill_owner.memberships[0]
    with transaction():
        authorise.pause(member.estab_id, program.partner.id, by=member)
    changed = program.get("/api/schools", **{"If-None-Match": first.headers["ETag"]})
    assert changed.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("path", ["schools", "schools?connection=closed", "schools/{}", "register/schools?q=oakhill"])
def test_reading_does_not_wait_for_writers(program, oakhill_owner, transaction, path):
    estab_id = estab_id_of(oakhill_owner)
    with transaction() as database:
        database.execute(update(Estab).values(mis="arbor"))
        program.get(f"/api/{path.format(estab_id)}")


def test_a_client_reads_only_schools_that_authorised_it(program, oakhill_owner, new_program):
    other = new_program().request_token()
    assert other.schools() == {}
    assert program.get(f"/api/schools/{estab_id_of(oakhill_owner)}").json["status"] == "active"
    refused = other.get(f"/api/schools/{estab_id_of(oakhill_owner)}", status=404)
    assert refused.json["code"] == other.get("/api/schools/0000000", status=404).json["code"] == "not_found"


def test_a_token_under_a_schools_authorisation_reads_that_school_only(
    program, oakhill_owner, add_authorised_school, token_of_school
):
    other = add_authorised_school(program, "Another School")
    program.token = token_of_school(program, oakhill_owner)
    assert set(program.schools()) == {estab_id_of(oakhill_owner)}
    assert program.get(f"/api/schools/{estab_id_of(oakhill_owner)}").json["estab_id"] == estab_id_of(oakhill_owner)
    assert program.get(f"/api/schools/{estab_id_of(other)}", status=404).json["code"] == "not_found"
    assert program.get("/api/register/schools?q=oak", status=403).json["code"] == "insufficient_scope"


@pytest.fixture
def token_of_school(app, transaction):
    """`token_of_school(program, owner)` is an access token under the school's authorisation."""

    def make(program, owner):
        with transaction():
            state = agreement_state.current(owner.memberships[0].estab_id, program.partner.id)
            client = oauth_client.find(program.partner.id)
            basis = Basis(
                client_id=client.id, person_id=owner.id, estab_id=state.estab_id, authorisation_id=state.id,
                lineage="lin_1", scopes=state.scopes, resource=frozenset(), dpop_jkt=None, claims=None,
                auth_time=state.given_at, acr="1", amr=frozenset({"pwd"}), sid="ses_1",
            )  # fmt: skip
            return access_tokens.access_token(basis, state, client, state.scopes, None)

    return make


@pytest.mark.parametrize("end", ["withdrawn", "suspended"])
def test_no_review_is_listed_for_a_school_that_withdrew_or_is_suspended(program, oakhill_owner, transaction, end):
    member = oakhill_owner.memberships[0]
    with transaction() as database:
        client = registry.find(program.partner.id)
        client.agreement_version = "2027"
        registry.bump_version(client)
        if end == "withdrawn":
            authorise.withdraw(member.estab_id, program.partner.id, by=member)
        else:
            database.get_one(Estab, member.estab_id).state = "suspended"
    [school] = program.get("/api/schools").json["schools"]
    assert "review" not in school


def test_a_pending_review_is_listed_until_the_school_has_decided(program, oakhill_owner, transaction, clock):
    with transaction():
        client = registry.find(program.partner.id)
        client.required_scopes |= {"staff"}
        client.optional_scopes |= {"timetable"}
        client.agreement_version = "2027"
        registry.bump_version(client)
    [school] = program.get("/api/schools").json["schools"]
    assert school["review"] == {"required_scope": "staff", "optional_scope": "timetable", "agreement_version": "2027"}
    assert (school["agreement_version"], "staff" in school["scope"]) == ("2026-01", False)
    member = oakhill_owner.memberships[0]
    clock.move(timedelta(minutes=1))
    with transaction():
        [agreement] = authorise.current(member.estab_id)
        shown = reviews.find_pending(agreement).shown
        reviewing.decline(member.estab_id, program.partner.id, replaces=agreement.id, shown=shown, by=member)
    [school] = program.get("/api/schools").json["schools"]
    assert "review" not in school
    assert school["review_declined_at"] == school["changed_at"] == clock.now().isoformat().replace("+00:00", "Z")


def test_a_closing_school_is_listed_as_closing_and_then_with_its_successor(
    program, oakhill_owner, add_authorised_school, transaction, clock
):
    old = oakhill_owner.memberships[0]
    with transaction() as database:
        new = an_administrator(an_estab(a_school(name="Oakhill Academy"))).memberships[0]
        school = database.get_one(School, old.estab.school_id)
        school.status_code, school.closed_on = "3", clock.today() + timedelta(days=30)
        link = SchoolLink(
            from_urn=school.register_id, to_urn=new.estab.school.register_id, kind="Successor", is_succession=True,
            name="Oakhill Academy", since=clock.today(),
        )  # fmt: skip
        database.add(link)
    assert program.schools()[estab_id_of(oakhill_owner)]["closing"] == "announced"
    with transaction() as database:
        database.get_one(School, old.estab.school_id).status_code = "2"
        by = database.get_one(Membership, (old.person_id, old.estab_id))
        releases.release(new.estab.school_id, by=by)
    with transaction():
        [offer] = releases.offers(new)
        releases.move(offer.id, {program.partner.id: frozenset()}, shown=offer.shown, by=new)
    schools = program.schools()
    assert (schools[estab_id_of(oakhill_owner)]["closing"], schools[estab_id_of(oakhill_owner)]["status"]) == (
        "closed",
        "withdrawn",
    )
    assert schools[estab_id_of(oakhill_owner)]["continues_as"] == new.estab.estab_id
    assert schools[new.estab.estab_id]["status"] == "active"


def test_a_school_with_a_system_that_is_not_accepted_has_no_scope(program, oakhill_owner, transaction):
    with transaction():
        client = registry.find(program.partner.id)
        client.accepted_mis = frozenset({"arbor"})
        registry.bump_version(client)
    [school] = program.get("/api/schools").json["schools"]
    assert (school["mis"], school["mis_accepted"], school["scope"]) == ("sims", False, "")


CONNECTIONS = get_args(responses.Connection)
AGREEMENTS = {
    "active": {}, "paused": {"paused_at": timedelta(0)}, "expired": {"until": timedelta(0)},
    "withdrawn": {"withdrawn_at": timedelta(0)},
}  # fmt: skip
"""The columns of an agreement in each state, as moments from now."""
ENDPOINTS = {
    "none": None, "registered": {"extract_at": None}, "connected": {}, "lost": {"heard_at": timedelta(days=-2)},
    "removed": {"ended_at": timedelta(0)},
}  # fmt: skip


def test_the_filter_connection_finds_exactly_the_schools_with_that_value(
    program, add_authorised_school, transaction, clock
):
    states = get_args(facts.VerificationState)
    pairs = list(product(states, ENDPOINTS))
    estab_ids = [
        add_authorised_school(program, f"School {state} {kind}").memberships[0].estab_id for state, kind in pairs
    ]
    now = clock.now()
    with transaction() as database:
        for estab_id, (state, kind) in zip(estab_ids, pairs, strict=True):
            database.get_one(Estab, estab_id).state = state
            if (moments := ENDPOINTS[kind]) is not None:
                database.add(an_endpoint(estab_id, program.partner.id, now, moments))
    found: Counter[str] = Counter()
    for moments, accepted in product(AGREEMENTS.values(), (frozenset(), frozenset({"arbor"}))):
        with transaction() as database:
            values = {name: now + moments[name] if name in moments else None for name in ("paused_at", "withdrawn_at")}
            until = now + moments.get("until", timedelta(days=9))
            database.execute(update(Authorisation).values(until=until, **values))
            client = registry.find(program.partner.id)
            client.accepted_mis = accepted
            registry.bump_version(client)
        schools = program.schools()
        for connection in CONNECTIONS:
            expected = {estab_id for estab_id, school in schools.items() if school["connection"] == connection}
            assert set(program.schools(f"/api/schools?connection={connection}")) == expected
            found[connection] += len(expected)
    assert found.keys() == set(CONNECTIONS)
    assert all(found.values())


def an_endpoint(estab_id, client_id, now, moments):
    values = {"heard_at": now, "extract_at": now}
    values |= {name: now + moment if moment is not None else None for name, moment in moments.items()}
    return Endpoint(
        id=crypto.new_id("end"), estab_id=estab_id, client_id=client_id, key_thumbprint="thumbprint",
        lineage="lineage", registered_at=now, registered_by="someone", name="server", mis="sims", agent_version="1.0",
        platform="Linux", ended_as="removed" if "ended_at" in moments else None, **values,
    )  # fmt: skip


def test_a_school_whose_system_is_unknown_is_paused_for_a_client_that_accepts_some(program, oakhill_owner, transaction):
    with transaction() as database:
        client = registry.find(program.partner.id)
        client.accepted_mis = frozenset({"arbor"})
        registry.bump_version(client)
        database.get_one(Estab, oakhill_owner.memberships[0].estab_id).mis = None
    assert set(program.schools("/api/schools?connection=paused")) == {estab_id_of(oakhill_owner)}
    assert program.schools("/api/schools?connection=awaiting_endpoint") == {}


def test_several_filters_in_one_request_must_all_match(program, add_authorised_school):
    verified, unverified = (
        add_authorised_school(program, "One"),
        add_authorised_school(program, "Other", state="unverified"),
    )
    assert set(program.schools("/api/schools?status=active&connection=awaiting_verification")) == {
        estab_id_of(unverified)
    }
    assert set(program.schools("/api/schools?verification=verified&connection=awaiting_endpoint")) == {
        estab_id_of(verified)
    }
    assert program.schools("/api/schools?verification=verified&connection=awaiting_verification") == {}
    assert "connection" in program.get("/api/schools?connection=gone", status=400).json["detail"]
