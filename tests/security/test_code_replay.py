"""S14: fifty redemptions at once, a replay, and secrets of one purpose used for another (CVE-2026-4282)."""

import threading

from idp.oidc.models import RefreshFamily
from tests.oidc.support import sign_in_and_authorise


def call_concurrently(times, job):
    ready, answers = threading.Barrier(times), []

    def run():
        ready.wait(60)
        answers.append(job())

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return answers


def test_of_fifty_redemptions_at_once_one_succeeds_and_all_it_gave_is_taken_back(web, new_browser, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    answers = call_concurrently(50, lambda: world.partner.redeems(new_browser(), code))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    assert {answer.json["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    won = next(answer.json for answer in answers if answer.status_code == 200)
    assert world.partner.refreshes(web, won["refresh_token"]).json["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {won['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 401
    response = world.partner.posts(web, "/oauth/introspect", {"token": won["access_token"]})
    assert response.json == {"active": False}
    with world.work() as session:
        (family,) = session.query(RefreshFamily)
        assert family.revoked_at is not None


def test_a_secret_of_one_purpose_never_passes_for_another(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    assert world.partner.refreshes(web, code).json["error"] == "invalid_grant"
    tokens = world.partner.redeems(web, code).json
    for name in ("access_token", "refresh_token"):
        token = tokens[name]
        if name == "access_token":
            assert world.partner.refreshes(web, token).status_code == 400
        else:
            assert world.partner.redeems(web, token).json["error"] == "invalid_grant"
            assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
