"""Flask's session cookie, read only by the requests that use it: programs send none, and need none."""

from collections.abc import Callable

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import URLSafeTimedSerializer


class _LazySession(SecureCookieSession):
    """The cookie's content, read when a view first uses it: Flask notes that in `accessed`."""

    def __init__(self, read: Callable[[], SecureCookieSession | None] | None = None) -> None:
        super().__init__()
        self._read, self._accessed = read, False

    @property
    def accessed(self) -> bool:
        """Whether anything in this request used it."""
        return self._accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self._accessed = value
        if value and self._read is not None:
            read, self._read = self._read, None
            dict.update(self, read() or {})  # not `self.update`, which would note a change


class LazyCookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie for one application: its signer is made once, and the cookie is read when it is used."""

    _signer: URLSafeTimedSerializer | None = None

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The cookie's content, read when first used; empty without a cookie."""
        if "HTTP_COOKIE" not in request.environ:
            return _LazySession()
        open_session = super().open_session
        return _LazySession(lambda: open_session(app, request))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie where a view used the session or it is not empty."""
        if session or session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The application's signer."""
        if self._signer is None:
            self._signer = super().get_signing_serializer(app)
        return self._signer
