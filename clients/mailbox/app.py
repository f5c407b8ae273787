"""The pages: a list next to the message that is open; on a narrow screen one at a time."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Flask, Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from clients.mailbox import messages

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SANDBOXED = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"
)
"""What a mail's own HTML may do: look as it likes, and open links. No script runs, no form is sent, nothing is
fetched; `allow-same-origin` only lets our page measure it."""


def create_app(folder: Path) -> Flask:
    """Build the mailbox that shows the Maildir `folder`, which may appear later."""
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = ["localhost", "127.0.0.1"]  # no other name may be made to lead here
    app.add_template_filter(_format_time, "format_time")
    app.after_request(_headers)

    @app.get("/")
    def inbox() -> ResponseReturnValue:
        """All messages."""
        return _page(folder, None)

    @app.get("/messages/<key>")
    def message(key: str) -> ResponseReturnValue:
        """One message, next to the list."""
        return _page(folder, messages.find(folder, key) or abort(404))

    @app.get("/messages/<key>/html")
    def html(key: str) -> ResponseReturnValue:
        """A message's own HTML, for the frame in its page; its links open in a new tab, as mail programs do."""
        message = messages.find(folder, key)
        if message is None or message.html is None:
            abort(404)
        response = Response(f'<!doctype html><base target="_blank">{message.html}')
        response.headers["Content-Security-Policy"] = SANDBOXED
        return response

    @app.get("/news")
    def news() -> ResponseReturnValue:
        """What `mailbox.js` compares to notice new mail."""
        return {"state": _state(folder)}

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Alive."""
        return {"status": "ok"}

    @app.errorhandler(404)
    def not_found(_error: Exception) -> ResponseReturnValue:
        """The list, saying that the message is gone."""
        return _page(folder, None, gone=True), 404

    return app


def _page(folder: Path, chosen: messages.Message | None, *, gone: bool = False) -> str:
    state = _state(folder)  # before the list: what comes in between is then noticed
    return render_template(
        "mailbox.html", messages=messages.list_messages(folder), chosen=chosen, state=state, gone=gone
    )


def _state(folder: Path) -> str:
    count, name = messages.latest(folder)
    return f"{count} {name}"


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def _format_time(moment: datetime) -> str:
    """A time in British form and time zone: "2 March, 09:30"."""
    moment = moment.astimezone(ZoneInfo("Europe/London"))
    return f"{moment.day} {moment:%B, %H:%M}"
