"""security.md S34: without a token, or with another session's, nothing is decided (CVE-2020-10734, CVE-2023-6787)."""

from idp.sharing.models import Authorisation, Decision
from tests.oidc.support import address, follow_redirects, page, sign_in, sign_in_and_authorise


def open_consent_page(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    return follow_redirects(web, sign_in(web, response, world.username))


def count_decisions(world):
    with world.transaction() as session:
        return session.query(Authorisation).count() + session.query(Decision).count()


def test_agreeing_and_refusing_need_our_own_form(web, world):
    response = open_consent_page(web, world)
    for form in ({"allow": "yes", "authority": "y"}, {"deny": "yes"}, {"allow": "yes", "csrf_token": "forged"}):
        assert web.post(address(response), data=form).status_code == 400
    assert count_decisions(world) == 0


def test_a_csrf_token_of_another_session_is_refused(web, new_browser, world):
    other = new_browser()
    token = page(open_consent_page(other, world)).find("input", attrs={"name": "csrf_token"})["value"]
    response = open_consent_page(web, world)
    form = {"allow": "yes", "authority": "y", "csrf_token": token}
    assert web.post(address(response), data=form).status_code == 400
    assert count_decisions(world) == 0


def test_a_get_request_decides_nothing(web, world):
    response = open_consent_page(web, world)
    web.get(address(response) + "&allow=yes&authority=y")
    web.get(address(response) + "&deny=yes")
    assert count_decisions(world) == 0


def test_a_decision_from_another_browser_is_refused(web, new_browser, world):
    pending = address(open_consent_page(web, world))
    victim = new_browser()
    sign_in_and_authorise(victim, world.new_partner(), world.username)
    before = count_decisions(world)
    assert victim.get(pending).status_code == 400
    assert victim.post(pending, data={"allow": "yes", "authority": "y"}).status_code == 400
    assert count_decisions(world) == before
