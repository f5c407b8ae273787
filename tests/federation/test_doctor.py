"""`idp doctor` reports whether the enabled providers respond."""

from flask import Response

from idp.federation import doctor


def findings(transaction):
    with transaction():
        return [(finding.what, finding.level) for finding in doctor.federation()]


def test_doctor_reports_federation_that_is_switched_off_as_ok(transaction):
    assert findings(transaction) == [("sign-in with other accounts", "ok")]


def test_doctor_reports_reachable_providers_as_ok(transaction, enabled_providers):
    assert findings(transaction) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "ok")]


def test_doctor_warns_of_unreachable_and_misconfigured_providers(transaction, enabled_providers):
    enabled_providers["microsoft"].error_responses["/keys"] = Response("no", 500)
    enabled_providers["google"].metadata["issuer"] = "https://evil.test"

    assert findings(transaction) == [("sign-in with Microsoft", "warning"), ("sign-in with Google", "warning")]


def test_doctor_warns_of_a_provider_without_a_usable_key(transaction, enabled_providers):
    enabled_providers["google"].published_keys.clear()

    assert findings(transaction) == [("sign-in with Microsoft", "ok"), ("sign-in with Google", "warning")]
