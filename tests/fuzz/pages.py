"""Every page with a form, opened by somebody for whom it is, and the form as its button would send it.

Those of people who have no account yet, and of our staff, are in `newcomers`; those of second steps in `second_steps`.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import urljoin, urlsplit

from idp.estabs import invitations, links, people
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
from tests.fuzz.conftest import Ground
from tests.fuzz.hostile import Sent
from tests.oidc.devices import GRANT, Device, enter
from tests.oidc.support import Partner, authorised, follow
from tests.onboarding.makes import a_registration, completed
from tests.onboarding.visitor import Page
from tests.signin.apps import an_app

OWN = "wobbly kettle sings at dusk"
_numbers = count(1)

Opened = tuple[Any, Sent]
"""A browser, and what pressing the button there sends."""


def form(web: Any, opened: Any, button: str, **values: str) -> Opened:
    """The form of this button on a page: its path, or the response that shows it."""
    page = Page(follow(web, web.get(opened)) if isinstance(opened, str) else opened)
    _, fields = page.form_of(button)
    path = urljoin(page.path, str(fields.get("action") or page.path))
    return web, Sent("POST", path, form=tuple((page.fields(button) | values).items()))


def local(address: str) -> str:
    """The path of an address of ours, with its query."""
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def an_email() -> str:
    """An address that nobody has yet."""
    return f"somebody{next(_numbers)}@oakhill.example"


def _client(ground: Ground, **overrides: Any) -> Partner:
    with ground.work():
        return Partner(factories.a_client(**overrides).id)


# Signing in and out


def sign_in(ground: Ground) -> Opened:
    """With a partner waiting."""
    _forget_guesses(ground)
    web = ground.browser()
    return form(web, ground.partner.link(), "sign-in", username=ground.username, password=factories.PASSWORD)


def sign_out(ground: Ground) -> Opened:
    """Of a person who signed in for that."""
    return form(_somebody(ground)[0], "/sign-out", "sign-out")


def log_out(ground: Ground) -> Opened:
    """As a client asks."""
    return form(_somebody(ground)[0], f"/oauth/logout?client_id={ground.partner.id}", "confirm-logout")


def log_out_anyway(ground: Ground) -> Opened:
    """As a client asks badly."""
    return form(_somebody(ground)[0], "/oauth/logout?id_token_hint=x", "confirm-logout")


def _forget_guesses(ground: Ground) -> None:
    """The clock stands still, and what was locked would stay so."""
    with ground.work() as session:
        session.query(Guesses).delete()


def _somebody(ground: Ground, **overrides: Any) -> tuple[Any, str]:
    """Another school's owner, signed in at a browser of their own, and their name."""
    with ground.work():
        username = factories.an_administrator(**overrides).username
    web, sent = form(ground.browser(), "/sign-in", "sign-in", username=username, password=factories.PASSWORD)
    assert sent.by(web).status_code == 303
    return web, username


# What partners ask


def consent(ground: Ground) -> Opened:
    """The authorisation page."""
    link = _client(ground).link()
    return form(ground.web, link, "allow", authority="y", area="attendance")


def viewer(ground: Ground) -> Opened:
    """The page for those who may only look."""
    web, _ = _somebody(ground, role="viewer")
    return form(web, _client(ground).link(), "deny")


def mis(ground: Ground) -> Opened:
    """Which system the school uses, which is not the one it told us."""
    with ground.work() as session:
        current = session.query(Administrator).filter_by(username=ground.username).one().memberships[0].estab.mis
    other = "arbor" if current == "sims" else "sims"
    return form(ground.web, _client(ground, accepted_mis={other}).link(), "continue", mis=other)


def device_code(ground: Ground) -> Opened:
    """Where a device's code is typed."""
    return form(ground.web, "/device", "continue", user_code=_device(ground, ground.partner).codes["user_code"])


def device(ground: Ground) -> Opened:
    """A device of a partner with whom nothing is agreed yet."""
    asks = _device(ground, _client(ground, grant_types=frozenset({"refresh_token", GRANT})))
    return form(ground.web, enter(ground.web, asks.codes["user_code"]), "allow", authority="y")


def device_again(ground: Ground) -> Opened:
    """A device of a partner with whom it is."""
    authorised(ground.web, ground.partner, ground.username)
    return form(ground.web, enter(ground.web, _device(ground, ground.partner).codes["user_code"]), "allow")


def _device(ground: Ground, partner: Partner) -> Device:
    _forget_guesses(ground)
    asks = Device(ground.browser(), partner)
    asks.asks()
    return asks


# The school's desk


def stop(ground: Ground) -> Opened:
    """Stop sharing."""
    return form(ground.web, f"/manage/sharing/{_shared(ground)}/stop", "stop")


def change(ground: Ground) -> Opened:
    """Change what is shared."""
    return form(ground.web, f"/manage/sharing/{_shared(ground)}/change", "save", area="attendance")


def pause(ground: Ground) -> Opened:
    """Pause: the button stands on the first page."""
    client = _shared(ground)
    _, sent = form(ground.web, f"/manage/sharing/{client}/stop", "stop")
    return ground.web, Sent("POST", f"/manage/sharing/{client}/pause", form=sent.form)


def resume(ground: Ground) -> Opened:
    """And resume."""
    web, sent = pause(ground)
    sent.by(web)
    return web, Sent("POST", sent.path.replace("/pause", "/resume"), form=sent.form)


def _shared(ground: Ground) -> str:
    """A client that the school shares with."""
    with ground.work() as session:
        client = factories.a_client()
        owner = session.query(Administrator).filter_by(username=ground.username).one()
        until = authorise.default_end(client)
        how = {"agreement": client.agreement_version, "until": until, "second_step": True}
        authorise.give(client, client.scopes, by=owner.memberships[0], **how)
        return client.id


def join(ground: Ground) -> Opened:
    """Somebody asks to join."""
    with ground.work() as session:
        estab = session.query(Administrator).filter_by(username=ground.username).one().memberships[0].estab
        email = an_email()
        assert completed(a_registration(estab.school, email=email)) == "joining"
        request_id = session.query(JoinRequest).filter_by(email=email).one().id
    return form(ground.web, f"/join/{request_id}", "approve", role="viewer")


def text_code(ground: Ground) -> Opened:
    """Confirming a mobile: the code is sent."""
    return form(_somebody(ground)[0], "/mobile/confirm", "send-code")


def mobile_code(ground: Ground) -> Opened:
    """And typed."""
    web, sent = text_code(ground)
    return form(web, follow(web, sent.by(web)), "confirm", code="123456")


def welcome(ground: Ground) -> Opened:
    """The first password of somebody who was added."""
    return form(ground.browser(), _welcome(ground), "choose", password=OWN)


def welcome_made(ground: Ground) -> Opened:
    """Or one that we make."""
    return form(ground.browser(), _welcome(ground), "generate")


def _welcome(ground: Ground) -> str:
    with ground.work() as session:
        estab = session.query(Administrator).filter_by(username=ground.username).one().memberships[0].estab
        person = people.add(estab, name="Al", email=an_email(), mobile="+447700900124", role="admin")
        return local(links.issue_welcome_url(person))


def forgotten(ground: Ground) -> Opened:
    """Somebody asks for a new password."""
    return form(ground.browser(), "/reset", "send", username=ground.username)


def reset_code(ground: Ground) -> Opened:
    """And types a code."""
    web, sent = forgotten(ground)
    return form(web, follow(web, sent.by(web)), "continue", code="123456")


def new_password(ground: Ground) -> Opened:
    """And chooses one: of a person made for that."""
    web = ground.browser()
    with ground.work() as session:
        person = factories.an_administrator(username=f"reset{next(_numbers)}", mobile_confirmed_at=clock.now())
        current = reset.of_browser(reset.begin(person.username, device=None))
        secret = crypto.new_secret()
        session.get_one(PasswordReset, current.id).proven_at = clock.now()
        session.get_one(PasswordReset, current.id).browser = crypto.digest(secret)
    web.set_cookie("idaas-reset", secret, domain="localhost")
    return form(web, "/reset/password", "choose", password=OWN)


def new_password_by_link(ground: Ground) -> Opened:
    """Or by a link of our staff."""
    with ground.work():
        person = factories.an_administrator(username=f"link{next(_numbers)}")
        secret = links.issue(person.id, links.RESET, timedelta(hours=1), value=person.email_folded)
    return form(ground.browser(), f"/reset/link/{secret}", "choose", password=OWN)


def account_name(ground: Ground) -> Opened:
    """A person changes their name."""
    return form(_somebody(ground)[0], "/manage/account/name", "save", name="Jo Bloggs")


def account_email(ground: Ground) -> Opened:
    """Or their address."""
    return form(_somebody(ground)[0], "/manage/account/email", "send", email=an_email())


def account_new_email(ground: Ground) -> Opened:
    """And opens the link that was sent to the new one."""
    web, username = _somebody(ground)
    with ground.work() as session:
        person_id = session.query(Administrator).filter_by(username=username).one().id
        secret = links.issue(person_id, email_change.PURPOSE, timedelta(hours=1), value=an_email())
    return form(web, f"/manage/account/email/{secret}", "confirm")


def account_mobile(ground: Ground) -> Opened:
    """Or their number."""
    return form(_somebody(ground)[0], "/manage/account/mobile", "send-code", mobile="07700 900999")


def account_mobile_code(ground: Ground) -> Opened:
    """And types the code that was sent to it."""
    web, sent = account_mobile(ground)
    return form(web, follow(web, sent.by(web)), "confirm", code="123456")


def colleague_reset(ground: Ground) -> Opened:
    """An owner has a link sent to somebody who forgot the password."""
    return form(ground.web, f"/manage/people/{_colleague(ground)}/reset", "send")


def colleague_lost_factor(ground: Ground) -> Opened:
    """Or says that they lost their telephone."""
    return form(ground.web, f"/manage/people/{_colleague(ground)}/lost-factor", "start")


def _colleague(ground: Ground) -> str:
    """Somebody of the same school, with an authenticator app."""
    with ground.work() as session:
        session.query(Guesses).delete()
        estab = session.query(Administrator).filter_by(username=ground.username).one().memberships[0].estab
        person = factories.an_administrator(estab, username=f"colleague{next(_numbers)}", role="admin")
        an_app(person.id)
        return person.id


def undo(ground: Ground) -> Opened:
    """Somebody undoes it all."""
    with ground.work():
        link = undo_changes.issue(factories.an_administrator(username=f"undo{next(_numbers)}"))
    return form(ground.browser(), local(link), "undo")


# The people of a school


def _owner(ground: Ground) -> Membership:
    """How the owner who is signed in at `ground.web` acts for the school. Within work."""
    person = people.by_name(ground.username)
    assert person is not None
    return person.memberships[0]


def _viewer_here(ground: Ground) -> str:
    """The id of a viewer of the owner's school."""
    with ground.work():
        email = an_email()
        facts = {"role": "viewer", "email": email, "username": email.partition("@")[0]}
        return factories.an_administrator(_owner(ground).estab, **facts).id


def _invitation(ground: Ground) -> tuple[str, str]:
    """The id of an invitation, and the path of its link."""
    with ground.work() as session:
        email, secret = an_email(), crypto.new_secret()
        session.query(PersonInvitation).delete()  # not to run into the limits
        invited = invitations.invite("Al Bloggs", email, "viewer", by=_owner(ground))
        invited.digest = crypto.digest(secret)
        return invited.id, f"/invitation/{secret}"


def people_invite(ground: Ground) -> Opened:
    """Invite a person to act for the school."""
    _invitation(ground)
    fields = {"name": "Bo Bloggs", "email": an_email(), "role": "viewer"}
    return form(ground.web, "/manage/people/invite", "send", **fields)


def people_resend(ground: Ground) -> Opened:
    """Send a new link; the button is on the page People."""
    return _button_of_an_invitation(ground, "resend")


def people_cancel(ground: Ground) -> Opened:
    """Take an invitation back."""
    return _button_of_an_invitation(ground, "cancel")


def _button_of_an_invitation(ground: Ground, which: str) -> Opened:
    invitation_id, _ = _invitation(ground)
    _, sent = form(ground.web, "/manage/people/leave", "leave")
    return ground.web, Sent("POST", f"/manage/people/invitations/{invitation_id}/{which}", form=sent.form)


def people_role(ground: Ground) -> Opened:
    """Give a colleague another role."""
    return form(ground.web, f"/manage/people/{_viewer_here(ground)}/role", "change", role="admin")


def people_remove(ground: Ground) -> Opened:
    """Remove a colleague."""
    return form(ground.web, f"/manage/people/{_viewer_here(ground)}/remove", "remove")


def people_leave(ground: Ground) -> Opened:
    """A viewer leaves."""
    return form(_somebody(ground, role="viewer")[0], "/manage/people/leave", "leave")


def people_hand_over(ground: Ground) -> Opened:
    """An owner hands over to a colleague."""
    web, colleague = _somebody(ground)
    with ground.work() as session:
        estab = session.query(Administrator).filter_by(username=colleague).one().memberships[0].estab
        email = an_email()
        new_owner = factories.an_administrator(estab, role="admin", email=email, username=email.partition("@")[0]).id
    return form(web, "/manage/people/hand-over", "hand-over", person=new_owner, role="viewer")


def invitation_new(ground: Ground) -> Opened:
    """A person without an account accepts."""
    return form(ground.browser(), _invitation(ground)[1], "accept", mobile="07700 900124")


def invitation_accept(ground: Ground) -> Opened:
    """A person who has an account, and is signed in, accepts."""
    web, colleague = _somebody(ground)
    _, path = _invitation(ground)
    with ground.work() as session:
        invited = session.query(PersonInvitation).one()
        person = session.query(Administrator).filter_by(username=colleague).one()
        invited.email, invited.email_folded = person.email, person.email_folded
    return form(web, path, "accept")


def invitation_password_link(ground: Ground) -> Opened:
    """Accepted, and left before a password was chosen."""
    _, path = _invitation(ground)
    with ground.work():
        invitations.accept_as_new(path.rpartition("/")[2], name="Al", mobile="+447700900124")
    return form(ground.browser(), path, "send-link")


def invitation_sign_out(ground: Ground) -> Opened:
    """Another person than the one who was invited signs out."""
    return form(_somebody(ground)[0], _invitation(ground)[1], "sign-out")


def _invitation_of_a_school(ground: Ground) -> str:
    """The path of the link of an invitation that the partner had us send."""
    with ground.work() as session:
        partner = registry.client(factories.a_client().id)
        assert partner is not None
        request = invite.Request(factories.a_school(), "Al Bloggs", an_email(), frozenset({"students"}))
        invitation, secret = invite.invite(partner, request), crypto.new_secret()
        link = session.query(InvitationLink).filter_by(invitation_id=invitation.id).one()
        link.digest = crypto.digest(secret)
        return f"/invitations/{secret}"


def school_invitation_yes(ground: Ground) -> Opened:
    """A reader of a partner's invitation may decide, and goes on to the partner."""
    return form(ground.browser(), _invitation_of_a_school(ground), "yes")


def school_invitation_declined(ground: Ground) -> Opened:
    """It is not for them."""
    return form(ground.browser(), _invitation_of_a_school(ground), "not-for-us")


def school_invitation_passed_on(ground: Ground) -> Opened:
    """Somebody else decides."""
    path = f"{_invitation_of_a_school(ground)}/pass-on"
    return form(ground.browser(), path, "pass-on", name="Bo Bloggs", email=an_email(), disclose="y")


FORMS: dict[str, Callable[[Ground], Opened]] = {
    step.__name__.replace("_", " "): step
    for step in (
        sign_in, sign_out, log_out, log_out_anyway, consent, viewer, mis, device_code, device, device_again, stop,
        change, pause, resume, join, text_code, mobile_code, welcome, welcome_made,
        forgotten, reset_code, new_password, new_password_by_link, account_name, account_email,
        account_new_email, account_mobile, account_mobile_code, colleague_reset,
        colleague_lost_factor, undo,
        people_invite, people_resend, people_cancel, people_role, people_remove, people_leave, people_hand_over,
        invitation_new, invitation_accept, invitation_password_link, invitation_sign_out,
        school_invitation_yes, school_invitation_declined, school_invitation_passed_on,
    )
}  # fmt: skip
