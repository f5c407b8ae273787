"""A view that catches a refusal and returns a page commits what was written before the refusal.

That is wanted where an attempt is counted. Elsewhere the refusal has to come before the first write, or the writes
have to be in a savepoint: a request of a partner once counted as approved although its registration was refused.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

IDP = Path(__file__).resolve().parents[2] / "idp"
COUNTS_THE_ATTEMPT = {
    "manage.account_views.confirm_mobile", "manage.own_account_views._change_password", "manage.passkey_views.add",
    "manage.security_views.set_up_app", "onboarding.handover_views.code", "signin.code_account_views._finish",
    "signin.code_account_views.sign_in", "signin.people_views.confirm_mobile", "signin.recovery_views._start_recovery",
    "signin.reset_views.code", "signin.views._second_step", "signin.views.sign_in", "signin.views.sign_in_with_passkey",
    "signin.views.take_second_step_by_passkey",
}  # fmt: skip
CHECKS_BEFORE_IT_WRITES = {
    "developers.account_views.change_addresses", "developers.account_views.change_keys",
    "developers.account_views.people", "developers.account_views.remove", "developers.account_views.replay",
    "developers.account_views.rotate_secret", "developers.live_views.ask", "developers.live_views.withdraw",
    "developers.sandbox_views.home", "developers.sandbox_views.make_application", "developers.sandbox_views.verify",
    "federation.views._link", "federation.views._sign_in", "invitations.views.pass_on",
    "manage.account_views.change_email", "manage.account_views.change_mobile", "manage.add_school_views._show_or_add",
    "manage.closing_views._record_decision", "manage.people_views.invite", "manage.sharing_views._record_decision",
    "manage.views.pause_sharing", "manage.views.resume_sharing", "oidc.endpoints.consent.which_mis",
    "onboarding.handover_views.new_code", "onboarding.views.correct_address", "onboarding.views.sign_up",
    "onboarding.views.status", "operate.views.show_partner", "signin.reset_views._complete",
}  # fmt: skip
READS_ONLY = {
    "developers.views.show_quick_start", "federation.views._identity", "manage.join_views.decide",
    "oidc.endpoints.consent._load_waiting", "oidc.endpoints.consent.viewer_page", "oidc.endpoints.device._enter_code",
    "oidc.endpoints.logout._read_hint", "oidc.endpoints.logout.confirm", "oidc.endpoints.logout.respond",
    "onboarding.views._details_after_expiry",
}  # fmt: skip


def test_no_view_commits_part_of_what_was_refused():
    found = {name for path in sorted(IDP.rglob("*.py")) for name in catching_without_savepoint(path)}
    assert found == COUNTS_THE_ATTEMPT | CHECKS_BEFORE_IT_WRITES | READS_ONLY


def catching_without_savepoint(path: Path) -> Iterator[str]:
    """The functions of a module that renders pages which catch an error outside a savepoint."""
    text = path.read_text("utf-8")
    module = path.relative_to(IDP).with_suffix("").as_posix().replace("/", ".")
    if "render_template" not in text or module.startswith("foundation."):
        return
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            attempts = [node for node in ast.walk(function) if isinstance(node, ast.Try) and node.handlers]
            if any("savepoint()" not in ast.unparse(attempt) for attempt in attempts):
                yield f"{module}.{function.name}"
