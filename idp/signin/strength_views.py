"""The endpoint that a page's script asks about a password while it is typed (`estabs.strength`)."""

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from idp.estabs import credentials, people, strength
from idp.foundation.web import security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import developers, operators, password

bp = Blueprint("strength", __name__)
bp.add_app_template_filter(strength.seal_subject, "password_subject")


@bp.post("/password/strength.json")
@security.anyone
@limiter.limit(at_most(240, "minute"))
def ask() -> ResponseReturnValue:
    """Whether a password would be accepted for the person whom the page names, and why not. Nothing is stored."""
    about = _guessable_words(strength.unseal_subject(request.form.get("subject", "")))
    typed = request.form.get("password", "")
    return jsonify(strength.hint(typed, about)._asdict())


def _guessable_words(person_id: str) -> tuple[str, ...]:
    """The words that an attacker would try first for this person; none if they were removed meanwhile."""
    if (person := people.get(person_id)) is not None:
        return password.guessable_words(person)
    account = operators.by_id(person_id) or developers.by_id(person_id)
    return credentials.words_of(account.name, account.email) if account else ()
