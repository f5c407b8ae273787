"""S37 tenancy: for every route that acts for a school, or takes an id of one, how each person is answered.

The tables below have every route of the application, so that a new one fails here until it says what it is. Each act is
asked for with ids of school A by its owner, an administrator, a viewer, a person who was removed from it, the owner of
school B, and signed out. Only people whom the table permits it change anything of school A.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import delete, select, update

from idp.estabs import permissions
from idp.estabs.models import Administrator, Estab, Membership, PersonalSecret, PersonInvitation
from idp.estabs.permissions import ADMIN, OWNER, VIEWER, Action
from idp.foundation import clock as clocks, crypto
from idp.foundation.database import connection
from idp.oidc.models import DeviceCode
from idp.onboarding.models import JoinRequest
from idp.partners import registry
from idp.partners.models import Client
from idp.schools.models import SchoolLink
from idp.sharing import authorise, continuing, reviews
from idp.sharing.models import Authorisation, Decision, Release
from idp.signin import session as sessions
from idp.signin.models import BrowserSession, FactorRecovery, Passkey
from idp.xporter import endpoints
from idp.xporter.models import Endpoint
from tests import factories
from tests.oidc.devices import GRANTS, Device
from tests.oidc.support import Partner, follow_redirects, page
from tests.onboarding.registrations import a_registration, complete
from tests.signin.authenticator import a_passkey
from tests.signin.person import Person

DONE, FORBIDDEN, UNKNOWN, SIGN_IN = "done", 403, 404, "sign in"
NOT_OFFERED = 422
"""A form that offers choices, and not this one."""
NO_CHANGE = "nothing happens"
"""The person is led back, to the page or to the service, as after a second click: there is nothing to do."""
OWN_SCHOOL_ONLY = "for the own school"
"""Without an id in the address: the owner of school B is answered for school B, and reads nothing of A."""


@dataclass(frozen=True)
class Act:
    """One request for school A, and its outcome by role. Who was removed or is signed out is led to sign-in."""

    prepare: Callable[[Any, Any], tuple[str, dict[str, Any]]]
    """Makes what the request needs, given the world and the person; returns path and fields."""
    action: Action | None
    """What the table of rights calls it; None for one's own account."""
    owner: Any
    admin: Any
    viewer: Any
    stranger: Any


def share_with_service(world, _person):
    """A service that school A shares with, and its id."""
    with world.transaction() as database:
        client = factories.a_client()
        authorise.give(
            client, client.required_scopes, by=database.get_one(Membership, (world.owner, world.estab)),
            agreement_version="1", until=clocks.now() + timedelta(days=30), offered=client.scopes,
        )  # fmt: skip
        return client.id


def sharing_action(verb, *, paused=False, **fields):
    def prepare(world, person):
        client_id = share_with_service(world, person)
        if paused:
            with world.transaction() as database:
                by = database.get_one(Membership, (world.owner, world.estab))
                authorise.pause(world.estab, client_id, by=by)
        return f"/manage/sharing/{client_id}/{verb}", fields

    return prepare


def renews(world, _person):
    client_id = share_with_service(world, _person)
    with world.transaction() as database:
        replaces = database.scalars(select(Authorisation.id).where(Authorisation.client_id == client_id)).one()
    return f"/manage/sharing/{client_id}/renew", {"replaces": replaces, "version": "2026-01"}


def requires_more(world, _person):
    client_id = share_with_service(world, _person)
    with world.transaction() as database:
        client = database.get_one(Client, client_id)
        client.required_scopes |= {"staff"}
        registry.bump_version(client)
        agreement = database.scalars(select(Authorisation).where(Authorisation.client_id == client_id)).one()
        fields = {"replaces": agreement.id, "shown": reviews.find_pending(agreement).shown, "authority": "y"}
    return f"/manage/sharing/{client_id}/review", fields


def names_another_system(world, _person):
    with world.transaction() as database:
        for estab in database.scalars(select(Estab)):
            estab.mis = "sims"
    return "/manage/system", {"mis": "arbor"}


def connects(world, path):
    """School A has connected a server."""
    with world.transaction() as database:
        if (endpoint := endpoints.current(world.estab)) is None:
            endpoint = Endpoint(
                id=crypto.new_id("end"), estab_id=world.estab, client_id=factories.a_client().id, key_thumbprint="k",
                lineage="l", registered_at=clocks.now(), registered_by=world.owner, heard_at=clocks.now(),
                name="SERVER-1", mis="sims", agent_version="1", platform="Linux",
            )  # fmt: skip
            database.add(endpoint)
        endpoint.extract_requested_at = None
        return path, {"endpoint": endpoint.id}


def sends_data(world, _person):
    return connects(world, "/manage/endpoint/send")


def removes_server(world, _person):
    return connects(world, "/manage/endpoint/remove")


def make_successor(world, *, closed, successor):
    """`closed` has closed in the register, and `successor` is its successor; both are internal ids of estabs."""
    with world.transaction() as database:
        before, after = (database.get_one(Estab, estab_id).school for estab_id in (closed, successor))
        before.status_code, before.closed_on = "2", clocks.today()
        database.execute(delete(SchoolLink))
        link = SchoolLink(from_urn=before.register_id, to_urn=after.register_id, kind="Successor", is_succession=True)
        link.name, link.since = after.name, clocks.today()
        database.add(link)
        return after.id


def closes(world, _person, path="/manage/closing"):
    with world.transaction():
        after = factories.an_estab().id
    school_id = make_successor(world, closed=world.estab, successor=after)
    return path.format(school_id), {}


def releases(world, person):
    return closes(world, person, "/manage/closing/{}/release")


def takes_release_back(world, person):
    path, fields = closes(world, person, "/manage/closing/{}/take-back")
    with world.transaction() as database:
        owner = database.get_one(Membership, (world.owner, world.estab))
        continuing.release(int(path.split("/")[3]), by=owner)
    return path, fields


def follows(world, _person):
    """Another school has closed, and lets school A continue with what it shared."""
    with world.transaction() as database:
        database.get_one(Estab, world.estab).school.status_code = "1"
        owner, client = factories.an_administrator(), factories.a_client()
        authorise.give(
            client, client.required_scopes, by=owner.memberships[0], agreement_version="1",
            until=clocks.now() + timedelta(days=30), offered=client.required_scopes,
        )  # fmt: skip
        closed = owner.memberships[0].estab_id
        owner_id = owner.id
    school_id = make_successor(world, closed=closed, successor=world.estab)
    with world.transaction() as database:
        continuing.release(school_id, by=database.get_one(Membership, (owner_id, closed)))
        release_id = continuing.releases(closed)[school_id].id
        (offer,) = [
            offer
            for offer in continuing.offers(database.get_one(Membership, (world.owner, world.estab)))
            if offer.id == release_id
        ]
        shown, service = offer.shown, client.id
    return f"/manage/continue/{release_id}", {"shown": shown, "service": service, "authority": "y"}


def at(path, **fields):
    return lambda _world, _person: (path, fields)


def asks_to_join(world, _person):
    with world.transaction() as database:
        school = database.get_one(Estab, world.estab).school
        number = database.query(JoinRequest).count()
        complete(a_registration(school, email=f"sam{number}@oakhill.example"))
        join_requests = database.scalars(
            select(JoinRequest).order_by(JoinRequest.created_at.desc(), JoinRequest.id)
        ).all()
        request_id = next(request.id for request in join_requests if request.email == f"sam{number}@oakhill.example")
    return f"/join/{request_id}", {"decision": "approve", "role": "viewer"}


def partner_request(*, mis=False):
    """A partner's request that waits in the person's browser: for the authorisation, or for the name of the MIS."""

    def prepare(world, person):
        with world.transaction() as database:
            client = factories.a_client(accepted_mis=frozenset({"sims"}) if mis else frozenset())
            for estab in database.scalars(select(Estab)):
                estab.mis = None if mis else "sims"
        response = follow_redirects(person.web, person.web.get(Partner(client.id).link()))
        query = urlsplit(response.request.full_path.rstrip("?")).query
        waiting = parse_qs(query).get("next")
        path = f"/oauth/{'mis' if mis else 'consent'}?{urlsplit(waiting[0]).query if waiting else query}"
        return path, {"mis": "sims"} if mis else decision(response)

    return prepare


def decision(response):
    """The fields that authorise, on the page that asks."""
    soup = page(response).find("input", {"name": "shown"})
    return {"allow": "yes", "authority": "y", "agreement": "2026-01", "shown": soup["value"] if soup else ""}


def a_device(world, person):
    with world.transaction():
        client = factories.a_client(grant_types=GRANTS)
    device = Device(person.web, Partner(client.id))
    device.asks()
    fields = {"csrf_token": csrf_token_of(person), "user_code": device.codes["user_code"]}
    assert person.web.post("/device", data=fields).status_code == 303
    return device.link, decision(follow_redirects(person.web, person.web.get(device.link)))


def chooses_the_school(world, _person):
    return "/sign-in/school", {"school": world.estab_id}


def a_passkey_of_the_owner(verb):
    def prepare(world, _person):
        with world.transaction() as database:
            a_passkey(world.owner, world.issuer)
            newest = database.scalars(select(Passkey.id).where(Passkey.person_id == world.owner)).one()
        return f"/manage/security/passkeys/{newest}/{verb}", {"name": "Mine"}

    return prepare


def a_session_of_the_owner(world, _person):
    elsewhere = Person(world.new_browser())
    elsewhere.signs_in(world.username)
    with world.transaction() as database:
        open_sessions = select(BrowserSession).where(
            BrowserSession.person_id == world.owner, BrowserSession.ended_at.is_(None)
        )
        newest = max(database.scalars(open_sessions), key=lambda row: row.created_at)
        return f"/manage/security/sessions/{newest.sid}/end", {}


def for_a_colleague(verb, *, with_factor=False, **fields):
    def prepare(world, _person):
        with world.transaction() as database:
            estab = database.get_one(Estab, world.estab)
            username = f"colleague-{len(database.scalars(select(Administrator)).all())}"
            colleague = factories.an_administrator(estab, username=username, role=VIEWER)
            if with_factor:
                a_passkey(colleague.id, world.issuer)
        return f"/manage/people/{colleague.id}/{verb}", fields

    return prepare


def invites(world, _person):
    number = len(rows_of_school(world))
    return "/manage/people/invite", {"name": "Sam Lee", "email": f"sam{number}@oakhill.example", "role": VIEWER}


def an_invitation(verb):
    def prepare(world, _person):
        with world.transaction() as database:
            estab, now = database.get_one(Estab, world.estab), clocks.now()
            invitation = PersonInvitation(
                id=crypto.new_id("inv"), estab=estab, name="Sam Lee", email="sam@oakhill.example",
                email_folded="sam@oakhill.example", role=VIEWER, inviter=database.get_one(Administrator, world.owner),
                digest=crypto.digest(crypto.new_secret()), sent=1, created_at=now,
                expires_at=now + timedelta(days=7), used_at=None, cancelled_at=None,
            )  # fmt: skip
            database.add(invitation)
            return f"/manage/people/invitations/{invitation.id}/{verb}", {}

    return prepare


def hands_over(world, person):
    colleague = for_a_colleague("x")(world, person)[0].split("/")[3]
    return "/manage/people/hand-over", {"person": colleague, "role": ADMIN}


ACTIONS = {
    # endpoint: what is asked, the action of the permissions table, then owner, admin, viewer, owner of another school
    ("manage.home", "GET"): Act(at("/manage"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY),
    ("manage.download_record", "GET"): Act(
        at("/manage/sharing/record.csv"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.stop_sharing", "GET"): Act(sharing_action("stop"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.stop_sharing", "POST"): Act(sharing_action("stop"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.change_sharing", "GET"): Act(sharing_action("change"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.change_sharing", "POST"): Act(
        sharing_action("change", area="attendance"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN
    ),
    ("manage.pause_sharing", "POST"): Act(sharing_action("pause"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.sharing.renew", "GET"): Act(sharing_action("renew"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.sharing.renew", "POST"): Act(renews, Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.sharing.review", "GET"): Act(requires_more, Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.sharing.review", "POST"): Act(requires_more, Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.system.change", "GET"): Act(at("/manage/system"), Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("manage.system.change", "POST"): Act(
        names_another_system, Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.endpoint.home", "GET"): Act(at("/manage/endpoint"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY),
    ("manage.endpoint.download_reads", "GET"): Act(
        at("/manage/endpoint/reads.csv"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.endpoint.send", "POST"): Act(sends_data, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE),
    ("manage.endpoint.remove", "GET"): Act(removes_server, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE),
    ("manage.endpoint.remove", "POST"): Act(removes_server, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE),
    ("manage.closing.home", "GET"): Act(closes, Action.SEE_SHARING, DONE, DONE, DONE, NO_CHANGE),
    ("manage.closing.release", "POST"): Act(releases, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, NO_CHANGE),
    ("manage.closing.take_back", "POST"): Act(
        takes_release_back, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, NO_CHANGE
    ),
    ("manage.closing.continue_sharing", "GET"): Act(
        follows, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.closing.continue_sharing", "POST"): Act(
        follows, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.resume_sharing", "POST"): Act(
        sharing_action("resume", paused=True), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN
    ),
    ("onboarding.signed_in.next_steps", "GET"): Act(
        at("/register/next-steps"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.join.decide", "GET"): Act(
        asks_to_join, Action.DECIDE_REQUESTS_TO_JOIN, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.join.decide", "POST"): Act(
        asks_to_join, Action.DECIDE_REQUESTS_TO_JOIN, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("oidc.ask_consent", "GET"): Act(partner_request(), Action.AUTHORISE, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.ask_consent", "POST"): Act(partner_request(), Action.AUTHORISE, DONE, DONE, NO_CHANGE, OWN_SCHOOL_ONLY),
    ("oidc.tell_mis", "GET"): Act(partner_request(mis=True), Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.tell_mis", "POST"): Act(partner_request(mis=True), Action.NAME_MIS, DONE, DONE, NO_CHANGE, OWN_SCHOOL_ONLY),
    ("oidc.device", "GET"): Act(a_device, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.device", "POST"): Act(a_device, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("signin.schools.choose", "POST"): Act(chooses_the_school, None, DONE, DONE, DONE, NOT_OFFERED),
    ("manage.security.passkeys.rename", "GET"): Act(
        a_passkey_of_the_owner("rename"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN
    ),
    ("manage.security.passkeys.rename", "POST"): Act(
        a_passkey_of_the_owner("rename"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN
    ),
    ("manage.security.passkeys.remove", "GET"): Act(
        a_passkey_of_the_owner("remove"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN
    ),
    ("manage.security.passkeys.remove", "POST"): Act(
        a_passkey_of_the_owner("remove"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN
    ),
    ("manage.colleagues.reset", "GET"): Act(
        for_a_colleague("reset"), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.reset", "POST"): Act(
        for_a_colleague("reset"), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.lost_factor", "GET"): Act(
        for_a_colleague("lost-factor", with_factor=True), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.lost_factor", "POST"): Act(
        for_a_colleague("lost-factor", with_factor=True), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.own.end_session", "POST"): Act(a_session_of_the_owner, None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.people.home", "GET"): Act(at("/manage/people"), Action.SEE_PEOPLE, DONE, DONE, DONE, OWN_SCHOOL_ONLY),
    ("manage.people.invite", "GET"): Act(
        at("/manage/people/invite"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.people.invite", "POST"): Act(invites, Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("manage.people.resend", "POST"): Act(
        an_invitation("resend"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.cancel", "POST"): Act(
        an_invitation("cancel"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.role", "GET"): Act(
        for_a_colleague("role"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.role", "POST"): Act(
        for_a_colleague("role", role=ADMIN), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.remove", "GET"): Act(
        for_a_colleague("remove"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.remove", "POST"): Act(
        for_a_colleague("remove"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.hand_over", "GET"): Act(
        at("/manage/people/hand-over"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.rule.everyone", "GET"): Act(
        at("/manage/security/everyone"), Action.REQUIRE_SECOND_FACTOR, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.rule.everyone", "POST"): Act(
        at("/manage/security/everyone"), Action.REQUIRE_SECOND_FACTOR, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    # The last: afterwards the owner is an administrator.
    ("manage.people.hand_over", "POST"): Act(hands_over, Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, NOT_OFFERED),
}
"""Routes that act for a school or take an id of one, its people or what is theirs."""

OWN_ACCOUNT = {
    "manage.account.change_mobile", "manage.account.confirm_email", "manage.account.confirm_mobile",
    "manage.account.change_email", "manage.account.change_name", "manage.account.home", "manage.linked_accounts.link",
    "manage.linked_accounts.unlink", "manage.own.change_password", "manage.own.end_other_sessions",
    "manage.own.list_sign_ins", "manage.own.other_sessions",
    "manage.own.sessions", "manage.people.leave", "manage.own.sign_out_everywhere", "manage.security.home",
    "manage.security.make_recovery_codes", "manage.security.passkeys.add", "manage.security.passkeys.options",
    "manage.security.put_off", "manage.security.remove_app", "manage.security.second_step",
    "manage.security.set_up_app", "signin.people.confirm_mobile",
}  # fmt: skip
"""Pages of a person's own account, which take no id of anybody."""

FOR_ALL = {
    "brand_css", "federation.begin", "federation.come_back", "health.healthz", "health.readyz",
    "invitations.declined", "invitations.passed_on", "manage.front",
    "oidc.authorization", "oidc.confirm_logout", "oidc.jwks", "oidc.logout", "oidc.metadata", "onboarding.details",
    "onboarding.find", "onboarding.link_sent", "onboarding.old_path.redirect_to_registration", "onboarding.stopped",
    "manage.add_school.add", "manage.add_school.someone_else", "schools.search_json",
    "signin.operators.sign_in", "signin.developers.sign_in", "developers.home", "developers.list_quick_starts",
    "developers.show_quick_start", "developers.show_guide", "developers.try_it.callback",
    "signin.passkey_options", "signin.people.link_sent", "signin.recovery.lost_factor",
    "signin.reset.choose", "signin.reset.code", "signin.reset.start", "signin.second_step_options", "signin.sign_in",
    "signin.sign_in_with_passkey", "signin.sign_out", "signin.signed_out", "signin.strength.ask",
    "signin.take_second_step", "signin.take_second_step_by_passkey", "signin.use_recovery_code",
    "partner_api.event_type", "partner_api.event_types", "partner_api.description", "partner_api.reference",
    "partner_api.list_scopes", "static",
    "well_known.change_password", "well_known.security_txt",
}  # fmt: skip
"""Pages for every visitor, before signing in and after: they take no id of a school, its people or what is theirs."""

BY_SECRET = {
    "invitations.pass_on", "invitations.show",
    "manage.invitation.answer", "manage.invitation.send_password_link", "manage.invitation.sign_out",
    "onboarding.another_link", "onboarding.not_me", "onboarding.verify_email", "signin.operators.set_up",
    "signin.developers.set_up",
    "signin.people.welcome", "signin.people.welcome_again", "signin.recovery.stop", "signin.reset_links.choose",
    "signin.undo.undo",
}  # fmt: skip
"""Links of a mail or message, which are for the person who has it: `tests/security/test_link_misuse.py`."""

FOR_PROGRAMS = {
    "oidc.authorize_device", "oidc.introspect", "oidc.manage_registration", "oidc.push", "oidc.register",
    "oidc.revoke", "oidc.token", "oidc.userinfo", "outbox.sms",
    "partner_api.anything_else", "partner_api.list_schools", "partner_api.read_school", "partner_api.search_register",
    "partner_api.cancel_invitation", "partner_api.invite_school", "partner_api.list_invitations",
    "partner_api.read_invitation", "partner_api.resend_invitation",
    "partner_api.poll_events", "partner_api.verify_events", "partner_api.read_endpoint", "partner_api.remove_endpoint",
    "partner_api.report_reads",
    "partner_api.report_endpoint",
}  # fmt: skip
"""Authenticated by a client's secret or a token: `tests/security/test_other_clients_secret.py`, `tests/partner_api`.

A school's endpoint has the token of its school: `tests/xporter/test_reporting.py`.
"""

FOR_STAFF = {
    "signin.operators.home", "operate.list_partners", "operate.show_partner", "operate.remove_person",
    "operate.requests.list_requests", "operate.requests.show_request",
}  # fmt: skip
FOR_DEVELOPERS = {
    "developers.sandbox.home", "developers.sandbox.make_application", "developers.sandbox.replace_password",
    "developers.sandbox.verify", "developers.sandbox.remove_school", "developers.sandbox.remove_application",
    "developers.live.ask", "developers.live.list_requests", "developers.live.show_request",
    "developers.live.withdraw", "developers.try_it.start",
} | {
    f"developers.account.{name}"
    for name in (
        "list_applications", "show_application", "rotate_secret", "change_addresses", "change_keys", "replay",
        "people", "remove", "list_failures",
    )
}  # fmt: skip
"""Of a partner's people; `tests/developers/test_account.py` has their own table. They take no id of a school."""


def rules(app):
    return [rule for rule in app.url_map.iter_rules() if not rule.endpoint.endswith("static")]


def belongs_to_a_registration(rule):
    return "registration_id" in rule.arguments


def csrf_token_of(person):
    """A CSRF token of this browser: from the page that signs out, or, signed out, from the search page."""
    for path in ("/sign-out", "/sign-in"):
        person.opens(path)
        if person.response.status_code == 200 and person.token:
            return person.token
    raise AssertionError("neither page has a form")


def outcome_of(person, response):
    """The outcome of a response: its status where it refuses, else the address that the person is finally led to."""
    if response.status_code >= 400:
        return response.status_code
    last = follow_redirects(person.web, response)
    return SIGN_IN if last.status_code < 300 and last.request.path == "/sign-in" else DONE


def statements_about(estab):
    """For each table, the SQL that reads what is stored about an estab, its agreements and its people."""
    people = select(Membership.person_id).where(Membership.estab_id == estab)
    school_columns = [
        (model, model.estab_id)
        for model in (Authorisation, Decision, Release, Membership, JoinRequest, DeviceCode, PersonInvitation, Endpoint)
    ]
    person_columns = [(model, model.person_id) for model in (Passkey, BrowserSession, PersonalSecret, FactorRecovery)]
    wanted = [
        (Estab, Estab.id == estab),
        *((model, column == estab) for model, column in school_columns),
        *((model, column.in_(people)) for model, column in person_columns),
    ]
    return {
        model.__tablename__: str(
            select(*(column for column in model.__table__.columns if column.name != "last_used_at"))
            .where(condition)
            .compile(connection(), compile_kwargs={"literal_binds": True})
        )
        for model, condition in wanted
    }


def rows_of_school(world):
    """All of school A, of its agreements and of its people, as it is stored; read twice for each of 600 requests."""
    with world.transaction():
        return {(table, *row) for table, sql in world.statements.items() for row in connection().exec_driver_sql(sql)}


@pytest.fixture
def world(transaction, new_browser, settings):
    """School A with its people, school B, and all of them signed in."""
    with transaction() as database:
        owner = factories.an_administrator()
        estab = owner.memberships[0].estab
        for role in (ADMIN, VIEWER):
            factories.an_administrator(estab, role=role, username=role)
        removed, stranger = factories.an_administrator(estab, username="removed"), factories.an_administrator()
        names = {
            OWNER: owner.username,
            ADMIN: ADMIN,
            VIEWER: VIEWER,
            "removed": "removed",
            "stranger": stranger.username,
        }
    persons = {who: Person(new_browser()) for who in (*names, "signed out")}
    for who, username in names.items():
        persons[who].signs_in(username)
        assert persons[who].opens("/manage").status_code == 200, who
    with transaction() as database:
        database.get_one(Membership, (removed.id, estab.id)).removed_at = clocks.now()
        # As if by a code, too: for some acts a password is not enough.
        fully = {"acr": sessions.MULTI, "amr": sessions.PASSWORD_AND_CODE}
        database.execute(update(BrowserSession).values(**fully))
        statements = statements_about(estab.id)
    return SimpleNamespace(
        transaction=transaction, new_browser=new_browser, issuer=settings.server.issuer, owner=owner.id,
        username=owner.username,
        estab=estab.id, estab_id=estab.estab_id, school=estab.name, persons=persons,
        statements=statements,
    )  # fmt: skip


def test_every_route_is_in_one_of_the_tables(app):
    listed = (
        {endpoint for endpoint, _ in ACTIONS}
        | OWN_ACCOUNT
        | FOR_ALL
        | BY_SECRET
        | FOR_PROGRAMS
        | FOR_STAFF
        | FOR_DEVELOPERS
    )
    registering = {rule.endpoint for rule in rules(app) if belongs_to_a_registration(rule)}
    endpoints = {rule.endpoint for rule in rules(app)} | {"static"}

    assert endpoints - listed - registering == set(), "say in this file what these routes are"
    assert listed - endpoints == set()
    posted = {(rule.endpoint, method) for rule in rules(app) for method in rule.methods & {"GET", "POST"}}
    acting = {endpoint for endpoint, _ in ACTIONS} - {"signin.schools.choose"}
    assert {message for message in posted if message[0] in acting} == {act for act in ACTIONS if act[0] in acting}


def test_the_answers_are_those_of_the_table_of_rights():
    for (endpoint, method), act in ACTIONS.items():
        if act.action is not None:
            may = [permissions.may(role, act.action) for role in permissions.ROLES]
            assert [response == DONE for response in (act.owner, act.admin, act.viewer)] == may, (endpoint, method)


def test_each_act_is_answered_as_the_table_says(world):
    wrong = []
    for (endpoint, method), act in ACTIONS.items():
        expected = {
            "stranger": act.stranger, "signed out": SIGN_IN, "removed": SIGN_IN,
            VIEWER: act.viewer, ADMIN: act.admin, OWNER: act.owner,
        }  # fmt: skip
        for who, answer in expected.items():
            person = world.persons[who]
            with world.transaction() as database:
                database.execute(delete(Passkey))
            path, fields = act.prepare(world, person)
            data = {"csrf_token": csrf_token_of(person), **fields} if method == "POST" else {}
            before = rows_of_school(world)
            response = person.web.post(path, data=data) if data else person.web.get(path)
            outcome, changed = outcome_of(person, response), rows_of_school(world) != before
            is_right = outcome == (DONE if answer in {OWN_SCHOOL_ONLY, NO_CHANGE} else answer)
            reads = answer == OWN_SCHOOL_ONLY and world.school in response.get_data(as_text=True)
            should_change = method == "POST" and answer == DONE
            if not is_right or reads or changed != should_change:
                wrong.append(
                    f"{method} {endpoint} for {who}: {answer} expected, {outcome}, changed {changed}, reads {reads}"
                )

    assert wrong == []


def test_pages_of_a_registration_are_for_its_browser_alone(app, world):
    with world.transaction():
        registration = a_registration(email="new@oakhill.example").id
    wrong = []
    for rule in filter(belongs_to_a_registration, rules(app)):
        path = re.sub(r"<registration_id>", registration, rule.rule)
        for who, person in world.persons.items():
            for method in rule.methods & {"GET", "POST"}:
                data = {"csrf_token": csrf_token_of(person)}
                response = person.web.get(path) if method == "GET" else person.web.post(path, data=data)
                if response.status_code != UNKNOWN:
                    wrong.append((method, path, who, response.status_code))

    assert wrong == []


def test_pages_of_an_own_account_lead_to_sign_in_and_those_of_our_staff_do_not_exist(app, world):
    for rule in rules(app):
        path = re.sub(r"<\w+>", "x", rule.rule)
        if rule.endpoint in OWN_ACCOUNT and "GET" in rule.methods:
            for who in ("signed out", "removed"):
                assert outcome_of(world.persons[who], world.persons[who].web.get(path)) == SIGN_IN, (path, who)
        if rule.endpoint in FOR_STAFF:
            for method in rule.methods & {"GET", "POST"}:
                answers = [
                    person.web.get(path)
                    if method == "GET"
                    else person.web.post(path, data={"csrf_token": csrf_token_of(person)})
                    for person in world.persons.values()
                ]
                assert {response.status_code for response in answers} == {UNKNOWN}, (path, method)
