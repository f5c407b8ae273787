"""Feedback on a password while it is being typed: whether the policy accepts it, and how hard it is to guess.

`credentials.rejection_reason` decides here as well as when the form is sent, so the result is the same with and without
scripts. For an accepted password, the `zxcvbn` library estimates how many guesses it would take. That only changes the
words: zxcvbn does not know that a school's name is public, and rates such passwords as the best.

A page names the person whose password is chosen by a sealed value. The response depends on that and on the password
alone: not on who is signed in, nor on the browser.
"""

from collections.abc import Iterable
from math import prod
from typing import Final, NamedTuple

from idp.estabs import credentials
from idp.foundation import crypto, runtime
from idp.foundation.errors import BadRequest

SHORT_TEXT: Final = f"Too short so far: {credentials.MIN_LENGTH} characters are needed."
"""Instead of the policy's reason, which stands above the field already."""
GOOD_TEXT: Final = "This is a good password."
FAIR_TEXT: Final = (
    "You can use this password. Another word that has nothing to do with it would make it much harder to guess."
)

GOOD_GUESSES_LOG10: Final = 10.0
"""Ten thousand million guesses, by zxcvbn's estimate."""
ESTIMATED_LENGTH: Final = 32
"""Characters that zxcvbn is given: its time grows faster than the length, and 32 tell good from fair."""
MAX_READINGS: Final = 24
"""Ways to read signs as letters that zxcvbn may try. It tries every one: for `4@8({[<369&#!|10$57` it took seconds."""

_SEALING_CONTEXT: Final = "page/password-strength"


class UnknownSubject(BadRequest):
    """The sealed value is not one of ours."""


class Hint(NamedTuple):
    """Whether the password is accepted, and a sentence about it for the person."""

    is_accepted: bool
    message: str


def hint(password: str, about: Iterable[str]) -> Hint:
    """The hint about `password`; `about` is as for `credentials.rejection_reason`. It is not hashed, logged or kept."""
    about = tuple(about)
    if len(password) < credentials.MIN_LENGTH:
        return Hint(is_accepted=False, message=SHORT_TEXT)
    reason = credentials.rejection_reason(password, about)
    if reason is not None:
        return Hint(is_accepted=False, message=reason)
    return Hint(is_accepted=True, message=GOOD_TEXT if _is_good(password[:ESTIMATED_LENGTH], about) else FAIR_TEXT)


def seal_subject(person_id: str) -> str:
    """The id of the person whose password a page is about, sealed, for the page's script to send."""
    return runtime.sealer().seal(person_id.encode(), context=_SEALING_CONTEXT)


def unseal_subject(sealed: str) -> str:
    """The id that `seal_subject` sealed. Raises `UnknownSubject`."""
    try:
        return runtime.sealer().unseal(sealed, context=_SEALING_CONTEXT).decode()
    except crypto.UnsealError as error:
        raise UnknownSubject(reason="not a subject that we sealed") from error


def _is_good(password: str, about: tuple[str, ...]) -> bool:
    """Whether zxcvbn estimates that guessing takes long; True without asking it if the signs have too many readings."""
    from zxcvbn import zxcvbn  # a megabyte of word lists, which only those who choose a password need
    from zxcvbn.matching import L33T_TABLE

    signs = set(password)
    if prod(max(1, len(signs.intersection(letters))) for letters in L33T_TABLE.values()) > MAX_READINGS:
        return True
    return bool(zxcvbn(password, user_inputs=list(about))["guesses_log10"] >= GOOD_GUESSES_LOG10)
