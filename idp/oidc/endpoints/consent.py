"""The pages a school sees before it authorises sharing: which system it uses, and what the partner asks for.

And the page that a person sees before an app is signed in.

They decide nothing about the protocol: each ends by sending the browser back to the dispatcher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from authlib.oauth2 import OAuth2Error
from flask import make_response, redirect, render_template, request as browser_request, url_for
from werkzeug import Response
from wtforms import BooleanField, RadioField
from wtforms.validators import InputRequired

from idp.estabs import authority, people
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import scopes
from idp.foundation.errors import Refusal
from idp.foundation.scopes import Scope
from idp.foundation.web import form_drafts, security
from idp.foundation.web.forms import Form
from idp.oidc import authorization_server, incoming
from idp.oidc.authorization import pending_requests
from idp.oidc.endpoints import ask_colleague, authorize, other_schools
from idp.oidc.endpoints.ask_colleague import Colleague
from idp.oidc.endpoints.authorize import Step
from idp.oidc.incoming import AUTHORIZE, CheckedRequest, PendingRequest, Request
from idp.partners import registry, start_link
from idp.partners.snapshots import AnyClient
from idp.sharing import authorise, mis, several_schools
from idp.sharing.authorise import Proposal
from idp.sharing.models import Authorisation
from idp.signin import second_step_offer, session, step_up
from idp.signin.session import SignedIn

LONDON: Final = ZoneInfo("Europe/London")
SECOND_STEP: Final = "second_step"
"""The name of the button that leads to a second step (to set one up, or to sign in with it), and back to the page."""
NOT_NOW: Final = "not_now"
"""The name of the button that dismisses the offer to set up a second step."""
QUERY_PARAMETERS: Final = frozenset({"client_id", "request_uri"})
"""The parameters in the URL of these pages; those of the authorization request are never there."""


class Decision(Form):
    """The declaration. The ticked areas are read separately."""

    authority = BooleanField("I have authority to agree to this for the school")


class WhichMis(Form):
    """The school's system."""

    mis = RadioField(
        "Which management information system (MIS) does your school use?",
        [InputRequired("Choose the system that your school uses.")],
        validate_choice=False,  # `mis.set_by_school` knows them, and WTForms' own words are not for schools
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for a page, and the row that it is kept in."""

    request: CheckedRequest
    pending: PendingRequest


@dataclass(frozen=True, slots=True)
class Question:
    """A client's request to one school, as the page shows it."""

    proposal: Proposal
    until: datetime

    @property
    def required(self) -> list[Scope]:
        """The required data areas."""
        return self._data(self.proposal.required)

    @property
    def optional(self) -> list[Scope]:
        """The optional data areas, the specially protected ones last."""
        return scopes.ordinary_first(scopes.filter_by_kind("data", self.proposal.optional))

    @property
    def needed(self) -> str:
        """The number of required areas, in words: "4 areas, 1 specially protected"."""
        protected = sum(area.special_category for area in self.required)
        areas = f"{len(self.required)} {'area' if len(self.required) == 1 else 'areas'}"
        return f"{areas}, {protected} specially protected" if protected else areas

    @property
    def about_you(self) -> list[Scope]:
        """What the client receives about the person, and of the school's public entry."""
        return scopes.in_order(scopes.filter_by_kind("identity", self.proposal.offered) - {"openid"})

    @property
    def is_about_data(self) -> bool:
        """Whether school data is requested, so that the person needs authority to agree."""
        return bool(self.required or self.optional)

    @property
    def needs_second_step(self) -> bool:
        """Whether nothing can be agreed to without a second step: a required area is specially protected."""
        return bool(scopes.specially_protected(self.proposal.required))

    @property
    def is_paused(self) -> bool:
        """Whether the school has paused sharing with the client."""
        return self.proposal.is_paused

    @property
    def shown(self) -> str:
        """The scopes on offer, as text: they are compared when the button is pressed, because they may have changed."""
        return scopes.format(self.proposal.offered)

    def chosen(self, ticked: frozenset[str]) -> frozenset[str]:
        """The scopes that are agreed to if these areas are ticked: optional identity scopes are included."""
        optional = self.proposal.optional
        return self.proposal.required | scopes.filter_by_kind("identity", optional) | (optional & ticked)

    @staticmethod
    def _data(names: frozenset[str]) -> list[Scope]:
        return scopes.in_order(scopes.filter_by_kind("data", names))


def ask() -> Response:
    """Show what is asked for; on the buttons, agree or refuse."""
    waiting = _load_waiting(authorize.CONSENT)
    if isinstance(waiting, Response):
        return waiting
    member = _member()
    if not member.may(Action.AUTHORISE):
        return _viewer_response(waiting, member, Action.AUTHORISE)
    if browser_request.method != "POST":  # a HEAD carries no token against forgery, and decides nothing
        return _page(waiting, member, Decision())
    return _handle_button(waiting, member)


def _handle_button(waiting: Waiting, member: Membership) -> Response:
    """The response to the button that was pressed."""
    client, requested, form = waiting.request.client.registered, authorize.requested_scopes(waiting.request), Decision()
    if "deny" in browser_request.form:
        authorise.refuse(client, requested, by=member)
        return _redirect_cancelled(waiting)
    if SECOND_STEP in browser_request.form:
        return redirect_to_second_step(pending_requests.url(waiting.pending))
    if NOT_NOW in browser_request.form:
        response = ask_colleague.redirect_unchanged()  # before anything is written, as in `ask_colleague.ask`
        second_step_offer.snooze(member.person_id)
        return response
    if ask_colleague.HAND_OVER in browser_request.form:
        colleague_form = Colleague()
        return ask_colleague.ask(client, colleague_form, by=member) or _page(waiting, member, form, colleague_form)
    other_members = other_schools.ticked(client, member, second_step=_signed_in().has_second_step)
    if agree(client, requested, member, form, also=other_members) is None:
        return _page(waiting, member, form)
    return redirect(pending_requests.url(waiting.pending), 303)


def tell_mis() -> Response:
    """The page that asks which system the school uses, or says that the client does not work with it."""
    waiting = _load_waiting(authorize.MIS)
    if isinstance(waiting, Response):
        return waiting
    if "deny" in browser_request.form:
        return _redirect_cancelled(waiting)
    member = _member()
    if not member.may(Action.NAME_MIS):
        return _viewer_response(waiting, member, Action.NAME_MIS)
    security.allow_form_redirects()
    client = waiting.request.client.registered
    return which_mis(client, member) or redirect(pending_requests.url(waiting.pending), 303)


def confirm_app() -> Response:
    """The page that asks whether the person opened the app: another program could send a request in its name."""
    waiting = _load_waiting(authorize.APP)
    if isinstance(waiting, Response):
        return waiting
    pending = waiting.pending
    if "deny" in browser_request.form:
        return _redirect_cancelled(waiting)
    if "allow" in browser_request.form:
        confirmed = {authorize.CONFIRMED: authorize.confirmation(pending, _signed_in())}
        return redirect(pending_requests.url(pending, **confirmed), 303)
    security.allow_form_redirects()
    back = pending_requests.url(pending)
    page = render_template("oidc/app.html", client=waiting.request.client.registered, member=_member(), back=back)
    return make_response(page)


def which_mis(client: AnyClient, member: Membership) -> Response | None:
    """The page that asks for the school's system and stores the answer; None once `client` works with that system."""
    form = WhichMis()
    form.mis.choices = [(choice.code, choice.name) for choice in mis.choices()]
    if form.validate_on_submit():
        mis.set_by_school(form.mis.data, by=member)
        if registry.accepts_mis(client, form.mis.data):
            return None
    refused = None
    try:
        mis.check(member.estab, client)
    except mis.MisUnknown:
        form.mis.data = form.mis.data if form_drafts.saved_fields() else None
    except mis.MisNotAccepted as error:
        refused, form.mis.data = error, member.estab.mis
    page = render_template("oidc/mis.html", form=form, client=client, school=member.estab.school, refusal=refused)
    return make_response(page, 422 if form.errors else 200)


def agree(
    client: AnyClient, requested: frozenset[str], member: Membership, form: Decision, *, also: Sequence[Membership] = ()
) -> Authorisation | None:
    """Record the decision that was submitted; None, with the reason in `form`, if it cannot be recorded.

    The reason is a missing declaration or second step, or that the page's question changed while it was open. `also`
    are the person's other schools that were ticked; a request without data scopes is recorded for one school only.
    """
    question, submitted = question_of(client, requested, member), browser_request.form
    chosen = question.chosen(_ticked_areas())
    if submitted.get("shown") != question.shown or submitted.get("agreement") != client.agreement_version:
        form.form_errors.append("This page has changed since you opened it. Please read it again before you agree.")
    elif lacks_second_step(chosen):
        form.form_errors.append(
            "You can agree to share specially protected data only with a second step. Set one up, or leave it unticked."
        )
    elif question.is_about_data and not form.authority.data:
        form.authority.errors = ["Tick the box if you have authority to agree. If not, please ask someone who does."]
    elif form.validate():
        result = several_schools.give(
            client, chosen, by=member, also=also if question.is_about_data else (), offered=question.proposal.offered,
            agreement_version=client.agreement_version, until=question.until, second_step=_signed_in().has_second_step,
        )  # fmt: skip
        other_schools.flash_refusals(client, result.refused)
        return result.authorisation
    return None


def lacks_second_step(agreed: frozenset[str]) -> bool:
    """Whether some of these scopes are specially protected and the person signed in without a second step."""
    return bool(scopes.specially_protected(agreed)) and not _signed_in().has_second_step


def redirect_to_second_step(back: str) -> Response:
    """Redirect to set up a second step, or to sign in with it, and then `back` to the page, filled in as it is now."""
    form_drafts.save()
    reason = "offer" if browser_request.form[SECOND_STEP] == "offer" else "data"
    return redirect(url_for("manage.security.second_step", next=back, reason=reason), 303)


def question_page(
    client: AnyClient, requested: frozenset[str], member: Membership, form: Decision, *, back: str,
    colleague_form: Colleague | None = None, template: str = "oidc/consent.html", **options: object,
) -> Response:  # fmt: skip
    """The page, with the ticked areas. `back` leads on after another sign-in; `colleague_form` asks a colleague."""
    question, before = question_of(client, requested, member), form_drafts.saved_fields()
    ticked = question.proposal.ticked if before is None else frozenset(before.getlist("area"))
    if browser_request.method == "POST":
        ticked = _ticked_areas()
    may_ask_colleague = (
        colleague_form is not None and question.is_about_data and ask_colleague.may_be_asked(client, member)
    )
    is_wrong = colleague_form is not None and bool(colleague_form.errors)
    others = []
    if colleague_form is not None and question.is_about_data:
        others = several_schools.other_schools(client, member, second_step=_signed_in().has_second_step)
    page = render_template(
        template, form=colleague_form if is_wrong else form, decision_form=form, colleague_form=colleague_form,
        may_ask_colleague=may_ask_colleague,
        question=question, client=client, member=member, school=member.estab.school, ticked=ticked, back=back,
        start_link=start_link.for_client(client.id), missing_step=step_up.missing_step(_signed_in()),
        other_schools=others, ticked_schools=other_schools.ticked_boxes(before),
        offers_second_step=colleague_form is not None and _offers_second_step(question, member),
        shows_draft=before is not None and not ask_colleague.is_unchanged_page(before), **options,
    )  # fmt: skip
    if colleague_form is not None and is_wrong:
        return make_response(page, *colleague_form.status_and_headers)
    return make_response(page, 422 if form.errors else 200)


def _offers_second_step(question: Question, member: Membership) -> bool:
    """Whether the page offers to set up a second step: it is due, and the page does not mention one otherwise."""
    is_mentioned = bool(scopes.specially_protected(question.proposal.offered))
    return not is_mentioned and second_step_offer.is_due(member.person)


def viewer_page(
    client: AnyClient, member: Membership, action: Action, *, back: str, decline_label: str, advice: str | None = None
) -> Response:
    """The page for a person who may not do `action`: it names the people who may.

    `decline_label` is that of the button that declines; `advice` says what to ask those people for, if that is not to
    sign in to the client once.
    """
    refusal: Refusal | None = None
    try:
        authority.check(member, action)
    except Refusal as error:
        refusal = error
    page = render_template(
        "oidc/ask_an_owner.html", client=client, school=member.estab.school, refusal=refusal,
        people=people.who_may(member.estab_id, action), back=back, decline_label=decline_label, advice=advice,
    )  # fmt: skip
    return make_response(page, 403)


def question_of(client: AnyClient, requested: frozenset[str], member: Membership) -> Question:
    """The client's request to the person's school, for the scopes `requested`."""
    return Question(authorise.proposal(member.estab_id, client, requested), authorise.default_end(client))


def _page(waiting: Waiting, member: Membership, form: Decision, colleague_form: Colleague | None = None) -> Response:
    security.allow_form_redirects()
    client, requested = waiting.request.client.registered, authorize.requested_scopes(waiting.request)
    back = pending_requests.url(waiting.pending)
    return question_page(client, requested, member, form, back=back, colleague_form=colleague_form or Colleague())


def _ticked_areas() -> frozenset[str]:
    return frozenset(browser_request.form.getlist("area"))


def _viewer_response(waiting: Waiting, member: Membership, action: Action) -> Response:
    if browser_request.method == "POST":
        return _redirect_cancelled(waiting)
    security.allow_form_redirects()
    client, back = waiting.request.client.registered, pending_requests.url(waiting.pending)
    return viewer_page(client, member, action, back=back, decline_label=f"Back to {client.client_name}")


def _load_waiting(step: Step) -> Waiting | Response:
    """The pending request of this URL, if its next step is this page; otherwise a redirect to the dispatcher."""
    security.keep_opener()
    oauth_request = Request(
        browser_request, incoming.parameters(browser_request.args.items(multi=True), QUERY_PARAMETERS), AUTHORIZE
    )
    back = pending_requests.url_by_urn(
        browser_request.args.get("client_id", ""), browser_request.args.get("request_uri", "")
    )
    try:
        request: CheckedRequest = authorization_server.current().get_consent_grant(oauth_request).request.checked
        next_step = authorize.step(request)
    except OAuth2Error:
        return redirect(back, 303)
    if next_step is step and request.pending is not None:
        return Waiting(request, request.pending)
    if browser_request.method == "POST":  # perhaps signed out meanwhile: the dispatcher leads back here
        form_drafts.save()
    return redirect(back, 303)


def _redirect_cancelled(waiting: Waiting) -> Response:
    return redirect(pending_requests.url(waiting.pending, cancel="1"), 303)


def _member() -> Membership:
    return _signed_in().membership


def _signed_in() -> SignedIn:
    signed_in = session.current()
    if signed_in is None:
        raise RuntimeError("the dispatcher leads here only when a person is signed in")
    return signed_in
