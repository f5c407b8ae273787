"""Every page with a form, opened by a person who may see it, and the form as its button would send it.

Those of people who have no account yet, and of our staff, are in `newcomers`; those of second steps in `second_steps`.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from idp.estabs import links, people, person_invitations
from idp.estabs.models import Administrator, Membership, PersonInvitation
from idp.foundation import clock, crypto
from idp.invitations import invite
from idp.invitations.models import InvitationLink
from idp.onboarding.models import JoinRequest
from idp.partners import registry
from idp.sharing import authorise
from idp.signin import email_change, reset, undo_changes
from idp.signin.models import Guesses, PasswordReset
from tests import factories
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.hostile import Request
from tests.oidc.devices import GRANT, Device, enter
from tests.oidc.support import Partner, follow_redirects, sign_in_and_authorise
from tests.onboarding.registrations import a_registration, complete
from tests.onboarding.visitor import Page
from tests.signin.apps import an_app

OWN_PASSWORD = "wobbly kettle sings at dusk"
_numbers = count(1)


class FormRequest(NamedTuple):
    """A browser, and the request that pressing the button sends."""

    browser: Any
    request: Request


class SignedInPerson(NamedTuple):
    """A browser of their own, and their username."""

    browser: Any
    username: str


class SentInvitation(NamedTuple):
    """The id of an invitation, and the path of its link."""

    id: str
    path: str


def form(web: Any, page_or_path: Any, button: str, **values: str) -> FormRequest:
    """The form of this button on a page, which is given by its path or by the response that shows it."""
    page = Page(follow_redirects(web, web.get(page_or_path)) if isinstance(page_or_path, str) else page_or_path)
    _, fields = page.button_and_form(button)
    path = urljoin(page.path, str(fields.get("action") or page.path))
    return FormRequest(web, Request("POST", path, form=tuple((page.fields(button) | values).items())))


def local_path(url: str) -> str:
    """The path of one of our URLs, with its query."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def an_email() -> str:
    """An e-mail address without an account."""
    return f"someone{next(_numbers)}@oakhill.example"


def _client(target: FuzzTarget, **overrides: Any) -> Partner:
    with target.transaction():
        return Partner(factories.a_client(**overrides).id)


# Signing in and out


def sign_in(target: FuzzTarget) -> FormRequest:
    """The sign-in form on the way to a partner."""
    _forget_guesses(target)
    web = target.browser()
    return form(web, target.partner.link(), "sign-in", username=target.username, password=factories.PASSWORD)


def sign_out(target: FuzzTarget) -> FormRequest:
    """The form that signs out, of a person who is signed in for it."""
    return form(_another_owner(target).browser, "/sign-out", "sign-out")


def log_out(target: FuzzTarget) -> FormRequest:
    """The page that asks whether to sign out, after a client's valid request."""
    return form(_another_owner(target).browser, f"/oauth/logout?client_id={target.partner.id}", "confirm-logout")


def log_out_after_error(target: FuzzTarget) -> FormRequest:
    """The page that asks whether to sign out, after a client's invalid request."""
    return form(_another_owner(target).browser, "/oauth/logout?id_token_hint=x", "confirm-logout")


def _forget_guesses(target: FuzzTarget) -> None:
    """Delete the counts of wrong guesses: the clock is stopped, so a locked account would stay locked."""
    with target.transaction() as session:
        session.query(Guesses).delete()


def _another_owner(target: FuzzTarget) -> SignedInPerson:
    """The owner of another school, signed in."""
    return _another_person(target, role="owner")


def _another_person(target: FuzzTarget, *, role: str) -> SignedInPerson:
    """The only person of another school, signed in."""
    with target.transaction():
        username = factories.an_administrator(role=role).username
    web, request = form(target.browser(), "/sign-in", "sign-in", username=username, password=factories.PASSWORD)
    assert request.send(web).status_code == 303
    return SignedInPerson(web, username)


# Requests of partners


def consent(target: FuzzTarget) -> FormRequest:
    """The authorisation page."""
    link = _client(target).link()
    return form(target.web, link, "allow", authority="y", area="attendance")


def viewer(target: FuzzTarget) -> FormRequest:
    """The authorisation page of a viewer."""
    web = _another_person(target, role="viewer").browser
    return form(web, _client(target).link(), "deny")


def mis(target: FuzzTarget) -> FormRequest:
    """The page that asks for the school's MIS, because the client does not accept the one that is stored."""
    with target.transaction() as session:
        current = session.query(Administrator).filter_by(username=target.username).one().memberships[0].estab.mis
    other = "arbor" if current == "sims" else "sims"
    return form(target.web, _client(target, accepted_mis={other}).link(), "continue", mis=other)


def device_code(target: FuzzTarget) -> FormRequest:
    """The form in which a device's code is typed."""
    return form(target.web, "/device", "continue", user_code=_device(target, target.partner).codes["user_code"])


def device(target: FuzzTarget) -> FormRequest:
    """The page of a device whose partner the school has no agreement with."""
    device_client = _device(target, _client(target, grant_types=frozenset({"refresh_token", GRANT})))
    return form(target.web, enter(target.web, device_client.codes["user_code"]), "allow", authority="y")


def device_again(target: FuzzTarget) -> FormRequest:
    """The page of a device whose partner the school has an agreement with."""
    sign_in_and_authorise(target.web, target.partner, target.username)
    return form(target.web, enter(target.web, _device(target, target.partner).codes["user_code"]), "allow")


def _device(target: FuzzTarget, partner: Partner) -> Device:
    _forget_guesses(target)
    device_client = Device(target.browser(), partner)
    device_client.request_codes()
    return device_client


# The school's pages


def stop(target: FuzzTarget) -> FormRequest:
    """Stop sharing."""
    return form(target.web, f"/manage/sharing/{_shared(target)}/stop", "stop")


def change(target: FuzzTarget) -> FormRequest:
    """Change what is shared."""
    return form(target.web, f"/manage/sharing/{_shared(target)}/change", "save", area="attendance")


def pause(target: FuzzTarget) -> FormRequest:
    """Pause sharing, by the button on the first page."""
    client = _shared(target)
    _, request = form(target.web, f"/manage/sharing/{client}/stop", "stop")
    return FormRequest(target.web, Request("POST", f"/manage/sharing/{client}/pause", form=request.form))


def resume(target: FuzzTarget) -> FormRequest:
    """Resume sharing."""
    web, request = pause(target)
    request.send(web)
    return FormRequest(web, Request("POST", request.path.replace("/pause", "/resume"), form=request.form))


def _shared(target: FuzzTarget) -> str:
    """The id of a client with which the school shares data."""
    with target.transaction() as session:
        client = factories.a_client()
        owner = session.query(Administrator).filter_by(username=target.username).one()
        until = authorise.default_end(client)
        options = {"agreement_version": client.agreement_version, "until": until, "second_step": True}
        authorise.give(client, client.scopes, by=owner.memberships[0], **options)
        return client.id


def join(target: FuzzTarget) -> FormRequest:
    """The owner's page of a request to join."""
    with target.transaction() as session:
        estab = session.query(Administrator).filter_by(username=target.username).one().memberships[0].estab
        email = an_email()
        assert complete(a_registration(estab.school, email=email)) == "joining"
        request_id = session.query(JoinRequest).filter_by(email=email).one().id
    return form(target.web, f"/join/{request_id}", "approve", role="viewer")


def text_code(target: FuzzTarget) -> FormRequest:
    """Confirm a mobile number: the form that sends the code."""
    return form(_another_owner(target).browser, "/mobile/confirm", "send-code")


def mobile_code(target: FuzzTarget) -> FormRequest:
    """Confirm a mobile number: the form in which the code is typed."""
    web, request = text_code(target)
    return form(web, follow_redirects(web, request.send(web)), "confirm", code="123456")


def welcome(target: FuzzTarget) -> FormRequest:
    """The form for the first password of a person who was added."""
    return form(target.browser(), _welcome(target), "choose", password=OWN_PASSWORD)


def welcome_generated(target: FuzzTarget) -> FormRequest:
    """The same page's form for a generated password."""
    return form(target.browser(), _welcome(target), "generate")


def _welcome(target: FuzzTarget) -> str:
    with target.transaction() as session:
        estab = session.query(Administrator).filter_by(username=target.username).one().memberships[0].estab
        person = people.add(estab, name="Al", email=an_email(), mobile="+447700900124", role="admin")
        return local_path(links.issue_welcome_url(person))


def forgotten(target: FuzzTarget) -> FormRequest:
    """The form that asks for a new password."""
    return form(target.browser(), "/reset", "send", username=target.username)


def reset_code(target: FuzzTarget) -> FormRequest:
    """The form in which the code is typed."""
    web, request = forgotten(target)
    return form(web, follow_redirects(web, request.send(web)), "continue", code="123456")


def new_password(target: FuzzTarget) -> FormRequest:
    """The form for the new password, of a person made for it."""
    web = target.browser()
    with target.transaction() as session:
        person = factories.an_administrator(username=f"reset{next(_numbers)}", mobile_confirmed_at=clock.now())
        current = reset.find_by_browser(reset.begin(person.username, device=None))
        secret = crypto.new_secret()
        session.get_one(PasswordReset, current.id).proven_at = clock.now()
        session.get_one(PasswordReset, current.id).browser = crypto.digest(secret)
    web.set_cookie("idaas-reset", secret, domain="localhost")
    return form(web, "/reset/password", "choose", password=OWN_PASSWORD)


def new_password_by_link(target: FuzzTarget) -> FormRequest:
    """The form for a new password behind a link of our staff."""
    with target.transaction():
        person = factories.an_administrator(username=f"link{next(_numbers)}")
        secret = links.issue(person.id, links.RESET, timedelta(hours=1), value=person.email_folded)
    return form(target.browser(), f"/reset/link/{secret}", "choose", password=OWN_PASSWORD)


def account_name(target: FuzzTarget) -> FormRequest:
    """The form that changes a person's name."""
    return form(_another_owner(target).browser, "/manage/account/name", "save", name="Jo Bloggs")


def account_email(target: FuzzTarget) -> FormRequest:
    """The form that changes their e-mail address."""
    return form(_another_owner(target).browser, "/manage/account/email", "send", email=an_email())


def account_new_email(target: FuzzTarget) -> FormRequest:
    """The form behind the link that was sent to the new address."""
    web, username = _another_owner(target)
    with target.transaction() as session:
        person_id = session.query(Administrator).filter_by(username=username).one().id
        secret = links.issue(person_id, email_change.PURPOSE, timedelta(hours=1), value=an_email())
    return form(web, f"/manage/account/email/{secret}", "confirm")


def account_mobile(target: FuzzTarget) -> FormRequest:
    """The form that changes their mobile number."""
    return form(_another_owner(target).browser, "/manage/account/mobile", "send-code", mobile="07700 900999")


def account_mobile_code(target: FuzzTarget) -> FormRequest:
    """The form in which the code for the new number is typed."""
    web, request = account_mobile(target)
    return form(web, follow_redirects(web, request.send(web)), "confirm", code="123456")


def colleague_reset(target: FuzzTarget) -> FormRequest:
    """The form by which an owner sends a colleague a link to choose a password."""
    return form(target.web, f"/manage/people/{_colleague(target)}/reset", "send")


def colleague_lost_factor(target: FuzzTarget) -> FormRequest:
    """The form by which an owner reports that a colleague lost their second factor."""
    return form(target.web, f"/manage/people/{_colleague(target)}/lost-factor", "start")


def _colleague(target: FuzzTarget) -> str:
    """The id of another person of the school, who has an authenticator app."""
    with target.transaction() as session:
        session.query(Guesses).delete()
        estab = session.query(Administrator).filter_by(username=target.username).one().memberships[0].estab
        person = factories.an_administrator(estab, username=f"colleague{next(_numbers)}", role="admin")
        an_app(person.id)
        return person.id


def undo(target: FuzzTarget) -> FormRequest:
    """The form behind a link that undoes changes."""
    with target.transaction():
        link = undo_changes.issue(factories.an_administrator(username=f"undo{next(_numbers)}"))
    return form(target.browser(), local_path(link), "undo")


# The people of a school


def _owner(target: FuzzTarget) -> Membership:
    """The membership of the owner who is signed in at `target.web`; call it in a transaction."""
    person = people.by_name(target.username)
    assert person is not None
    return person.memberships[0]


def _viewer_here(target: FuzzTarget) -> str:
    """The id of a viewer of the owner's school."""
    with target.transaction():
        email = an_email()
        fields = {"role": "viewer", "email": email, "username": email.partition("@")[0]}
        return factories.an_administrator(_owner(target).estab, **fields).id


def _invitation(target: FuzzTarget) -> SentInvitation:
    """An invitation of a person as a viewer of the owner's school."""
    with target.transaction() as session:
        email, secret = an_email(), crypto.new_secret()
        session.query(PersonInvitation).delete()  # so as not to reach the limits
        invited = person_invitations.invite("Al Bloggs", email, "viewer", by=_owner(target))
        invited.digest = crypto.digest(secret)
        return SentInvitation(invited.id, f"/invitation/{secret}")


def people_invite(target: FuzzTarget) -> FormRequest:
    """Invite a person to act for the school."""
    _invitation(target)
    fields = {"name": "Bo Bloggs", "email": an_email(), "role": "viewer"}
    return form(target.web, "/manage/people/invite", "send", **fields)


def people_resend(target: FuzzTarget) -> FormRequest:
    """Send a new link; the button is on the People page."""
    return _people_page_button(target, "resend")


def people_cancel(target: FuzzTarget) -> FormRequest:
    """Withdraw an invitation."""
    return _people_page_button(target, "cancel")


def _people_page_button(target: FuzzTarget, action: str) -> FormRequest:
    """The form of an invitation's button on the People page; its token is that of another form of the session."""
    invitation = _invitation(target)
    _, request = form(target.web, "/manage/people/leave", "leave")
    path = f"/manage/people/invitations/{invitation.id}/{action}"
    return FormRequest(target.web, Request("POST", path, form=request.form))


def people_role(target: FuzzTarget) -> FormRequest:
    """Give a colleague another role."""
    return form(target.web, f"/manage/people/{_viewer_here(target)}/role", "change", role="admin")


def people_remove(target: FuzzTarget) -> FormRequest:
    """Remove a colleague."""
    return form(target.web, f"/manage/people/{_viewer_here(target)}/remove", "remove")


def people_leave(target: FuzzTarget) -> FormRequest:
    """A viewer leaves."""
    return form(_another_person(target, role="viewer").browser, "/manage/people/leave", "leave")


def people_hand_over(target: FuzzTarget) -> FormRequest:
    """An owner hands over to a colleague."""
    web, username = _another_owner(target)
    with target.transaction() as session:
        estab = session.query(Administrator).filter_by(username=username).one().memberships[0].estab
        email = an_email()
        new_owner = factories.an_administrator(estab, role="admin", email=email, username=email.partition("@")[0]).id
    return form(web, "/manage/people/hand-over", "hand-over", person=new_owner, role="viewer")


def invitation_new(target: FuzzTarget) -> FormRequest:
    """A person without an account accepts."""
    return form(target.browser(), _invitation(target).path, "accept", mobile="07700 900124")


def invitation_accept(target: FuzzTarget) -> FormRequest:
    """A person who has an account, and is signed in, accepts."""
    web, username = _another_owner(target)
    path = _invitation(target).path
    with target.transaction() as session:
        invited = session.query(PersonInvitation).one()
        person = session.query(Administrator).filter_by(username=username).one()
        invited.email, invited.email_folded = person.email, person.email_folded
    return form(web, path, "accept")


def invitation_password_link(target: FuzzTarget) -> FormRequest:
    """The form for the password, of a person who has accepted an invitation."""
    path = _invitation(target).path
    with target.transaction():
        person_invitations.accept_as_new(path.rpartition("/")[2], name="Al", mobile="+447700900124")
    return form(target.browser(), path, "send-link")


def invitation_sign_out(target: FuzzTarget) -> FormRequest:
    """The form by which a person other than the invited one signs out."""
    return form(_another_owner(target).browser, _invitation(target).path, "sign-out")


def _invitation_of_a_school(target: FuzzTarget) -> str:
    """The path of the link in a partner's invitation of a school."""
    with target.transaction() as session:
        partner = registry.client(factories.a_client().id)
        assert partner is not None
        request = invite.InvitationRequest(factories.a_school(), "Al Bloggs", an_email(), frozenset({"students"}))
        invitation, secret = invite.invite(partner, request), crypto.new_secret()
        link = session.query(InvitationLink).filter_by(invitation_id=invitation.id).one()
        link.digest = crypto.digest(secret)
        return f"/invitations/{secret}"


def school_invitation_yes(target: FuzzTarget) -> FormRequest:
    """The form by which a reader of a partner's invitation continues to the partner."""
    return form(target.browser(), _invitation_of_a_school(target), "yes")


def school_invitation_declined(target: FuzzTarget) -> FormRequest:
    """The form by which a reader declines a partner's invitation."""
    return form(target.browser(), _invitation_of_a_school(target), "not-for-us")


def school_invitation_passed_on(target: FuzzTarget) -> FormRequest:
    """The form by which a reader passes a partner's invitation on."""
    path = f"{_invitation_of_a_school(target)}/pass-on"
    return form(target.browser(), path, "pass-on", name="Bo Bloggs", email=an_email(), disclose="y")


FORMS: dict[str, Callable[[FuzzTarget], FormRequest]] = {
    step.__name__.replace("_", " "): step
    for step in (
        sign_in, sign_out, log_out, log_out_after_error, consent, viewer, mis, device_code, device, device_again, stop,
        change, pause, resume, join, text_code, mobile_code, welcome, welcome_generated,
        forgotten, reset_code, new_password, new_password_by_link, account_name, account_email,
        account_new_email, account_mobile, account_mobile_code, colleague_reset,
        colleague_lost_factor, undo,
        people_invite, people_resend, people_cancel, people_role, people_remove, people_leave, people_hand_over,
        invitation_new, invitation_accept, invitation_password_link, invitation_sign_out,
        school_invitation_yes, school_invitation_declined, school_invitation_passed_on,
    )
}  # fmt: skip
