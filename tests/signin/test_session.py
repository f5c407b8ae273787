"""Browser sessions: one row each, found by a digest, and ended by a change of the row."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask_login import current_user
from sqlalchemy import select, update

from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks, crypto, database, runtime
from idp.signin import factors, operators, reset as reset_password, session as sessions
from idp.signin.models import BrowserSession
from tests.factories import an_administrator
from tests.signin.apps import App
from tests.signin.person import Person

SIGNED_IN_PATH = "/mobile/confirm"


def is_signed_in(person):
    return person.open(SIGNED_IN_PATH).status_code == 200


def rows(transaction, person_id):
    with transaction() as session:
        session_rows = session.scalars(select(BrowserSession).where(BrowserSession.person_id == person_id))
        return list(session_rows.unique())


def test_the_cookie_is_found_by_its_digest_and_by_nothing_else_in_the_row(jo, account, transaction):
    jo.sign_in(account.username)
    (row,) = rows(transaction, account.id)

    assert row.digest == crypto.digest(jo.cookie("session"))
    assert jo.cookie("session") not in (row.sid, row.person_id)
    assert (row.kind, row.acr, row.amr) == ("administrator", sessions.SINGLE, frozenset({"pwd"}))


def test_the_cookie_is_kept_from_scripts_and_other_sites(jo, account):
    jo.sign_in(account.username)
    (cookie,) = [text for text in jo.response.headers.getlist("Set-Cookie") if text.startswith("idaas-session=")]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "Expires" not in cookie


def test_a_program_on_the_same_machine_with_a_cookie_named_session_does_not_sign_anybody_out(jo, account):
    jo.sign_in(account.username)
    names = [text.partition("=")[0] for text in jo.response.headers.getlist("Set-Cookie")]
    jo.web.set_cookie("session", "of another program on localhost")
    jo.web.set_cookie("form", "of another program on localhost")

    assert {name.partition("-")[0] for name in names} == {"idaas"}, "cookies know no port"
    assert jo.is_signed_in()


def test_over_https_the_cookie_has_the_host_prefix(app, account, transaction, change_settings):
    change_settings(server={"issuer": "https://id.example"})
    with transaction(), app.test_request_context(base_url="https://id.example"):
        app.preprocess_request()
        sessions.begin(account.id)
        response = app.process_response(app.response_class())
    cookies = response.headers.getlist("Set-Cookie")

    for name in ("__Host-session=", "__Host-device="):
        (cookie,) = [text for text in cookies if text.startswith(name)]
        assert "Secure" in cookie
        assert "Path=/" in cookie


def test_a_session_ends_after_two_hours_without_use(jo, account, clock):
    jo.sign_in(account.username)
    clock.move(timedelta(hours=1, minutes=59))
    assert is_signed_in(jo)
    clock.move(timedelta(hours=1, minutes=59))
    assert is_signed_in(jo)
    clock.move(timedelta(hours=2))
    assert not is_signed_in(jo)


def test_a_session_ends_after_twelve_hours(jo, account, clock):
    jo.sign_in(account.username)
    for _ in range(11):
        clock.move(timedelta(hours=1))
        assert is_signed_in(jo)
    clock.move(timedelta(hours=1))
    assert not is_signed_in(jo)


def test_the_last_use_is_updated_at_most_once_a_minute(jo, account, transaction, clock):
    jo.sign_in(account.username)
    began = rows(transaction, account.id)[0].last_used_at
    clock.move(timedelta(seconds=59))
    is_signed_in(jo)
    assert rows(transaction, account.id)[0].last_used_at == began
    clock.move(timedelta(seconds=1))
    is_signed_in(jo)
    assert rows(transaction, account.id)[0].last_used_at == began + timedelta(minutes=1)


def test_using_one_session_does_not_prolong_another(jo, stranger, account, transaction, clock):
    jo.sign_in(account.username)
    stranger.sign_in(account.username)
    began = clock.now()
    clock.move(timedelta(minutes=1))
    is_signed_in(jo)

    used = {row.digest: row.last_used_at for row in rows(transaction, account.id)}
    assert used[crypto.digest(jo.cookie("session"))] == clock.now()
    assert used[crypto.digest(stranger.cookie("session"))] == began


def test_each_session_belongs_to_the_person_who_began_it(app, transaction):
    accounts: list[tuple[str, str, str, str | None]] = []
    with transaction() as session:
        for number in range(2):
            person = an_administrator(name=f"Head {number}")
            operator, _ = operators.add(f"Operator {number}", f"op{number}@idaas.example")
            session.flush()
            accounts.append(("administrator", person.id, person.name, person.memberships[0].estab_id))
            accounts.append(("operator", operator.id, operator.name, None))
    for kind, account_id, name, estab_id in accounts:
        with transaction(), app.test_request_context(base_url=runtime.for_app(app).settings.server.issuer):
            app.preprocess_request()
            sessions.begin(account_id, kind=kind)
            response = app.process_response(app.response_class())
        cookie = next(text for text in response.headers.getlist("Set-Cookie") if text.startswith("idaas-session="))
        with transaction(), app.test_request_context(headers={"Cookie": cookie.partition(";")[0]}):
            identity = (current_user.kind, current_user.id, current_user.name, current_user.estab_id)
        assert identity == (kind, account_id, name, estab_id)


def test_a_session_that_has_ended_keeps_the_time_and_the_first_reason(app, account, transaction, clock):
    with transaction(), app.test_request_context():
        sid = sessions.begin(account.id).sid
    for reason in ("signed_out", "removed"):
        with transaction():
            sessions.end(sid, reason)
        clock.move(timedelta(minutes=1))

    (row,) = rows(transaction, account.id)
    assert (row.why_ended, row.ended_at) == ("signed_out", clock.now() - timedelta(minutes=2))


@pytest.fixture
def limit_of_ten_sessions(change_settings):
    """Set the limit of sessions for a person to that of production."""
    change_settings(session={"per_person": 10})


def test_the_eleventh_session_ends_the_oldest(app, account, new_browser, transaction, clock, limit_of_ten_sessions):
    browsers = []
    for _ in range(11):
        clock.move(timedelta(seconds=1))
        browsers.append(Person(new_browser()))
        browsers[-1].sign_in(account.username)

    assert not is_signed_in(browsers[0])
    assert all(is_signed_in(browser) for browser in browsers[1:])
    assert {row.why_ended for row in rows(transaction, account.id)} == {None, "too_many"}


@pytest.mark.parametrize(
    "change",
    [
        update(Administrator).values(removed_at=clocks.now()),
        update(Estab).values(state="suspended"),
        update(Estab).values(state="closed"),
        update(BrowserSession).values(ended_at=clocks.now(), why_ended="by hand"),
    ],
    ids=["removed", "suspended", "closed", "ended"],
)
def test_a_session_ends_at_once_with_its_person_or_school(jo, account, transaction, change):
    jo.sign_in(account.username)
    with transaction() as session:
        session.execute(change)

    assert not is_signed_in(jo)


def test_ending_all_sessions_leaves_the_excepted_one(jo, stranger, account, transaction):
    jo.sign_in(account.username)
    stranger.sign_in(account.username)
    kept = next(row.sid for row in rows(transaction, account.id) if row.digest == crypto.digest(jo.cookie("session")))
    with transaction():
        sessions.end_all(account.id, "password_changed", except_sid=kept)

    assert is_signed_in(jo)
    assert not is_signed_in(stranger)


def test_ending_all_sessions_of_a_person_counts_the_open_ones_and_leaves_those_of_others(
    app, account, transaction, clock
):
    with transaction():
        other = an_administrator()
        name = other.id
    sids = []
    for _ in range(4):
        with transaction(), app.test_request_context():
            sids.append(sessions.begin(account.id).sid)
        if len(sids) == 1:
            clock.move(timedelta(seconds=runtime.for_app(app).settings.session.absolute))
    expired, ended, first, second = sids
    with transaction(), app.test_request_context():
        others = sessions.begin(name).sid
        sessions.end(ended, "signed_out")
    with transaction():
        assert sessions.end_all(account.id, "removed") == 2

    assert {row.sid: row.why_ended for row in rows(transaction, account.id)} == {
        expired: None, ended: "signed_out", first: "removed", second: "removed",
    }  # fmt: skip
    assert [(row.sid, row.ended_at) for row in rows(transaction, name)] == [(others, None)]


def test_a_session_older_than_the_required_sign_in_is_not_current(app, account, transaction, clock):
    with transaction(), app.test_request_context():
        sessions.begin(account.id)
        now = clocks.now()

        current = sessions.current()
        assert current is not None
        assert (current.id, current.auth_time, current.person.memberships[0].estab_id) == (
            account.id,
            now,
            account.estab_id,
        )
        assert sessions.current(since=now) is current
        assert sessions.current(since=now + timedelta(microseconds=1)) is None


def test_current_user_is_set_at_once_after_signing_in(app, account, transaction):
    with transaction(), app.test_request_context():
        assert not current_user.is_authenticated
        runtime.ports().sign_in(account.id)

        assert (current_user.kind, current_user.id, current_user.name) == ("administrator", account.id, "Jo Bloggs")
        assert current_user.get_id() == current_user.sid != ""


def test_an_operator_is_not_signed_in_on_the_pages_of_schools(app, transaction):
    with transaction() as session:
        operator, _ = operators.add("Sam", "sam@idaas.example")
        session.flush()
        with app.test_request_context():
            sessions.begin(operator.id, sessions.PASSWORD_AND_CODE, kind="operator")

            assert current_user.kind == "operator"
            assert current_user.acr == sessions.MULTI
            assert sessions.current() is None


def test_another_persons_sign_in_in_the_same_browser_ends_the_first(jo, account, transaction):
    with transaction():
        other = an_administrator().username
    jo.sign_in(account.username)
    jo.sign_in(other, back="/x")

    assert [row.why_ended for row in rows(transaction, account.id)] == ["replaced"]


def test_signing_in_twice_at_once_in_one_browser_succeeds(new_browser, account, transaction):
    tabs = [Person(new_browser()) for _ in range(4)]
    for tab in tabs:
        tab.web.set_cookie("idaas-device", "the-same-browser", domain="localhost")

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda tab: tab.sign_in(account.username).status_code, tabs))

    assert statuses == [303] * 4
    assert len(rows(transaction, account.id)) == 4


def set_new_password(account):
    """Finish a reset of the password, which ends all sessions."""
    person = database.lock(Administrator, account.id)
    reset_password.finish(person, "a hash", device=None, by_link=True)


def test_a_sign_in_does_not_outlive_a_new_password_that_is_set_at_the_same_moment(
    jo, account, transaction, run_overlapping
):
    run_overlapping(lambda: set_new_password(account), lambda: jo.sign_in(account.username))

    assert not is_signed_in(jo)


def test_replacing_an_outdated_hash_does_not_restore_an_old_password(
    jo, account, transaction, run_overlapping, monkeypatch
):
    monkeypatch.setattr(crypto.Passwords, "is_outdated", lambda *_: True)

    run_overlapping(lambda: set_new_password(account), lambda: jo.sign_in(account.username))

    with transaction() as session:
        assert session.get_one(Administrator, account.id).password_hash == "a hash"


def test_a_session_that_is_ended_everywhere_gets_no_factor_at_the_same_moment(
    jo, account, transaction, run_overlapping
):
    jo.sign_in(account.username)
    jo.open("/manage/security/app")
    app = App(jo.page.find(id="seed").text.replace(" ", ""))

    run_overlapping(
        lambda: sessions.end_all(account.id, "everywhere"),
        lambda: jo.post("/manage/security/app", code=app.code()),
    )

    assert not is_signed_in(jo)
    with transaction():
        assert not factors.has_any(account.id)


def test_a_request_and_the_end_of_its_session_do_not_wait_for_each_other(jo, account, run_overlapping, clock):
    jo.sign_in(account.username)
    jo.open("/manage/account/email")
    clock.move(sessions.LAST_USED_PRECISION)

    outcome = run_overlapping(
        lambda: database.lock(Administrator, account.id),
        lambda: jo.post("/manage/account/email", email="other@oakhill.example"),
        before_commit=lambda: sessions.end_all(account.id, "removed"),
    )

    assert outcome.status_code == 303
    assert not is_signed_in(jo)


def test_a_session_that_is_ended_in_another_browser_gets_no_factor_at_the_same_moment(
    jo, account, transaction, run_overlapping
):
    jo.sign_in(account.username)
    jo.open("/manage/security/app")
    app = App(jo.page.find(id="seed").text.replace(" ", ""))
    sid = rows(transaction, account.id)[0].sid

    run_overlapping(
        lambda: sessions.end(sid, "ended_elsewhere"), lambda: jo.post("/manage/security/app", code=app.code())
    )

    assert not is_signed_in(jo)
    with transaction():
        assert not factors.has_any(account.id)
