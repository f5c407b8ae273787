"""S15: refreshes at once, reuse, refresh against revocation and withdrawal (CVE-2026-1035): one live family or none."""

from idp.estabs.models import Administrator
from idp.sharing import authorise
from tests.oidc.support import authorised
from tests.security.test_code_replay import all_at_once


def test_fifty_rotations_at_once_never_fork_a_family(web, another, world):
    public = world.another(token_endpoint_auth_method="none")
    token = public.redeems(web, authorised(web, public, world.username)["code"]).json["refresh_token"]
    answers = all_at_once(50, lambda: public.refreshes(another(), token))
    successors = {answer.json["refresh_token"] for answer in answers if answer.status_code == 200}
    assert len(successors) == 1
    assert public.refreshes(web, successors.pop()).status_code == 200


def test_refreshing_against_revoking_leaves_nothing_alive(web, another, world):
    tokens = world.partner.redeems(web, authorised(web, world.partner, world.username)["code"]).json
    token = tokens["refresh_token"]
    jobs = iter([lambda w: world.partner.posts(w, "/oauth/revoke", {"token": token})] * 2
                + [lambda w: world.partner.refreshes(w, token)] * 14)  # fmt: skip
    answers = all_at_once(16, lambda: next(jobs)(another()))
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert world.partner.refreshes(web, token).json["error"] == "invalid_grant"
    for answer in answers:
        if answer.status_code == 200 and answer.is_json:
            headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
            assert web.get("/oauth/userinfo", headers=headers).status_code == 401


def test_refreshing_against_withdrawing_leaves_nothing_alive(web, another, world):
    tokens = world.partner.redeems(web, authorised(web, world.partner, world.username)["code"]).json

    def withdraw(_web):
        with world.work() as session:
            authorise.withdraw(world.estab, world.partner.id, by=session.get_one(Administrator, world.person))

    jobs = iter([withdraw] + [lambda w: world.partner.refreshes(w, tokens["refresh_token"])] * 7)
    answers = [answer for answer in all_at_once(8, lambda: next(jobs)(another())) if answer is not None]
    assert world.partner.refreshes(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
    for answer in answers:
        if answer.status_code == 200:
            headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
            assert web.get("/oauth/userinfo", headers=headers).status_code == 401
