"""`idp doctor`: is everything as it should be, why it matters, and what to do where it is not."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final, Literal
from urllib.parse import urlsplit

import click
from flask import Flask
from packaging.version import Version
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from idp import migrations
from idp.foundation import clock, dates, production, runtime
from idp.foundation.command import application, json_option, show_json, when
from idp.foundation.database import session
from idp.foundation.errors import in_a_line
from idp.foundation.scopes import known
from idp.foundation.web.transactions import work
from idp.outbox.models import Message

Level = Literal["ok", "warning", "fault"]

FLOORS: Final = {"authlib": "1.9.9", "joserfc": "1.8.0", "cryptography": "46.0.0"}
"""Below these, published weaknesses apply (security.md §2)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do."""

    what: str
    level: Level
    says: str
    do: str = ""


Check = Callable[[Flask], Iterator[Finding]]
MOST_WAITING: Final = 1000
"""Messages looked at, the oldest first."""
DOES_NOT_TAKE: Final = {
    "email": "see: idp outbox list; the settings [mail]",
    "sms": "see: idp outbox list; the settings [sms]",
    "event": "the partner's server does not take them, and ours works: write to its contact; idp outbox list",
}
"""What to do where messages of a kind are tried and not taken."""


def settings(_app: Flask) -> Iterator[Finding]:
    """Nothing in the settings is unusual for production."""
    unusual = production.warnings(runtime.settings())
    for warning in unusual:
        yield Finding("settings", "warning", warning, "see config/default.toml")
    if not unusual:
        yield Finding("settings", "ok", "nothing unusual")


def database(app: Flask) -> Iterator[Finding]:
    """Reachable, at the newest schema, its clock near ours, room on its disk."""
    at, head = migrations.at(app), migrations.head()
    if at == head:
        yield Finding("database", "ok", f"answers, and is at {head}")
    else:
        yield Finding("database", "fault", f"is at {at or 'nothing'}, the release needs {head}", "run: idp db upgrade")
    if session().get_bind().dialect.name == "postgresql":
        apart = abs((session().scalars(select(func.now())).one() - clock.now()).total_seconds())
        level: Level = "ok" if apart < 5 else "warning"
        yield Finding("clock", level, f"{apart:.0f} s from the database's", "" if level == "ok" else "set both by NTP")
    free = shutil.disk_usage(".").free
    enough = free > 1 << 30
    yield Finding(
        "disk", "ok" if enough else "warning", f"{free >> 20} MiB free", "" if enough else "make room: writes will fail"
    )


def keys(_app: Flask) -> Iterator[Finding]:
    """One key of each kind signs, and the sealing key opens it."""
    from idp.keys import ring

    for alg in ("ES256", "RS256"):
        try:
            ring.sign({"probe": True}, alg=alg, typ="probe")
        except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
            yield Finding(
                f"key {alg}", "fault", f"cannot sign: {in_a_line(error)}", "check secrets.sealing, or: idp keys rotate"
            )
        else:
            yield Finding(f"key {alg}", "ok", "signs, and the sealing key opens it")


def outbox(_app: Flask) -> Iterator[Finding]:
    """No message has failed or waits long; otherwise why: no worker, or a receiver that does not answer."""
    long_ago = Message.created_at < clock.now() - timedelta(minutes=5)
    waiting = select(Message).where(Message.sent_at.is_(None), Message.failed_at.is_(None), long_ago)
    oldest_first = waiting.order_by(Message.created_at).limit(MOST_WAITING)
    late = list(session().scalars(oldest_first))
    untried = [message for message in late if not message.attempts]
    if untried:
        does = "see the worker's log: it is behind" if _a_worker_lives() else "run it as a service: idp worker"
        yield Finding("outbox", "warning", f"since {when(untried[0].created_at)} messages wait untried", does)
    refusing: dict[tuple[str, str], list[Message]] = {}
    for message in late:
        if message.attempts:
            refusing.setdefault((message.kind, _taker(message)), []).append(message)
    for (kind, taker), messages in refusing.items():
        says = f"{taker} has not taken {len(messages)} since {when(messages[0].created_at)}"
        because = f" ({messages[-1].last_error})" if messages[-1].last_error else ""
        yield Finding(f"outbox {kind}", "warning", says + because, DOES_NOT_TAKE[kind])
    if not late:
        yield Finding("outbox", "ok", "nothing waits long")
    failed = session().scalar(select(func.count()).where(Message.failed_at > clock.now() - timedelta(days=1)))
    if failed:
        yield Finding("outbox", "warning", f"{failed} messages failed since yesterday", "see: idp outbox list --failed")


def _taker(message: Message) -> str:
    """Who should have taken it: a partner's endpoint, or our own mail server or gateway."""
    if message.kind != "event":
        return {"email": "the mail server", "sms": "the gateway"}.get(message.kind, message.kind)
    return f"{urlsplit(message.recipient or '').netloc} of {message.client or 'a partner'}"


def _a_worker_lives() -> bool:
    from idp.jobs import heart

    last = heart.last()
    return last is not None and clock.now() - last <= timedelta(minutes=1)


def register(_app: Flask) -> Iterator[Finding]:
    """The school register is there and fresh."""
    from idp.schools.models import RegisterImport

    newest = session().scalar(select(func.max(RegisterImport.imported_at)))
    days = runtime.settings().schools.stale_after_days
    if newest is None:
        yield Finding("register", "fault", "no school register was imported", "run: idp schools refresh --download")
    elif clock.now() - newest > timedelta(days=days):
        yield Finding(
            "register", "warning", f"last imported {dates.day(newest)}", "run daily: idp schools refresh --download"
        )
    else:
        yield Finding("register", "ok", f"last imported {dates.day(newest)}")


def onboarding(_app: Flask) -> Iterator[Finding]:
    """No school waits longer for its check than we promise."""
    from idp.onboarding.models import Review

    late = session().scalar(select(func.count()).where(Review.decided_at.is_(None), Review.due_at < clock.now()))
    if late:
        yield Finding("onboarding", "warning", f"{late} schools should have been checked", "see: idp onboarding queue")
    else:
        yield Finding("onboarding", "ok", "no school is overdue")


def operators(_app: Flask) -> Iterator[Finding]:
    """Somebody can act for us, with a second factor."""
    from idp.signin.models import Operator

    able = session().scalar(select(func.count()).where(Operator.set_up_at.is_not(None), Operator.disabled_at.is_(None)))
    if able:
        yield Finding("operators", "ok", f"{able} with a second factor")
    else:
        yield Finding("operators", "warning", "none has finished setting up", "run: idp operators add NAME EMAIL")


def scopes(_app: Flask) -> Iterator[Finding]:
    """No client is registered for, and no school has agreed to, what `config/scopes.toml` does not know (any more)."""
    from idp.partners.models import Client
    from idp.sharing.models import Authorisation

    carried = {
        client.id: client.required_scopes | client.optional_scopes | client.client_scopes
        for client in session().scalars(select(Client))
    }
    current = Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None)
    given = select(Authorisation.scopes, func.count()).where(*current).group_by(Authorisation.scopes)
    asking = {client: unknown for client, words in carried.items() if (unknown := words - known(words))}
    agreed = [(unknown, number) for words, number in session().execute(given) if (unknown := words - known(words))]
    for client, unknown in asking.items():
        do = "update its manifest, or restore the scope in config/scopes.toml"
        yield Finding("scopes", "warning", f"{client} is registered for {_listed(unknown)}, which is not known", do)
    if agreed:
        number, unknown = sum(each for _, each in agreed), frozenset().union(*(each for each, _ in agreed))
        counted = f"{number} agreement{'s' if number != 1 else ''}"
        yield Finding(
            "scopes", "warning", f"{counted} to {_listed(unknown)}, which is not known and not given",
            "all is well if it was meant to go; otherwise restore it in config/scopes.toml",
        )  # fmt: skip
    if not asking and not agreed:
        yield Finding("scopes", "ok", "all that are registered and agreed to are known")


def _listed(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))


def audit(_app: Flask) -> Iterator[Finding]:
    """The audit log keeps up with its chain."""
    from idp.audit.models import Entry

    oldest = session().scalar(select(func.min(Entry.at)).where(Entry.position.is_(None)))
    if oldest is None or clock.now() - oldest < timedelta(minutes=1):
        yield Finding("audit", "ok", "every entry is in the chain")
    else:
        does = "see the worker's log" if _a_worker_lives() else "run it as a service: idp worker"
        yield Finding("audit", "warning", f"entries since {when(oldest)} are not chained", does)


def worker(_app: Flask) -> Iterator[Finding]:
    """A worker lives, and its timed jobs went well and are not late."""
    from idp.jobs import heart, lease

    if not _a_worker_lives():
        last = heart.last()
        heard = "none is running" if last is None else f"last heard of at {when(last)}"
        yield Finding("worker", "fault", f"{heard}: no message leaves", "run it as a service: idp worker")
    else:
        yield Finding("worker", "ok", "its heart beats")
    for job in lease.listing():
        if job.fault:
            yield Finding(
                f"job {job.name}",
                "warning",
                f"failed: {in_a_line(Exception(job.fault)).removeprefix('Exception: ')}",
                "see the worker's log",
            )
        elif clock.now() - job.due_at > timedelta(minutes=10):
            yield Finding(f"job {job.name}", "warning", f"has been due since {when(job.due_at)}", "see: worker")


def limits(_app: Flask) -> Iterator[Finding]:
    """What counts the limits by address answers: Redis, where there are several processes."""
    from idp.foundation.web.throttle import limiter

    if limiter.storage.check():
        yield Finding("limits", "ok", "are counted where throttle.storage says")
    else:
        yield Finding("limits", "warning", "Redis does not answer: each process counts alone", "see: throttle.storage")


def contact(_app: Flask) -> Iterator[Finding]:
    """A contact for reports of vulnerabilities is set."""
    if runtime.settings().service.security_contact:
        yield Finding("security contact", "ok", "is in /.well-known/security.txt")
    elif runtime.settings().environment == "production":
        says = "there is no /.well-known/security.txt, which says where to report a weakness"
        yield Finding("security contact", "warning", says, "set: service.security_contact")


def libraries(_app: Flask) -> Iterator[Finding]:
    """Nothing installed is below its floor."""
    for name, floor in FLOORS.items():
        if Version(version(name)) < Version(floor):
            yield Finding(name, "fault", f"{version(name)} is below {floor}", "install from the lock file")
        else:
            yield Finding(name, "ok", version(name))


CHECKS: tuple[Check, ...] = (
    settings, database, keys, outbox, register, onboarding, operators, scopes, audit, worker, limits, contact,
    libraries,
)  # fmt: skip


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Check everything, say why it matters and what to do. Exit code 0 well, 1 warnings, 2 faults."""
    app = application(context)
    found: list[Finding] = []
    for check in CHECKS:
        try:
            with work(app):
                found += check(app)
        except SQLAlchemyError as error:
            found.append(Finding(check.__name__, "fault", f"the database does not answer: {in_a_line(error)}"))
    if as_json:
        show_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            mark = {"ok": "ok     ", "warning": "WARNING", "fault": "FAULT  "}[finding.level]
            click.echo(f"{mark}  {finding.what}: {finding.says}" + (f"; {finding.do}" if finding.do else ""))
    sys.exit(max({"ok": 0, "warning": 1, "fault": 2}[finding.level] for finding in found))
