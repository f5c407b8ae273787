"""The operator's pages: partners and their people. `idp developers` does the same through the same functions."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation.web import form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.operate import account_views, register_views, request_views, school_views
from idp.partners import companies, registry
from idp.signin import developers
from idp.signin.forms import DeveloperInvitationForm

bp = Blueprint("operate", __name__, url_prefix="/operate")
bp.register_blueprint(request_views.bp)
bp.register_blueprint(school_views.bp)
bp.register_blueprint(register_views.bp)
bp.register_blueprint(account_views.bp)


@bp.get("/partners")
@security.operator
def list_partners() -> ResponseReturnValue:
    """Every partner."""
    return render_template("operate/partners.html", partners=registry.all_partners())


@bp.route("/partners/<partner_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_partner(partner_id: str) -> ResponseReturnValue:
    """A partner, its applications and its people, and a form to invite someone."""
    partner, form = companies.by_id(partner_id), DeveloperInvitationForm()
    if request.method == "POST" and form.validate():
        try:
            developers.invite(
                partner, form.name.data, form.email.data, is_owner=bool(form.is_owner.data), by=current_user.id
            )
        except (developers.DeveloperExists, developers.TooManyPeople) as error:
            form.email.errors = [error.message]
        else:
            flash(f"We have written to {form.email.data}. The link works once, within 24 hours.", "success")
            return redirect(url_for(".show_partner", partner_id=partner_id), 303)
    page = render_template(
        "operate/partner.html", partner=partner, clients=companies.applications_of(partner_id), form=form,
        everyone=developers.list_for_partner(partner_id),
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.post("/partners/<partner_id>/people/<developer_id>/remove")
@security.operator
@form_drafts.form_shown_at("operate.show_partner")
def remove_person(partner_id: str, developer_id: str) -> ResponseReturnValue:
    """Remove someone, whose sessions end. Unlike an owner, our staff may remove the last owner too."""
    removed = developers.remove(partner_id, developer_id, by=current_user.id)
    flash(f"{removed.name} can no longer sign in.", "success")
    return redirect(url_for(".show_partner", partner_id=partner_id), 303)
