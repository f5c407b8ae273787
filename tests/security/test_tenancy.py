"""Tenancy (security.md S37): the response to each person by every route that acts for a school or takes an id of one.

The tables below list every route of the application, so that this test fails until a new one is added to one of them.
Each request is sent with ids of school A by its owner, an administrator, a viewer, a person who was removed from it,
the owner of school B, and signed out. Only the people whom the table permits it change anything of school A.
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
from idp.sharing import authorise, releases, reviews
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
"""There is nothing to do, as after a second click: the person is redirected to the page or to the service."""
OWN_SCHOOL_ONLY = "their own school"
"""Without an id in the URL: the response to the owner of school B is about school B, and has nothing of A."""


@dataclass(frozen=True)
class Act:
    """One request for school A, and its outcome by role; people who were removed or signed out are asked to sign in."""

    prepare: Callable[[Any, Any], tuple[str, dict[str, Any]]]
    """Makes what the request needs, given the world and the person; returns path and fields."""
    action: Action | None
    """The action that the permissions are about; None for one's own account."""
    owner: int | str
    admin: int | str
    viewer: int | str
    stranger: int | str


def authorise_service(world, _person, **overrides):
    """Have school A authorise a service; returns the service's id."""
    with world.transaction() as database:
        client = factories.a_client(**overrides)
        authorise.give(
            client, client.required_scopes, by=database.get_one(Membership, (world.owner, world.estab)),
            agreement_version="1", until=clocks.now() + timedelta(days=30), offered=client.scopes,
        )  # fmt: skip
        return client.id


def sharing_action(verb, *, paused=False, **fields):
    def prepare(world, person):
        client_id = authorise_service(world, person)
        if paused:
            with world.transaction() as database:
                by = database.get_one(Membership, (world.owner, world.estab))
                authorise.pause(world.estab, client_id, by=by)
        return f"/manage/sharing/{client_id}/{verb}", fields

    return prepare


def prepare_renewal(world, person):
    client_id = authorise_service(world, person)
    with world.transaction() as database:
        replaces = database.scalars(select(Authorisation.id).where(Authorisation.client_id == client_id)).one()
    return f"/manage/sharing/{client_id}/renew", {"replaces": replaces, "version": "2026-01"}


def prepare_review(world, person):
    client_id = authorise_service(world, person)
    with world.transaction() as database:
        client = database.get_one(Client, client_id)
        client.required_scopes |= {"staff"}
        registry.bump_version(client)
        agreement = database.scalars(select(Authorisation).where(Authorisation.client_id == client_id)).one()
        fields = {"replaces": agreement.id, "shown": reviews.find_pending(agreement).shown, "authority": "y"}
    return f"/manage/sharing/{client_id}/review", fields


def prepare_system_change(world, _person):
    with world.transaction() as database:
        for estab in database.scalars(select(Estab)):
            estab.mis = "sims"
    return "/manage/system", {"mis": "arbor"}


def connect_server(world, path):
    """Have school A connect a server, unless it has; returns `path` and the fields that name the server."""
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


def prepare_request_for_data(world, _person):
    return connect_server(world, "/manage/endpoint/send")


def prepare_server_removal(world, _person):
    return connect_server(world, "/manage/endpoint/remove")


def make_successor(world, *, closed, successor):
    """Close the school of the estab `closed` in the register, with that of `successor` as its successor."""
    with world.transaction() as database:
        before, after = (database.get_one(Estab, estab_id).school for estab_id in (closed, successor))
        before.status_code, before.closed_on = "2", clocks.today()
        database.execute(delete(SchoolLink))
        link = SchoolLink(from_urn=before.register_id, to_urn=after.register_id, kind="Successor", is_succession=True)
        link.name, link.since = after.name, clocks.today()
        database.add(link)
        return after.id


def close_school(world, _person, path="/manage/closing"):
    with world.transaction():
        after = factories.an_estab().id
    school_id = make_successor(world, closed=world.estab, successor=after)
    return path.format(school_id), {}


def prepare_release(world, person):
    return close_school(world, person, "/manage/closing/{}/release")


def prepare_release_withdrawal(world, person):
    path, fields = close_school(world, person, "/manage/closing/{}/take-back")
    with world.transaction() as database:
        owner = database.get_one(Membership, (world.owner, world.estab))
        releases.release(int(path.split("/")[3]), by=owner)
    return path, fields


def prepare_offer(world, _person):
    """Have another school close, and let school A continue with what it shared."""
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
        releases.release(school_id, by=database.get_one(Membership, (owner_id, closed)))
        release_id = releases.releases(closed)[school_id].id
        (offer,) = [
            offer
            for offer in releases.offers(database.get_one(Membership, (world.owner, world.estab)))
            if offer.id == release_id
        ]
        shown, service = offer.shown, client.id
    return f"/manage/continue/{release_id}", {"shown": shown, "service": service, "authority": "y"}


def fixed_path(path, **fields):
    return lambda _world, _person: (path, fields)


def prepare_join_request(world, _person):
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
    """A partner's pending request in the person's browser, which needs the authorisation, or the name of the MIS."""

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


def prepare_app(world, person):
    """The request of an app that school A has authorised, in the person's browser."""
    uri = "uk.example.timetabler:/signed-in"
    overrides = {"token_endpoint_auth_method": "none", "redirect_uris": [uri], "accepted_mis": frozenset()}
    client_id = authorise_service(world, person, **overrides)
    link = Partner(client_id, secret="none", redirect_uri=uri).link(scope="school students")
    query = urlsplit(follow_redirects(person.web, person.web.get(link)).request.full_path.rstrip("?")).query
    waiting = parse_qs(query).get("next")
    return f"/oauth/app?{urlsplit(waiting[0]).query if waiting else query}", {"allow": "yes"}


def decision(response):
    """The fields that authorise, on the consent page."""
    shown = page(response).find("input", {"name": "shown"})
    return {"allow": "yes", "authority": "y", "agreement": "2026-01", "shown": shown["value"] if shown else ""}


def prepare_device(world, person):
    with world.transaction():
        client = factories.a_client(grant_types=GRANTS)
    device = Device(person.web, Partner(client.id))
    device.request_codes()
    fields = {"csrf_token": csrf_token_of(person), "user_code": device.codes["user_code"]}
    assert person.web.post("/device", data=fields).status_code == 303
    return device.link, decision(follow_redirects(person.web, person.web.get(device.link)))


def prepare_school_choice(world, _person):
    return "/sign-in/school", {"school": world.estab_id}


def owners_passkey(verb):
    def prepare(world, _person):
        with world.transaction() as database:
            a_passkey(world.owner, world.issuer)
            newest = database.scalars(select(Passkey.id).where(Passkey.person_id == world.owner)).one()
        return f"/manage/security/passkeys/{newest}/{verb}", {"name": "Mine"}

    return prepare


def prepare_session_of_owner(world, _person):
    elsewhere = Person(world.new_browser())
    elsewhere.sign_in(world.username)
    with world.transaction() as database:
        open_sessions = select(BrowserSession).where(
            BrowserSession.person_id == world.owner, BrowserSession.ended_at.is_(None)
        )
        newest = max(database.scalars(open_sessions), key=lambda row: row.created_at)
        return f"/manage/security/sessions/{newest.sid}/end", {}


def colleague_action(verb, *, with_factor=False, **fields):
    def prepare(world, _person):
        with world.transaction() as database:
            estab = database.get_one(Estab, world.estab)
            username = f"colleague-{len(database.scalars(select(Administrator)).all())}"
            colleague = factories.an_administrator(estab, username=username, role=VIEWER)
            if with_factor:
                a_passkey(colleague.id, world.issuer)
        return f"/manage/people/{colleague.id}/{verb}", fields

    return prepare


def prepare_invitation(world, _person):
    number = len(rows_of_school(world))
    return "/manage/people/invite", {"name": "Sam Lee", "email": f"sam{number}@oakhill.example", "role": VIEWER}


def invitation_action(verb):
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


def prepare_hand_over(world, person):
    colleague = colleague_action("x")(world, person)[0].split("/")[3]
    return "/manage/people/hand-over", {"person": colleague, "role": ADMIN}


ACTIONS = {
    # route: the request, its action in the permissions, outcome for owner, admin, viewer, owner of another school
    ("manage.home", "GET"): Act(fixed_path("/manage"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY),
    ("manage.download_record", "GET"): Act(
        fixed_path("/manage/sharing/record.csv"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.activity.home", "GET"): Act(
        fixed_path("/manage/activity"), Action.SEE_ACTIVITY, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.activity.download", "GET"): Act(
        fixed_path("/manage/activity/activity.csv"), Action.SEE_ACTIVITY, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.stop_sharing", "GET"): Act(sharing_action("stop"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.stop_sharing", "POST"): Act(sharing_action("stop"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.change_sharing", "GET"): Act(sharing_action("change"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.change_sharing", "POST"): Act(
        sharing_action("change", area="attendance"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN
    ),
    ("manage.pause_sharing", "POST"): Act(sharing_action("pause"), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.sharing.renew", "GET"): Act(sharing_action("renew"), Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.sharing.renew", "POST"): Act(prepare_renewal, Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.sharing.review", "GET"): Act(prepare_review, Action.SEE_SHARING, DONE, DONE, DONE, UNKNOWN),
    ("manage.sharing.review", "POST"): Act(prepare_review, Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN),
    ("manage.system.change", "GET"): Act(
        fixed_path("/manage/system"), Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.system.change", "POST"): Act(
        prepare_system_change, Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.endpoint.home", "GET"): Act(
        fixed_path("/manage/endpoint"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.endpoint.download_reads", "GET"): Act(
        fixed_path("/manage/endpoint/reads.csv"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.endpoint.send", "POST"): Act(
        prepare_request_for_data, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE
    ),
    ("manage.endpoint.remove", "GET"): Act(
        prepare_server_removal, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE
    ),
    ("manage.endpoint.remove", "POST"): Act(
        prepare_server_removal, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, NO_CHANGE
    ),
    ("manage.closing.home", "GET"): Act(close_school, Action.SEE_SHARING, DONE, DONE, DONE, NO_CHANGE),
    ("manage.closing.release", "POST"): Act(
        prepare_release, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, NO_CHANGE
    ),
    ("manage.closing.take_back", "POST"): Act(
        prepare_release_withdrawal, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, NO_CHANGE
    ),
    ("manage.closing.continue_sharing", "GET"): Act(
        prepare_offer, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.closing.continue_sharing", "POST"): Act(
        prepare_offer, Action.CONTINUE_SHARING, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.resume_sharing", "POST"): Act(
        sharing_action("resume", paused=True), Action.AUTHORISE, DONE, DONE, FORBIDDEN, UNKNOWN
    ),
    ("onboarding.next_steps.next_steps", "GET"): Act(
        fixed_path("/register/next-steps"), Action.SEE_SHARING, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.join.decide", "GET"): Act(
        prepare_join_request, Action.DECIDE_REQUESTS_TO_JOIN, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.join.decide", "POST"): Act(
        prepare_join_request, Action.DECIDE_REQUESTS_TO_JOIN, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("oidc.ask_consent", "GET"): Act(partner_request(), Action.AUTHORISE, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.ask_consent", "POST"): Act(partner_request(), Action.AUTHORISE, DONE, DONE, NO_CHANGE, OWN_SCHOOL_ONLY),
    ("oidc.tell_mis", "GET"): Act(partner_request(mis=True), Action.NAME_MIS, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.tell_mis", "POST"): Act(partner_request(mis=True), Action.NAME_MIS, DONE, DONE, NO_CHANGE, OWN_SCHOOL_ONLY),
    ("oidc.confirm_app", "GET"): Act(prepare_app, None, DONE, DONE, DONE, NO_CHANGE),
    ("oidc.confirm_app", "POST"): Act(prepare_app, None, NO_CHANGE, NO_CHANGE, NO_CHANGE, NO_CHANGE),
    ("oidc.device", "GET"): Act(prepare_device, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("oidc.device", "POST"): Act(prepare_device, Action.APPROVE_DEVICES, DONE, DONE, FORBIDDEN, OWN_SCHOOL_ONLY),
    ("signin.schools.choose", "POST"): Act(prepare_school_choice, None, DONE, DONE, DONE, NOT_OFFERED),
    ("manage.security.passkeys.rename", "GET"): Act(owners_passkey("rename"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.security.passkeys.rename", "POST"): Act(owners_passkey("rename"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.security.passkeys.remove", "GET"): Act(owners_passkey("remove"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.security.passkeys.remove", "POST"): Act(owners_passkey("remove"), None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.colleagues.reset", "GET"): Act(
        colleague_action("reset"), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.reset", "POST"): Act(
        colleague_action("reset"), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.lost_factor", "GET"): Act(
        colleague_action("lost-factor", with_factor=True), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.colleagues.lost_factor", "POST"): Act(
        colleague_action("lost-factor", with_factor=True), Action.HELP_COLLEAGUES, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.own.end_session", "POST"): Act(prepare_session_of_owner, None, DONE, UNKNOWN, UNKNOWN, UNKNOWN),
    ("manage.people.home", "GET"): Act(
        fixed_path("/manage/people"), Action.SEE_PEOPLE, DONE, DONE, DONE, OWN_SCHOOL_ONLY
    ),
    ("manage.people.invite", "GET"): Act(
        fixed_path("/manage/people/invite"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.people.invite", "POST"): Act(
        prepare_invitation, Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.people.resend", "POST"): Act(
        invitation_action("resend"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.cancel", "POST"): Act(
        invitation_action("cancel"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.role", "GET"): Act(
        colleague_action("role"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.role", "POST"): Act(
        colleague_action("role", role=ADMIN), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.remove", "GET"): Act(
        colleague_action("remove"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.remove", "POST"): Act(
        colleague_action("remove"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, UNKNOWN
    ),
    ("manage.people.hand_over", "GET"): Act(
        fixed_path("/manage/people/hand-over"), Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, OWN_SCHOOL_ONLY
    ),
    ("manage.rule.everyone", "GET"): Act(
        fixed_path("/manage/security/everyone"),
        Action.REQUIRE_SECOND_FACTOR,
        DONE,
        FORBIDDEN,
        FORBIDDEN,
        OWN_SCHOOL_ONLY,
    ),
    ("manage.rule.everyone", "POST"): Act(
        fixed_path("/manage/security/everyone"),
        Action.REQUIRE_SECOND_FACTOR,
        DONE,
        FORBIDDEN,
        FORBIDDEN,
        OWN_SCHOOL_ONLY,
    ),
    # This is the last, because the owner is only an administrator afterwards.
    ("manage.people.hand_over", "POST"): Act(
        prepare_hand_over, Action.MANAGE_PEOPLE, DONE, FORBIDDEN, FORBIDDEN, NOT_OFFERED
    ),
}
"""Routes that act for a school or take an id of one, its people or what is theirs."""

OWN_ACCOUNT = {
    "manage.account.change_mobile", "manage.account.confirm_email", "manage.account.confirm_mobile",
    "manage.account.change_email", "manage.account.change_name", "manage.account.home", "manage.linked_accounts.link",
    "manage.linked_accounts.unlink", "manage.own.change_password", "manage.own.end_other_sessions",
    "manage.own.list_sign_ins", "manage.own.other_sessions",
    "manage.own.sessions", "manage.people.leave", "manage.own.sign_out_everywhere", "manage.security.home",
    "manage.security.make_recovery_codes", "manage.security.passkeys.add", "manage.security.passkeys.options",
    "manage.security.remove_app", "manage.security.second_step", "manage.security.snooze_second_step",
    "manage.security.set_up_app", "signin.people.confirm_mobile",
}  # fmt: skip
"""Pages of a person's own account, which take no id of anyone."""

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
    "operate.requests.list_requests", "operate.requests.show_request", "operate.schools.list_waiting",
    "operate.schools.show_school", "operate.schools.show_join_request", "operate.register.show",
    "operate.accounts.find", "operate.accounts.show", "operate.accounts.show_person",
}  # fmt: skip
"""Pages of our staff, which do not exist for anyone else."""
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
"""Pages of a partner's people, which take no id of a school: `tests/developers/test_account.py` has their table."""


def rules(app):
    return [rule for rule in app.url_map.iter_rules() if not rule.endpoint.endswith("static")]


def is_page_of_registration(rule):
    return "registration_id" in rule.arguments


def csrf_token_of(person):
    """A CSRF token of this browser, from the sign-out page, or if it is signed out, from the sign-in page."""
    for path in ("/sign-out", "/sign-in"):
        person.open(path)
        if person.response.status_code == 200 and person.token:
            return person.token
    raise AssertionError("neither page has a form")


def outcome_of(person, response):
    """The outcome of a response: its status if it is an error, else `SIGN_IN` if it redirects there, else `DONE`."""
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
        persons[who].sign_in(username)
        assert persons[who].open("/manage").status_code == 200, who
    with transaction() as database:
        database.get_one(Membership, (removed.id, estab.id)).removed_at = clocks.now()
        # As after a second factor: for some actions a password is not enough.
        second_factor = {"acr": sessions.MULTI, "amr": sessions.PASSWORD_AND_CODE}
        database.execute(update(BrowserSession).values(**second_factor))
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
    registration_pages = {rule.endpoint for rule in rules(app) if is_page_of_registration(rule)}
    endpoints = {rule.endpoint for rule in rules(app)} | {"static"}

    assert endpoints - listed - registration_pages == set(), "add these routes to a table of this file"
    assert listed - endpoints == set()
    routes = {(rule.endpoint, method) for rule in rules(app) for method in rule.methods & {"GET", "POST"}}
    endpoints_in_table = {endpoint for endpoint, _ in ACTIONS} - {"signin.schools.choose"}
    assert {route for route in routes if route[0] in endpoints_in_table} == {
        route for route in ACTIONS if route[0] in endpoints_in_table
    }


def test_the_outcomes_agree_with_the_permissions():
    for (endpoint, method), act in ACTIONS.items():
        if act.action is not None:
            may = [permissions.may(role, act.action) for role in permissions.ROLES]
            assert [outcome == DONE for outcome in (act.owner, act.admin, act.viewer)] == may, (endpoint, method)


def test_each_request_has_the_outcome_in_the_table(world):
    wrong = []
    for (endpoint, method), act in ACTIONS.items():
        expected = {
            "stranger": act.stranger, "signed out": SIGN_IN, "removed": SIGN_IN,
            VIEWER: act.viewer, ADMIN: act.admin, OWNER: act.owner,
        }  # fmt: skip
        for who, expected_outcome in expected.items():
            person = world.persons[who]
            with world.transaction() as database:
                database.execute(delete(Passkey))
            path, fields = act.prepare(world, person)
            data = {"csrf_token": csrf_token_of(person), **fields} if method == "POST" else {}
            before = rows_of_school(world)
            response = person.web.post(path, data=data) if data else person.web.get(path)
            outcome, changed = outcome_of(person, response), rows_of_school(world) != before
            is_right = outcome == (DONE if expected_outcome in {OWN_SCHOOL_ONLY, NO_CHANGE} else expected_outcome)
            reads = expected_outcome == OWN_SCHOOL_ONLY and world.school in response.get_data(as_text=True)
            should_change = method == "POST" and expected_outcome == DONE
            if not is_right or reads or changed != should_change:
                wrong.append(
                    f"{method} {endpoint} for {who}: {expected_outcome} expected, {outcome}, "
                    f"changed {changed}, reads {reads}"
                )

    assert wrong == []


def test_pages_of_a_registration_are_for_its_browser_alone(app, world):
    with world.transaction():
        registration = a_registration(email="new@oakhill.example").id
    wrong = []
    for rule in filter(is_page_of_registration, rules(app)):
        path = re.sub(r"<registration_id>", registration, rule.rule)
        for who, person in world.persons.items():
            for method in rule.methods & {"GET", "POST"}:
                data = {"csrf_token": csrf_token_of(person)}
                response = person.web.get(path) if method == "GET" else person.web.post(path, data=data)
                if response.status_code != UNKNOWN:
                    wrong.append((method, path, who, response.status_code))

    assert wrong == []


def test_pages_of_ones_own_account_redirect_to_sign_in_and_those_of_our_staff_are_not_found(app, world):
    for rule in rules(app):
        path = re.sub(r"<\w+>", "x", rule.rule)
        if rule.endpoint in OWN_ACCOUNT and "GET" in rule.methods:
            for who in ("signed out", "removed"):
                assert outcome_of(world.persons[who], world.persons[who].web.get(path)) == SIGN_IN, (path, who)
        if rule.endpoint in FOR_STAFF:
            for method in rule.methods & {"GET", "POST"}:
                responses = [
                    person.web.get(path)
                    if method == "GET"
                    else person.web.post(path, data={"csrf_token": csrf_token_of(person)})
                    for person in world.persons.values()
                ]
                assert {response.status_code for response in responses} == {UNKNOWN}, (path, method)
