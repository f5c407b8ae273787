"""The server is killed while it redeems a code: the code is unused, or it is used and its tokens exist."""

import threading
from contextlib import suppress

import pytest
import requests
from sqlalchemy import select

from idp.oidc.models import Code, RefreshFamily
from tests.oidc.support import sign_in_and_authorise


@pytest.fixture
def redeem_and_kill(instance, outside, world, web, tmp_path):
    """`redeem_and_kill("before")` is a code; the server was killed while it redeemed it, before or after the COMMIT."""

    def redeem(url, code):
        with suppress(requests.ConnectionError):
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": world.partner.redirect_uri,
                    "code_verifier": world.partner.verifier}  # fmt: skip
            outside.post(f"{url}/oauth/token", data=form, headers=world.partner.basic)

    def run(moment):
        code, reached = sign_in_and_authorise(web, world.partner, world.username)["code"], tmp_path / "reached"
        with instance(program=("tests.faults.hanging_provider", moment, str(reached))) as (process, url):
            thread = threading.Thread(target=redeem, args=(url, code))
            thread.start()
            process.wait_until(reached.exists)
            process.kill()
            thread.join()
        return code

    return run


def test_a_process_killed_before_the_commit_leaves_the_code_unused(redeem_and_kill, web, world):
    code = redeem_and_kill("before")

    tokens = world.partner.redeem(web, code)
    assert tokens.status_code == 200
    assert world.partner.refresh(web, tokens.json["refresh_token"]).status_code == 200
    with world.transaction() as session:
        assert len(session.scalars(select(RefreshFamily)).all()) == 1


def test_a_process_killed_after_the_commit_leaves_the_code_used_and_a_second_try_revokes_its_tokens(
    redeem_and_kill, web, world
):
    code = redeem_and_kill("after")

    with world.transaction() as session:
        assert session.scalars(select(Code)).one().used_at is not None
        assert session.scalars(select(RefreshFamily)).one().revoked_at is None
    assert world.partner.redeem(web, code).json["error"] == "invalid_grant"
    with world.transaction() as session:
        assert session.scalars(select(RefreshFamily)).one().revoked_at is not None
