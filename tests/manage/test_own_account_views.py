"""A person's own password and sessions, at the Security page."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs import passphrases
from idp.estabs.models import Administrator
from idp.foundation import crypto, runtime
from idp.jobs import cleaning
from idp.signin import own_password, session_clients, sign_ins
from idp.signin.models import BrowserSession, HalfSignIn, KnownDevice, SignInRecord, WrongPasswords
from idp.signin.retention import RETENTION
from tests.factories import PASSWORD, a_client, a_membership, an_administrator, an_estab
from tests.signin.apps import App, an_app
from tests.signin.authenticator import a_passkey, options_for
from tests.signin.person import Person

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
NEW_PASSWORD = "wobbly kettle sings at dusk"
CHANGE, SESSIONS = "/manage/security/password", "/manage/security/sessions"


@pytest.fixture
def signed_in(jo, account, clock):
    jo.sign_in(account.username)
    return jo


@pytest.fixture
def browser(new_browser):
    """`browser()` is a person at another browser."""
    return lambda: Person(new_browser())


def change_password(person, current=PASSWORD, new=NEW_PASSWORD):
    return person.submit(CHANGE, current_password=current, password=new)


class TestPasswordChange:
    def test_the_security_page_links_to_the_password_change(self, signed_in):
        signed_in.open("/manage/security")
        assert "You have had it since 2 March 2026." in signed_in.page_text
        assert signed_in.page.find("a", id="change-password")["href"] == CHANGE

    def test_the_new_password_works_and_the_old_one_does_not(self, signed_in, account, browser):
        assert change_password(signed_in).location == "/manage/security"
        assert "Your password has been changed." in signed_in.open("/manage/security").text
        assert browser().sign_in(account.username, PASSWORD).status_code == 422
        assert browser().sign_in(account.username, NEW_PASSWORD).status_code == 303

    def test_other_sessions_end_and_this_one_continues_under_a_new_id(self, signed_in, browser, account):
        elsewhere = browser()
        elsewhere.sign_in(account.username)
        before = signed_in.cookie("session")
        change_password(signed_in)

        assert signed_in.open("/manage").status_code == 200
        assert signed_in.cookie("session") != before
        assert elsewhere.open("/manage").location.startswith("/sign-in")

    def test_the_person_gets_a_mail_about_the_change(self, signed_in, account, outbox):
        change_password(signed_in)
        assert outbox.last("password_changed").to == account.email

    def test_a_wrong_current_password_changes_nothing(self, signed_in, account, outbox, browser):
        assert change_password(signed_in, current="not this one").status_code == 422
        assert "That is not your current password." in signed_in.page_text
        assert NEW_PASSWORD not in signed_in.response.text
        assert outbox.all("password_changed") == []
        assert browser().sign_in(account.username).status_code == 303

    def test_the_current_password_is_compared_exactly_but_a_generated_one_by_its_words(
        self, signed_in, account, transaction, app
    ):
        assert change_password(signed_in, current=f" {PASSWORD}").status_code == 422
        passphrase = passphrases.generate()
        with transaction() as session:
            person = session.get_one(Administrator, account.id)
            person.password_hash, person.password_is_ours = runtime.for_app(app).passwords.hash(passphrase), True
        assert change_password(signed_in, current=passphrase.replace("-", " ").title()).status_code == 303
        with transaction() as session:
            assert not session.get_one(Administrator, account.id).password_is_ours

    @pytest.mark.parametrize(
        ("new", "message"),
        [("short", "Use at least 12"), ("password1234", "Very many people"), ("Oakhill School", "easy to guess")],
    )
    def test_a_weak_new_password_is_refused_without_hashing(self, signed_in, app, new, message):
        hashed = runtime.for_app(app).passwords.hashed
        assert change_password(signed_in, new=new).status_code == 422
        assert message in signed_in.page_text
        assert runtime.for_app(app).passwords.hashed == hashed

    def test_wrong_current_passwords_count_with_those_of_the_sign_in_page(self, signed_in, account, browser):
        """security.md S30: guesses in a known browser and those in others are counted apart, on both pages together."""
        for _ in range(5):
            signed_in.sign_in(account.username, "wrong", back=CHANGE)
            change_password(signed_in, current="wrong")
        assert change_password(signed_in).status_code == 429
        assert "no one can sign in to it for" in signed_in.page_text
        assert browser().sign_in(account.username).status_code == 303

    def test_wrong_current_passwords_at_once_are_all_counted(self, signed_in, account, run_concurrently, transaction):
        outcomes = run_concurrently(
            16,
            lambda: _outcome(lambda: own_password.change(account.id, "wrong", NEW_PASSWORD, device=None, sid="ses_x")),
        )
        assert outcomes.count("WrongCurrentPassword") == 10
        assert outcomes.count("Locked") == 6

    def test_of_two_changes_at_once_one_succeeds(self, signed_in, account, run_concurrently, outbox):
        passwords = iter(["wobbly kettle sings at dusk", "purple turnips under moonlight"])
        outcomes = run_concurrently(
            2,
            lambda: _outcome(lambda: own_password.change(account.id, PASSWORD, next(passwords), device=None, sid="x")),
        )
        assert sorted(outcomes) == ["None", "WrongCurrentPassword"]
        assert len(outbox.all("password_changed")) == 1

    def test_a_person_with_a_second_factor_signs_in_with_it_first(self, signed_in, account, transaction):
        signed_in.open("/mobile/confirm")
        form = {"csrf_token": signed_in.token}
        with transaction():
            an_app(account.id)
        for response in (signed_in.open(CHANGE), signed_in.web.post(CHANGE, data=form)):
            assert response.location.startswith(f"/sign-in?next={CHANGE}")

    def test_no_password_is_kept_when_the_session_has_ended(self, signed_in, clock):
        signed_in.open(CHANGE)
        clock.move(timedelta(hours=13))
        sent = {"csrf_token": signed_in.token, "current_password": PASSWORD, "password": NEW_PASSWORD}
        response = signed_in.web.post(CHANGE, data=sent, headers={"Sec-Fetch-Site": "same-origin"})
        assert response.location.startswith("/sign-in")
        page = signed_in.open(response.location)
        assert PASSWORD not in page.text


def _outcome(act):
    try:
        return str(act())
    except Exception as error:  # noqa: BLE001  its name is the outcome; raising would roll the count back
        return type(error).__name__


class TestSessions:
    def test_each_session_is_listed_with_device_place_and_times(self, signed_in, browser, account, clock):
        clock.move(timedelta(minutes=3))
        elsewhere = browser()
        elsewhere.web.environ_base["REMOTE_ADDR"] = "203.0.113.9"
        elsewhere.web.environ_base["HTTP_USER_AGENT"] = (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.5 Mobile/15E148 Safari/604.1"
        )
        elsewhere.sign_in(account.username)
        beside = browser()
        beside.sign_in(account.username)
        signed_in.open(SESSIONS)
        current, *others = [" ".join(item.get_text(" ").split()) for item in signed_in.page.select("#sessions > li")]

        assert "This browser" in current
        assert "Signed in on 2 March 2026 at 09:30" in current
        assert "Sign out" not in current
        assert any("Safari on iPhone Another network. Signed in on 2 March 2026 at 09:33" in other for other in others)
        assert any("Same network as now." in other for other in others)

    def test_only_the_persons_own_open_sessions_are_listed(
        self, signed_in, browser, account, transaction, clock, settings
    ):
        with transaction():
            other = an_administrator().username
        browser().sign_in(other)
        for _ in range(3):
            browser().sign_in(account.username)
        over = [
            {"ended_at": clock.now(), "why_ended": "signed_out"},
            {"expires_at": clock.now()},
            {"last_used_at": clock.now() - timedelta(seconds=settings.session.idle)},
        ]
        is_current = BrowserSession.digest == crypto.digest(signed_in.cookie("session"))
        with transaction() as session:
            rows = session.scalars(
                select(BrowserSession).where(BrowserSession.person_id == account.id, ~is_current)
            ).all()
            for row, values in zip(rows, over, strict=True):
                for name, value in values.items():
                    setattr(row, name, value)
        signed_in.open(SESSIONS)

        assert len(signed_in.page.select("#sessions > li")) == 1

    def test_addresses_of_one_ipv6_network_are_the_same_place(self, browser, account):
        first, second = browser(), browser()
        first.web.environ_base["REMOTE_ADDR"] = "2001:db8:1:2::1"
        second.web.environ_base["REMOTE_ADDR"] = "2001:db8:1:2:ffff::9"
        for person in (first, second):
            person.sign_in(account.username)
        assert "Same network as now." in " ".join(first.open(SESSIONS).text.split())

    def test_one_session_is_ended_and_the_others_are_not(self, signed_in, browser, account):
        first, second = browser(), browser()
        first.sign_in(account.username)
        second.sign_in(account.username)
        signed_in.open(SESSIONS)
        form = signed_in.page.select_one("#sessions form")
        signed_in.post(form["action"])
        assert signed_in.response.location == SESSIONS
        alive = [person.open("/manage").status_code == 200 for person in (first, second)]
        assert sorted(alive) == [False, True]
        assert "Signed out: A browser on an unknown system." in signed_in.open(SESSIONS).text

    def test_all_other_sessions_are_ended(self, signed_in, browser, account):
        others = [browser() for _ in range(3)]
        for person in others:
            person.sign_in(account.username)
        signed_in.submit(SESSIONS)
        signed_in.open(SESSIONS)
        signed_in.post(f"{SESSIONS}/end-others")
        assert all(person.open("/manage").location.startswith("/sign-in") for person in others)
        assert signed_in.open("/manage").status_code == 200

    def test_signing_out_everywhere_ends_all_forgets_browsers_and_tells_partners(
        self,
        signed_in,
        browser,
        account,
        transaction,
        outbox,
        clock,
    ):
        elsewhere = browser()
        elsewhere.sign_in(account.username)
        now, before = clock.now(), clock.now() - timedelta(minutes=1)
        with transaction() as session:
            client = a_client(backchannel_logout_uri="https://assembly.example/logout")
            for row in session.scalars(select(BrowserSession).where(BrowserSession.person_id == account.id)):
                session_clients.add(row.sid, client.id)
            for digest, person_id, used_at in (
                (b"waits", account.id, None), (b"used", account.id, before), (b"another", an_administrator().id, None),
            ):  # fmt: skip
                half = {"amr": frozenset({"pwd"}), "name_counter": b"", "created_at": now, "expires_at": now}
                session.add(HalfSignIn(digest=digest, person_id=person_id, used_at=used_at, **half))
        signed_in.open(SESSIONS)
        signed_in.post(f"{SESSIONS}/end-everywhere")

        assert signed_in.response.location == "/signed-out"
        for person in (signed_in, elsewhere):
            assert person.open("/manage").location.startswith("/sign-in")
        with transaction() as session:
            assert session.scalars(select(KnownDevice).where(KnownDevice.person_id == account.id)).all() == []
            used = {row.digest: row.used_at for row in session.scalars(select(HalfSignIn))}
            assert used == {b"waits": now, b"used": before, b"another": None}
        assert len(outbox.all("backchannel_logout")) == 2

    def test_no_session_is_ended_without_a_recent_sign_in(self, signed_in, browser, account, clock):
        elsewhere = browser()
        elsewhere.sign_in(account.username)
        signed_in.open(SESSIONS)
        form, token = signed_in.page.select_one("#sessions form"), signed_in.token
        clock.move(timedelta(minutes=5, seconds=1))
        for path in (form["action"], f"{SESSIONS}/end-others", f"{SESSIONS}/end-everywhere"):
            response = signed_in.web.post(path, data={"csrf_token": token})
            assert response.location.startswith(f"/sign-in?next={SESSIONS}")
        assert elsewhere.open("/manage").status_code == 200

    def test_another_persons_session_is_not_found(self, signed_in, browser, transaction):
        """security.md S37."""
        with transaction():
            other = an_administrator()
            name, person_id = other.username, other.id
        elsewhere = browser()
        elsewhere.sign_in(name)
        with transaction() as session:
            sid = session.scalars(select(BrowserSession.sid).where(BrowserSession.person_id == person_id)).one()
        signed_in.open(SESSIONS)
        for target in (sid, "ses_unknown"):
            assert signed_in.post(f"{SESSIONS}/{target}/end").status_code == 404
            signed_in.open(SESSIONS)
        assert elsewhere.open("/manage").status_code == 200

    def test_the_current_session_is_ended_only_by_signing_out(self, signed_in, account, transaction):
        with transaction() as session:
            sid = session.scalars(select(BrowserSession.sid).where(BrowserSession.person_id == account.id)).one()
        signed_in.open(SESSIONS)
        assert signed_in.post(f"{SESSIONS}/{sid}/end").status_code == 404
        assert signed_in.open("/manage").status_code == 200


class TestOtherSessionsAfterAChange:
    """ASVS 7.4.3: a person who changes a factor is offered to end the person's other sessions."""

    OTHERS = "/manage/security/others?next=/manage/security"
    APP, CODES = "/manage/security/app", "/manage/security/recovery-codes"

    @pytest.fixture
    def elsewhere(self, browser, account):
        person = browser()
        person.sign_in(account.username)
        return person

    def set_up_app(self, signed_in):
        signed_in.open(self.APP)
        app = App(signed_in.page.find(id="seed").text.replace(" ", ""))
        signed_in.post(self.APP, code=app.code())
        return app

    def test_after_the_recovery_codes_the_person_can_end_the_other_sessions(self, signed_in, elsewhere):
        self.set_up_app(signed_in)
        signed_in.open(signed_in.response.location)
        assert signed_in.page.find(id="not-now")["href"] == self.OTHERS
        signed_in.post(self.CODES + "?next=/manage/security")
        assert signed_in.page.find(id="done")["href"] == self.OTHERS
        signed_in.open(self.OTHERS)
        assert "You are also signed in with another browser." in signed_in.page_text
        assert signed_in.post(self.OTHERS).location == "/manage/security"
        assert elsewhere.open("/manage").location.startswith("/sign-in")
        assert signed_in.open(self.OTHERS).location == "/manage/security"

    def test_after_each_other_change_the_person_can_keep_the_other_sessions(self, signed_in, elsewhere, clock):
        self.set_up_app(signed_in)
        signed_in.submit(self.CODES)
        for change in (self.APP, f"{self.APP}/remove"):
            clock.move(timedelta(seconds=30))
            if change == self.APP:
                self.set_up_app(signed_in)
            else:
                signed_in.submit(change)
            assert signed_in.response.location == self.OTHERS
            signed_in.open(self.OTHERS)
            assert signed_in.page.find(id="stay")["href"] == "/manage/security"
        assert elsewhere.open("/manage").status_code == 200

    def test_without_other_sessions_the_page_is_not_shown(self, signed_in, clock):
        self.set_up_app(signed_in)
        signed_in.submit(self.CODES)
        assert signed_in.page.find(id="done")["href"] == "/manage/security"
        clock.move(timedelta(seconds=30))
        self.set_up_app(signed_in)
        assert signed_in.response.location == "/manage/security"

    def test_the_other_sessions_are_ended_only_after_a_recent_sign_in(self, signed_in, elsewhere, clock):
        signed_in.open(self.OTHERS)
        clock.move(timedelta(minutes=6))
        assert signed_in.post(self.OTHERS).location.startswith("/sign-in?next=")
        assert elsewhere.open("/manage").status_code == 200


class TestSignIns:
    """The list of twelve months."""

    LIST = "/manage/security/sign-ins"

    def lines(self, person, page=1):
        person.open(f"{self.LIST}?page={page}")
        return [" ".join(item.get_text(" ").split()) for item in person.page.select("#list li")]

    def test_each_sign_in_is_listed_with_time_device_place_method_and_school(
        self, signed_in, account, browser, clock, transaction, settings
    ):
        clock.move(timedelta(minutes=1))
        elsewhere = browser()
        elsewhere.web.environ_base["REMOTE_ADDR"] = "203.0.113.9"
        elsewhere.web.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0"
        elsewhere.sign_in(account.username)
        with transaction():
            app, device = an_app(account.id), a_passkey(account.id, settings.server.issuer)
        clock.move(timedelta(minutes=1))
        with_a_code = browser()
        with_a_code.sign_in(account.username)
        with_a_code.submit("/sign-in/second-step", code=app.code())
        clock.move(timedelta(minutes=1))
        with_a_passkey = browser()
        with_a_passkey.open("/sign-in")
        with_a_passkey.post("/sign-in/passkey", passkey=device.get(options_for(with_a_passkey)))

        unknown, school = "A browser on an unknown system", account.school
        assert self.lines(signed_in) == [
            f"2 March 2026 at 09:33 : {unknown}. Same network as now. Passkey. {school}.",
            f"2 March 2026 at 09:32 : {unknown}. Same network as now. Password and code. {school}.",
            f"2 March 2026 at 09:31 : Firefox on Linux. Another network. Password. {school}.",
            f"2 March 2026 at 09:30 : {unknown}. This browser. Password. {school}.",
        ]

    def test_setting_up_a_factor_is_no_sign_in(self, signed_in):
        signed_in.open("/manage/security/app")
        app = App(signed_in.page.find(id="seed").text.replace(" ", ""))
        signed_in.post("/manage/security/app", code=app.code())
        [line] = self.lines(signed_in)
        assert "This browser." in line

    def test_the_sign_in_of_a_person_of_several_schools_names_the_first_chosen_one(self, jo, account, transaction):
        with transaction() as session:
            other = an_estab()
            a_membership(session.get_one(Administrator, account.id), other)
            chosen, name = other.estab_id, other.name
        jo.sign_in(account.username)
        assert account.school not in self.lines(jo)[0]
        jo.submit("/sign-in/school", school=chosen)
        jo.submit("/sign-in/school", school=account.username)
        assert self.lines(jo)[0].endswith(f"{name}.")

    def test_wrong_passwords_are_shown_as_a_number_for_each_day(self, signed_in, account, browser, clock):
        for _ in range(2):
            browser().sign_in(account.username, "wrong")
        clock.move(timedelta(days=1))
        browser().sign_in(account.email, "wrong")
        browser().sign_in("no-such-name", "wrong")
        signed_in.sign_in(account.username)
        signed_in.open(self.LIST)
        assert [item.text for item in signed_in.page.select("#wrong li")] == ["3 March 2026: 1", "2 March 2026: 2"]

    def test_wrong_passwords_at_once_are_all_counted(self, account, run_concurrently, transaction):
        run_concurrently(8, lambda: sign_ins.note_wrong_password(account.id))
        with transaction():
            assert [count for _, count in sign_ins.wrong_passwords(account.id)] == [8]

    def test_long_lists_have_pages(self, signed_in, account, transaction, clock):
        with transaction() as session:
            for number in range(60):
                session.add(
                    SignInRecord(
                        id=f"sin_{number}", sid=f"ses_{number}", person_id=account.id, device="Edge on Windows",
                        at=clock.now() - timedelta(days=number + 1), provider="Microsoft 365 account",
                        amr=frozenset(), network=b"", estab_id=None,
                    )
                )  # fmt: skip
        assert len(self.lines(signed_in)) == 50
        assert self.lines(signed_in)[1].endswith("Another network. Microsoft 365 account.")
        signed_in.open(signed_in.page.find(id="older")["href"])
        assert len(signed_in.page.select("#list li")) == 11
        assert signed_in.page.find(id="older") is None
        assert signed_in.page.find(id="newer")
        for page in ("0", "-1", "x", "99999999999999999999"):
            assert signed_in.open(f"{self.LIST}?page={page}").status_code == 200

    def test_sign_ins_are_stored_for_twelve_months_without_an_ip_address(self, signed_in, account, transaction, clock):
        with transaction() as session:
            [row] = session.scalars(select(SignInRecord).where(SignInRecord.person_id == account.id))
            assert b"127.0.0.1" not in row.network
            sign_ins.note_wrong_password(account.id)
        for days, left in ((360, 1), (10, 0)):
            clock.move(timedelta(days=days))
            cleaning.clean(transaction, [rule for rule in RETENTION if rule.model in {SignInRecord, WrongPasswords}])
            with transaction() as session:
                assert session.query(SignInRecord).count() == session.query(WrongPasswords).count() == left

    def test_another_persons_sign_ins_are_not_shown(self, signed_in, browser, transaction):
        with transaction():
            other = an_administrator().username
        browser().sign_in(other)
        assert len(self.lines(signed_in)) == 1


class TestLimits:
    """Idle and absolute lifetimes, from the settings."""

    def test_an_idle_session_ends_and_one_in_use_does_not(self, signed_in, clock, change_settings):
        change_settings(session={"idle": 600, "absolute": 7200})
        for _ in range(4):
            clock.move(timedelta(minutes=9))
            assert signed_in.open("/manage").status_code == 200
        clock.move(timedelta(minutes=10))
        assert signed_in.open("/manage").location.startswith("/sign-in")

    def test_every_session_ends_after_its_absolute_lifetime(self, jo, account, clock, change_settings):
        change_settings(session={"idle": 600, "absolute": 1800})
        jo.sign_in(account.username)
        for _ in range(5):
            clock.move(timedelta(minutes=5))
            assert jo.open("/manage").status_code == 200
        clock.move(timedelta(minutes=5))
        assert jo.open("/manage").location.startswith("/sign-in")

    def test_beyond_the_number_of_sessions_for_a_person_the_oldest_ends(self, browser, account, clock, change_settings):
        change_settings(session={"per_person": 3})
        people = [browser() for _ in range(4)]
        for person in people:
            person.sign_in(account.username)
            clock.move(timedelta(seconds=1))
        assert [person.open("/manage").status_code for person in people] == [303, 200, 200, 200]
