"""`idp people`: help a person who cannot sign in, end a person's sessions, and change what they may do for a school."""

import click

from idp.estabs.permissions import ROLES
from idp.foundation.command import acting_operator, format_time, in_transaction, json_option, show
from idp.operate import recovery, school_people
from idp.signin import locks, spraying

person_argument = click.argument("name", metavar="NAME")
estab_argument = click.argument("estab", metavar="ESTAB")
note_option = click.option("--note", required=True, help="Whom you called and spoke with, for the audit log.")


@click.group("people")
def commands() -> None:
    """People of schools. NAME is the username or e-mail address with which the person signs in."""


@commands.command("reset")
@person_argument
@note_option
@in_transaction
def reset(name: str, note: str) -> None:
    """Mail the person a link to choose a new password, which works once, within 24 hours.

    First call the school on the number in the national register, and speak with the person or the head teacher.
    Nothing is printed that could be used: the link goes to the person's verified address alone.
    """
    person = recovery.send_reset_link(name, by=acting_operator(), note=note)
    click.echo(f"A link to choose a new password is on its way to {person.email}.")


@commands.command("locked")
@json_option
@in_transaction
def locked(*, as_json: bool) -> None:
    """List the accounts that cannot be signed in to now, after too many wrong passwords or codes, and until when.

    Many at once mean that someone is trying passwords for many accounts: see the audit log for sign_in.locked. Then
    it also says how many networks have to wait because they failed at many names.
    """
    accounts, others = locks.current()
    rows = [{"name": lock.name, "kind": lock.kind, "guesses": lock.guesses, "until": lock.until} for lock in accounts]
    show(rows, ["name", "kind", "guesses", "until"], as_json=as_json, empty="No account is locked.")
    if as_json:
        return
    if others:
        click.echo(f"Locks for names that do not exist, or for one browser of an account: {others}.")
    figures = spraying.figures()
    if figures.networks or figures.is_widespread:
        click.echo(f"Names with wrong passwords this hour, typed in browsers new to them: {figures.names}.")
        click.echo(f"Networks whose new browsers have to wait: {figures.networks}. The log names them.")


@commands.command("recover-factor")
@person_argument
@note_option
@in_transaction
def recover_factor(name: str, note: str) -> None:
    """Start a wait of 24 hours, after which a sign-in with the password removes the person's second factors.

    First call the school on the number in the national register, and speak with the person or the head teacher. The
    person is told by e-mail and text message, and can stop it.
    """
    person, due = recovery.start_factor_recovery(name, by=acting_operator(), note=note)
    click.echo(f"{person.name} can sign in with the password alone from {format_time(due)}.")


@commands.command("unlock")
@person_argument
@click.option("--reason", required=True, help="Why, for the audit log.")
@in_transaction
def unlock(name: str, reason: str) -> None:
    """Let the person sign in again at once after too many wrong passwords.

    A lock ends by itself after at most 15 minutes.
    """
    person = recovery.unlock(name, by=acting_operator(), reason=reason)
    click.echo(f"{person.name} can sign in again.")


@commands.command("end-sessions")
@person_argument
@in_transaction
def end_sessions(name: str) -> None:
    """End all sessions of the person. Clients with back-channel logout are notified."""
    person, count = recovery.end_sessions(name, by=acting_operator())
    click.echo(f"{count} session{'' if count == 1 else 's'} of {person.name} ended.")


@commands.command("remove")
@person_argument
@estab_argument
@note_option
@in_transaction
def remove(name: str, estab: str, note: str) -> None:
    """Remove the person from the school ESTAB (an Estab ID, a DfE number, a URN), and sign them out there.

    First call the school on the number in the national register. The last owner stays until `role` has made another
    person one. The person and the school's owners are told by e-mail.
    """
    member = school_people.remove(name, estab, by=acting_operator(), note=note)
    click.echo(f"{member.person.name} no longer acts for {member.estab.name}.")


@commands.command("role")
@person_argument
@estab_argument
@click.argument("role", type=click.Choice(ROLES))
@note_option
@in_transaction
def change_role(name: str, estab: str, role: str, note: str) -> None:
    """Give the person another role at the school ESTAB (an Estab ID, a DfE number, a URN).

    First call the school on the number in the national register, above all before you make someone an owner. The
    person and the school's owners are told by e-mail.
    """
    member = school_people.change_role(name, estab, role, by=acting_operator(), note=note)
    click.echo(f"{member.person.name} is {member.role_title.lower()} of {member.estab.name}.")
