"""security.md S14: fifty redemptions at once, a replay, and secrets of one purpose used for another (CVE-2026-4282)."""

import threading

from idp.oidc.models import RefreshFamily
from tests.oidc.support import sign_in_and_authorise


def call_concurrently(times, job):
    ready, responses = threading.Barrier(times), []

    def run():
        ready.wait(60)
        responses.append(job())

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return responses


def test_of_fifty_redemptions_at_once_one_succeeds_and_its_tokens_are_revoked(web, new_browser, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    responses = call_concurrently(50, lambda: world.partner.redeem(new_browser(), code))
    assert sorted(response.status_code for response in responses) == [200] + [400] * 49
    assert {response.json["error"] for response in responses if response.status_code == 400} == {"invalid_grant"}
    tokens = next(response.json for response in responses if response.status_code == 200)
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 401
    response = world.partner.post(web, "/oauth/introspect", {"token": tokens["access_token"]})
    assert response.json == {"active": False}
    with world.transaction() as session:
        (family,) = session.query(RefreshFamily)
        assert family.revoked_at is not None


def test_a_secret_for_one_purpose_is_refused_for_another(web, world):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    assert world.partner.refresh(web, code).json["error"] == "invalid_grant"
    tokens = world.partner.redeem(web, code).json
    for name in ("access_token", "refresh_token"):
        token = tokens[name]
        if name == "access_token":
            assert world.partner.refresh(web, token).status_code == 400
        else:
            assert world.partner.redeem(web, token).json["error"] == "invalid_grant"
            assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
