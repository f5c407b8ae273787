"""`idp conformance`: what the OpenID Foundation's conformance suite needs to find here, and its own settings.

* `prepare`     the clients, the person and the initial access token of `config/conformance.toml`
* `plans`       the suite's configurations, with the controls of our pages for its browser

The secrets, the password and the keys are new each time and written to files: it is for test machines, and
production refuses it. The suite's mirror in the project is `tests/conformance/`, which starts from `prepare` too.
"""
