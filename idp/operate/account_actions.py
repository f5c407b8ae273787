"""What our staff do about an account or a person on the phone. `idp estabs` and `idp people` do the same."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from idp.estabs import accounts, permissions
from idp.estabs.models import Estab, Membership
from idp.foundation import dates
from idp.operate import recovery, school_people, suspension
from idp.operate.action_form import OperatorAction
from idp.signin import factor_recovery, factors, locks

NOTE_MISSING: Final = "Say whom you called and spoke with, or why. It is kept in the audit log."


def for_account(estab: Estab) -> Iterator[OperatorAction]:
    """What can be done about the account as it is now."""
    yield OperatorAction(
        "end-sessions", "End all sessions of its people", "Everyone who acts for the school has to sign in again.",
        partial(_end_all_sessions, estab),
    )  # fmt: skip
    if "suspended" in accounts.NEXT_STATES[estab.state]:
        yield OperatorAction(
            "suspend", "Suspend the account",
            "At once no one can act for the school, and services receive nothing. Its agreements stand, and apply "
            "again once it is restored.",
            partial(_suspend, estab), NOTE_MISSING,
        )  # fmt: skip
    if estab.state == "suspended":
        yield OperatorAction(
            "restore", "Restore the account",
            "The account is verified again if our staff had verified it, and unverified otherwise.",
            partial(_restore, estab), NOTE_MISSING,
        )  # fmt: skip


def for_person(member: Membership) -> Iterator[OperatorAction]:
    """What can be done for or about this person of a school now."""
    person = member.person
    yield OperatorAction(
        "reset", "E-mail a link to choose a new password",
        f"It goes to {person.email} alone, and works once, within 24 hours.",
        partial(_send_reset_link, member), NOTE_MISSING,
    )  # fmt: skip
    if locks.locked_until(person) is not None:
        yield OperatorAction(
            "unlock", "Let them sign in again now", "A lock ends by itself after at most 15 minutes.",
            partial(_unlock, member), NOTE_MISSING,
        )  # fmt: skip
    if factors.has_any(person.id) and factor_recovery.waiting(person.id) is None:
        yield OperatorAction(
            "recover-factor", "Start to remove their lost second step",
            "After 24 hours a sign-in with the password removes it. The person is told at once, and can stop it.",
            partial(_start_factor_recovery, member), NOTE_MISSING,
        )  # fmt: skip
    yield OperatorAction(
        "end-sessions", "End their sessions", "They have to sign in again, in every browser.",
        partial(_end_sessions, member),
    )  # fmt: skip
    for role in permissions.other_roles(member.role):
        call_first = "Call the school first. " if permissions.is_owner(role) else ""
        yield OperatorAction(
            f"role-{role}", f"Make them {permissions.with_article(role)}",
            f"{call_first}The person and the owners are told by e-mail.",
            partial(_change_role, member, role), NOTE_MISSING,
        )  # fmt: skip
    yield OperatorAction(
        "remove", "Remove them from the school",
        "They are signed out of the school at once, and told by e-mail, as the owners are. The last owner stays until "
        "there is another.",
        partial(_remove, member), NOTE_MISSING,
    )  # fmt: skip


def _end_all_sessions(estab: Estab, note: str, by: str) -> str:
    _, count = suspension.end_sessions(estab.estab_id, by=by, note=note)
    return _sessions_ended(count)


def _suspend(estab: Estab, reason: str, by: str) -> str:
    return f"{suspension.suspend(estab.estab_id, by=by, reason=reason).name} has been suspended."


def _restore(estab: Estab, reason: str, by: str) -> str:
    restored = suspension.restore(estab.estab_id, by=by, reason=reason)
    return f"{restored.name} is {restored.state} again."


def _send_reset_link(member: Membership, note: str, by: str) -> str:
    person = recovery.send_reset_link(member.person.username, by=by, note=note)
    return f"A link to choose a new password is on its way to {person.email}."


def _unlock(member: Membership, reason: str, by: str) -> str:
    return f"{recovery.unlock(member.person.username, by=by, reason=reason).name} can sign in again."


def _start_factor_recovery(member: Membership, note: str, by: str) -> str:
    person, due = recovery.start_factor_recovery(member.person.username, by=by, note=note)
    return f"{person.name} can sign in with the password alone from {dates.day_and_time(due)}."


def _end_sessions(member: Membership, note: str, by: str) -> str:
    _, count = recovery.end_sessions(member.person.username, by=by, note=note)
    return _sessions_ended(count)


def _change_role(member: Membership, role: str, note: str, by: str) -> str:
    school_people.change_role(member.person.username, member.estab.estab_id, role, by=by, note=note)
    return f"{member.person.name} is {permissions.with_article(role)} now. They and the owners are told by e-mail."


def _remove(member: Membership, note: str, by: str) -> str:
    name = member.person.name  # it is erased with an account that acts for no other school
    school_people.remove(member.person.username, member.estab.estab_id, by=by, note=note)
    return f"{name} no longer acts for the school. They and the owners are told by e-mail."


def _sessions_ended(count: int) -> str:
    return f"{count} {'session has' if count == 1 else 'sessions have'} ended."
