"""security.md S42: a key is published before it signs, stays until its last token has expired, and verifies nothing
afterwards.

tests/keys/test_rotation.py tests the rotation; here it is tested together with partners' caches.
"""

import json
import re
import tomllib
from datetime import timedelta

import pytest

from idp.foundation import clock as clocks
from idp.foundation.fastpath import response_cache
from idp.foundation.setting_types import ROOT
from idp.keys import ring


def test_partners_fetch_the_key_set_again_before_a_new_key_signs(web):
    defaults = tomllib.loads((ROOT / "config" / "default.toml").read_text("utf-8"))["keys"]
    response = web.get("/oauth/jwks")
    match = re.search(r"max-age=(\d+)", response.headers["Cache-Control"])
    assert match
    cached_seconds = 2 * defaults["reread"]  # the cached key ring, and the cached responses
    assert int(match[1]) + cached_seconds < defaults["publish_before"]


def test_the_key_set_has_a_key_until_its_last_token_has_expired(app, web, transaction, clock, settings):
    def served_kids():
        response_cache.CACHE.for_app(app).clear()  # it uses another clock
        return {key["kid"] for key in json.loads(web.get("/oauth/jwks").data)["keys"]}

    with transaction():
        before = {row["kid"] for row in ring.list_keys() if row["alg"] == "ES256"}
        token = ring.sign({"exp": clocks.timestamp() + settings.tokens.access})
        ring.rotate("ES256")
    clock.move(timedelta(seconds=settings.tokens.access - 1))
    assert before <= served_kids()
    with transaction():
        assert ring.verify(token, typ="at+jwt")
    clock.move(timedelta(minutes=2))
    assert not before & served_kids()


def test_a_rotation_that_crashes_between_its_steps_loses_no_key(transaction, monkeypatch):
    with transaction():
        before = ring.jwks()
    monkeypatch.setattr("idp.keys.rotation.log.record", lambda *_, **__: 1 / 0)

    def rotate():
        with transaction():
            ring.rotate("ES256")

    with pytest.raises(ZeroDivisionError):
        rotate()
    with transaction():
        assert ring.jwks() == before
        assert ring.sign({"exp": clocks.timestamp() + 60})
