"""The pages on which a partner's people make sandbox applications and fictional schools."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.fields.choices import SelectChoice

from idp.developers import applications, guide, quick_starts, sandbox, signed_in, unused_sandboxes
from idp.developers.forms import FictionalSchoolForm, SandboxApplicationForm
from idp.estabs import accounts, fictional
from idp.foundation import database, runtime
from idp.foundation.web import admission, form_drafts, post_redirect_get, security
from idp.foundation.web.throttle import at_most, limiter
from idp.partners import mis_catalogue, sandbox_clients
from idp.partners.metadata import InvalidMetadata
from idp.schools.fictional import NoRegister

bp = Blueprint("sandbox", __name__, url_prefix="/sandbox")


@bp.route("", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
@admission.hashes_passwords
def home() -> ResponseReturnValue:
    """The sandbox applications, the fictional schools, and a form to make another school."""
    person, form = signed_in.developer(), FictionalSchoolForm()
    form.mis.choices = [SelectChoice(system.code, system.name) for system in mis_catalogue.catalogue().values()]
    if request.method == "POST" and form.validate():
        database.end_read_transaction()
        password = sandbox.generate_password()
        try:
            school = sandbox.make_school(
                signed_in.developer(),
                form.kind.data,
                mis=form.mis.data,
                password=password,
                is_verified=form.is_verified.data,
            )
        except (fictional.TooManyFictionalSchools, NoRegister) as error:
            form.form_errors.append(error.message)
        else:
            return _credentials(school)
    page = render_template(
        "developers/sandbox.html",
        form=form,
        applications=[
            (client, sandbox.has_try_it(client)) for client in sandbox_clients.list_for_partner(person.partner_id)
        ],
        schools=fictional.list_for_partner(person.partner_id),
        limits={"applications": sandbox.MAX_APPLICATIONS, "schools": fictional.MAX_SCHOOLS},
        days=runtime.settings().retention.sandbox,
        notice=guide.duration(unused_sandboxes.NOTICE_PERIOD),
    )
    return page, 422 if form.errors else 200


@bp.post("/schools/<estab_id>/password")
@security.developer
@limiter.limit(at_most(30, "minute"))
@admission.hashes_passwords
@form_drafts.form_shown_at("developers.sandbox.home")
def replace_password(estab_id: str) -> ResponseReturnValue:
    """Show the school's sign-in with another password, once."""
    fictional.find(signed_in.developer().partner_id, estab_id)
    database.end_read_transaction()
    return _credentials(sandbox.replace_password(signed_in.developer(), estab_id, password=sandbox.generate_password()))


@bp.post("/schools/<estab_id>/verify")
@security.developer
@form_drafts.form_shown_at("developers.sandbox.home")
def verify(estab_id: str) -> ResponseReturnValue:
    """Verify a fictional school, as our staff verify real ones."""
    try:
        estab = sandbox.verify(signed_in.developer(), estab_id)
    except accounts.WrongState as error:
        flash(error.message, "problem")
    else:
        flash(f"{estab.name} has been verified. Your application's next refresh brings the data scopes.", "success")
    return redirect(url_for(".home"), 303)


@bp.route("/schools/<estab_id>/remove", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def remove_school(estab_id: str) -> ResponseReturnValue:
    """Ask, and remove a fictional school."""
    developer = signed_in.developer()
    if request.method == "POST":
        estab = sandbox.remove_school(developer, estab_id)
        flash(f"{estab.name} has been removed.", "success")
        return redirect(url_for(".home"), 303)
    estab = fictional.find(developer.partner_id, estab_id)
    names = sandbox.names_of_authorised(estab)
    return render_template("developers/sandbox_remove_school.html", estab=estab, names=names)


@bp.route("/applications/<client_id>/remove", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def remove_application(client_id: str) -> ResponseReturnValue:
    """Ask, and remove a sandbox application."""
    developer = signed_in.developer()
    if request.method == "POST":
        client = sandbox.remove_application(developer, client_id)
        flash(f"{client.client_name} has been removed.", "success")
        return redirect(url_for("developers.account.list_applications"), 303)
    client = applications.find(developer, client_id)
    if not client.is_sandbox:
        raise sandbox_clients.UnknownSandboxApplication(reason=client_id)
    return render_template("developers/sandbox_remove.html", client=client)


@bp.route("/applications/new", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def make_application() -> ResponseReturnValue:
    """Make a sandbox application, and show its secret, once. A quick start's link fills in software and address."""
    given = {name: request.args[name] for name in ("software", "address") if request.args.get(name)}
    person, form = signed_in.developer(), SandboxApplicationForm(data=given)
    form.software.choices = [
        SelectChoice("", "Choose"),
        *(SelectChoice(item.id, f"{item.language}: {item.name}") for item in sandbox.software()),
    ]
    if request.method == "POST" and form.validate():
        try:
            client, secret = sandbox.make_application(
                person, name=form.name.data, quick_start_id=form.software.data, address=form.address.data,
                security=form.security.data, jwks=form.key_set(),
            )  # fmt: skip
        except quick_starts.InvalidValue as error:
            form.address.errors = [error.message]
        except InvalidMetadata as error:
            _show_field_errors(form, error.field_errors)
        except sandbox.TooManyApplications as error:
            form.form_errors.append(error.message)
        else:
            quick_start = url_for(
                "developers.show_quick_start", quick_start_id=form.software.data, client_id=client.id,
                address=form.address.data,
            )  # fmt: skip
            post_redirect_get.mark_secret_page(
                back_to=url_for("developers.account.show_application", client_id=client.id)
            )
            return render_template(
                "developers/sandbox_made.html", client=client, secret=secret, quick_start=quick_start
            )
    return render_template("developers/sandbox_new.html", form=form), 422 if form.errors else 200


def _show_field_errors(form: SandboxApplicationForm, field_errors: list[tuple[str, str]]) -> None:
    for name, reason in field_errors:
        if name == "client_name":
            form.name.errors = [*form.name.errors, f"The name {reason}."]
        elif name == "jwks":
            form.jwks.errors = [*form.jwks.errors, f"It {reason}."]
        elif name in {"redirect_uris", "post_logout_redirect_uris"}:  # both are made from the one URL
            form.address.errors = list(dict.fromkeys([*form.address.errors, f"The URL {reason.split('] ')[-1]}."]))
        else:
            form.address.errors = [*form.address.errors, f"{name}: {reason}."]


def _credentials(school: sandbox.NewSchool) -> ResponseReturnValue:
    post_redirect_get.mark_secret_page(back_to=url_for(".home"))
    return render_template("developers/sandbox_school.html", school=school)
