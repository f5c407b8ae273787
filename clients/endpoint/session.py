"""The tokens of this endpoint, refreshed when they run out, and never lost.

New tokens are on the disk before they are used. Before a refresh the file is written once more, as it is: a full disk
is noticed while the old refresh token is still good.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NoReturn, TypeVar

from .connection import Connection
from .dpop import Key
from .errors import NotRegistered, RegistrationEnded, RequestRefused, SharingInterrupted
from .home import Home, State
from .provider import Provider, Tokens

log = logging.getLogger(__name__)

INTERRUPTED: Final = "interrupted"
"""The state of an endpoint whose tokens do not work for now; the next accepted report replaces it."""
RENEW_BEFORE_EXPIRY_SECONDS: Final = 60
ResultT = TypeVar("ResultT")


class Session:
    """The registration in `home`: its state, and requests with its tokens."""

    def __init__(self, home: Home, state: State, now: Callable[[], float] = time.time) -> None:
        self.home, self.state, self._now = home, state, now
        self.connection = Connection(Key(state.key), now)
        self.provider = Provider(state.issuer, self.connection)

    def save(self, **changes: Any) -> None:
        """Change the state, on the disk and then in memory. Raises `DiskFull`, `InvalidSettings`."""
        state = replace(self.state, **changes)
        self.home.save(state)
        self.state = state

    def accept(self, tokens: Tokens) -> None:
        """Store new tokens. Raises `DiskFull`, `InvalidSettings`."""
        self.save(
            access_token=tokens.access_token, access_until_epoch=self._now() + tokens.expires_in,
            refresh_token=tokens.refresh_token or self.state.refresh_token,
        )  # fmt: skip

    def call(self, function: Callable[[str], ResultT]) -> ResultT:
        """Call `function` with an access token, and again with a new one after a response of 401.

        Raises `NotRegistered`, `RegistrationEnded`, `SharingInterrupted`.
        """
        token = self._access_token()
        try:
            return function(token)
        except RequestRefused as error:
            if error.error == "authorisation_paused":
                self._interrupt(error)
            if error.status != 401:
                raise
            log.info("The access token was not accepted (%s); a new one is requested.", error.error)
        self._refresh()
        try:
            return function(self.state.access_token)
        except RequestRefused as error:
            if error.status == 401 and error.error == "invalid_token":
                raise RegistrationEnded(error.error) from error
            raise

    def send(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        """Send a request to the receiver. Raises the errors of `Connection.send` and `call`."""
        return self.call(lambda token: self.connection.send(method, url, access_token=token, **options))

    def _access_token(self) -> str:
        if not self.state.refresh_token:
            raise NotRegistered
        remaining = self.state.access_until_epoch - self._now()
        # More than a day left means that the clock was set back.
        if not self.state.access_token or not RENEW_BEFORE_EXPIRY_SECONDS < remaining < 86_400:
            self._refresh()
        return self.state.access_token

    def _refresh(self) -> None:
        self.home.save(self.state)
        try:
            self.accept(self.provider.refresh(self.state.refresh_token))
        except RegistrationEnded:
            self.save(access_token="", refresh_token="")
            raise
        except RequestRefused as error:
            if error.error == "access_denied":
                self._interrupt(error)
            raise

    def _interrupt(self, error: RequestRefused) -> NoReturn:
        """Note it for `status`, and raise `SharingInterrupted`."""
        if self.state.endpoint_state != INTERRUPTED:
            self.save(endpoint_state=INTERRUPTED)
        raise SharingInterrupted from error
