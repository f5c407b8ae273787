"""`idp doctor` reports whether the enabled providers respond."""

from flask import Response

from idp.federation import doctor


def findings(work):
    with work():
        return [(finding.what, finding.level) for finding in doctor.federation()]


def test_switched_off_it_says_so(work):
    assert findings(work) == [("sign-in with other accounts", "ok")]


def test_providers_that_answer(work, both):
    assert findings(work) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "ok")]


def test_a_provider_that_does_not(work, both):
    both["microsoft"].broken["/keys"] = Response("no", 500)
    both["google"].metadata["issuer"] = "https://evil.test"

    assert findings(work) == [("sign-in with Microsoft", "warning"), ("sign-in with Google", "warning")]


def test_a_provider_without_a_key_that_we_can_use(work, both):
    both["google"].published.clear()

    assert findings(work) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "warning")]
