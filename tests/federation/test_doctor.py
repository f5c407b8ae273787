"""`idp doctor` reports whether the enabled providers respond."""

from flask import Response

from idp.federation import doctor


def findings(work):
    with work():
        return [(finding.what, finding.level) for finding in doctor.federation()]


def test_doctor_says_that_federation_is_switched_off(work):
    assert findings(work) == [("sign-in with other accounts", "ok")]


def test_doctor_reports_reachable_providers_as_ok(work, enabled_providers):
    assert findings(work) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "ok")]


def test_doctor_warns_of_unreachable_and_misconfigured_providers(work, enabled_providers):
    enabled_providers["microsoft"].error_responses["/keys"] = Response("no", 500)
    enabled_providers["google"].metadata["issuer"] = "https://evil.test"

    assert findings(work) == [("sign-in with Microsoft", "warning"), ("sign-in with Google", "warning")]


def test_doctor_warns_of_a_provider_without_a_usable_key(work, enabled_providers):
    enabled_providers["google"].published_keys.clear()

    assert findings(work) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "warning")]
