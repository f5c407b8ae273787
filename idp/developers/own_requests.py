"""Requests of the console to our own endpoints, through the whole application, without a network."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from flask import current_app, request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from idp.developers.trial_run import Reply
from idp.foundation import database, runtime
from idp.foundation.web import admission
from idp.partners import milestones


def send(method: str, path: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Reply:
    """Send a request and wait for the response, in a thread with a transaction of its own.

    The caller may only have read: its transaction is ended, and its place is released meanwhile.
    """
    environ = {"REMOTE_ADDR": request.remote_addr or "", milestones.FROM_CONSOLE: True}
    builder = EnvironBuilder(
        path=path, base_url=runtime.settings().server.issuer, method=method, headers=list(headers.items()),
        data=dict(form) if form is not None else None, environ_overrides=environ,
    )  # fmt: skip
    application, environ = current_app.wsgi_app, builder.get_environ()
    database.end_read_transaction()
    with admission.place_released(), ThreadPoolExecutor(1) as pool:
        chunks, status, response_headers = pool.submit(run_wsgi_app, application, environ, True).result()
    by_name = {name.lower(): value for name, value in response_headers}
    return Reply(int(status.split()[0]), b"".join(chunks).decode("utf-8", "replace"), by_name)
