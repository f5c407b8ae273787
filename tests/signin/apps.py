"""An authenticator app, for tests: gives an account one, and shows its codes."""

import time

import pyotp

from idp.foundation import clock
from idp.signin import authenticator_app, second_factor


class App:
    """An authenticator app on a person's telephone."""

    def __init__(self, seed):
        self.seed, self._codes = seed, pyotp.TOTP(seed)

    def code(self, steps=0):
        """The code that the app shows now, or `steps` half minutes later."""
        return self._codes.at(clock.timestamp(), counter_offset=steps)

    @property
    def wrong(self):
        """Six digits that are neither the current code nor the one before it."""
        return next(code for code in ("000000", "111111", "222222") if code not in {self.code(), self.code(-1)})


def an_app(person_id):
    """Give this person an app, whose current code is used up; call it in a transaction."""
    app = App(authenticator_app.begin(person_id, "jo@oakhill.example", "ses_of_a_test").seed)
    authenticator_app.finish(person_id, "ses_of_a_test", app.code())
    return app


def wait_for_next_code():
    """Wait for the next half minute, because a code works once; for real clocks."""
    begun = clock.timestamp() // second_factor.STEP_SECONDS
    while clock.timestamp() // second_factor.STEP_SECONDS == begun:
        time.sleep(0.2)
